"""Write the reference of all settings: ``python -m celeriac.settings.reference > docs/settings.md``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Final

from celeriac.settings.inert import INERT
from celeriac.settings.names import GROUPS, OUR_OWN, old_name
from celeriac.settings.table import Field, fields_of

_INTRODUCTION: Final = """\
<!-- Written by `python -m celeriac.settings.reference`; change the tables in `src/celeriac/settings/`. -->

# Settings

Names and defaults are Celery's, except where a table says otherwise. Settings marked **new** are celeriac's own.

## Where they come from

From the weakest to the strongest; a stronger source wins setting by setting:

1. the defaults below
2. `app.add_defaults({...})`, for libraries
3. `[tool.celeriac]` in the nearest `pyproject.toml`, from the working directory upwards
4. the configuration: `app.config_from_object("module")`, or else `celeriacconfig.py` or `celeryconfig.py` in the
   working directory, or the module that `CELERIAC_CONFIG_MODULE` or `CELERY_CONFIG_MODULE` names
5. the environment: `CELERIAC_<SETTING>` for every setting (`CELERIAC_TASK_ACKS_LATE=false`), and `CELERY_BROKER_URL`,
   `CELERY_BROKER_READ_URL`, `CELERY_BROKER_WRITE_URL`, `CELERY_RESULT_BACKEND`
6. the application's code: `Celeriac(broker=...)`, `app.conf.task_acks_late = False`, `app.conf.update(...)`
7. the command line: `celeriac worker -- task_acks_late=false`

With Celery, those four environment variables win over the application's code. Here code wins, and a worker says so when
it starts.

## How they are written

- Values are checked when they are set. A wrong type is an error that names the setting, the value and its source.
  Text is turned into numbers, truth (`1`, `true`, `yes`, `on`), lists (`a,b` or JSON) and mappings (JSON) only where it
  comes from the environment or the command line; `none` stands for None.
- A name that resembles a setting is an error that says which one was probably meant. Other unknown names are kept for
  plug-ins and named once when a worker starts.
- The old names in capitals are understood in every source, and so is a setting's name in capitals after `CELERY_` or
  `CELERIAC_`. With `namespace="CELERY"` only names with that prefix are read.
  Two spellings of one setting with two values in one source are an error.
- Seconds may be given as `timedelta`.
"""

_OUTRO: Final = """\
## Without effect

These names are Celery's. They are known and kept, and a worker says at start which of them are set in vain.

| setting | in capitals | reason |
|---|---|---|
"""


def lines() -> Iterator[str]:
    """Yield the lines of the reference, in Markdown."""
    yield from _INTRODUCTION.splitlines()
    for group in GROUPS:
        fields = [field for name, field in fields_of(group).items() if name not in INERT]
        if fields:
            yield from _group(group, fields)
    yield ""
    yield from _OUTRO.splitlines()
    for name in sorted(INERT):
        yield f"| `{name}` | `{old_name(name)}` | {INERT[name]} |"


def _group(group: type, fields: list[Field]) -> Iterator[str]:
    yield ""
    yield f"## {(inspect.getdoc(group) or '').splitlines()[0].rstrip('.')}"
    yield ""
    yield "| setting | default | type | meaning | in capitals |"
    yield "|---|---|---|---|---|"
    for field in sorted(fields, key=lambda each: each.name):
        kind = field.annotation.replace("|", "\\|")
        unit = f", {field.unit}" if field.unit else ""
        doc = field.doc.replace("|", "\\|")
        old = "**new**" if field.name in OUR_OWN else f"`{old_name(field.name)}`"
        yield f"| `{field.name}` | `{_shown(field.default)}` | `{kind}`{unit} | {doc} | {old} |"


def _shown(default: object) -> str:
    return repr(default).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
