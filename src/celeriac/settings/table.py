"""How one setting is declared: an annotated class attribute with its default, a line of meaning and a unit.

The groups (`broker`, `task`, `worker`, `result`, `beat`, `security`, `stores`) are classes of such attributes, and
`celeriac.settings.conf.Settings` is made of them; so ``conf.task_acks_late`` has a static type.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

_IMMUTABLE = (str, bytes, bool, int, float, tuple, type(None))


class Field:
    """One setting of the table. Reading it from an instance gives the default until a value is stored there.

    `show_on` puts a default that cannot change in the field's place, where it is read without a call.

    A number that has a unit measures something: it is finite and not below `least`, 0 unless told otherwise;
    where it may be None, infinite means that.
    `annotation` is the type as written, `group` the class that declares it. A mutable default is copied for each
    instance, so that changing ``conf.task_publish_retry_policy["max_retries"]`` changes one application.
    """

    __slots__ = ("annotation", "default", "doc", "group", "least", "name", "secret", "unit")

    def __init__(self, default: Any, doc: str, unit: str, *, secret: bool, least: float) -> None:
        self.default: Any = default
        self.doc: str = doc
        self.unit: str = unit
        self.secret: bool = secret
        self.least: float = least
        self.name: str = ""
        self.annotation: str = ""
        self.group: type = object

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.group = owner
        self.annotation = str(owner.__annotations__[name])

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        value = copy.deepcopy(self.default)
        vars(instance)[self.name] = value
        return value

    def show_on(self, owner: type) -> None:
        """Make an immutable default a plain attribute of the class that inherits this field."""
        if isinstance(self.default, _IMMUTABLE):
            setattr(owner, self.name, self.default)

    @property
    def type(self) -> Any:
        """Return the annotation as a type."""
        return _hints(self.group)[self.name]


def setting(default: T, doc: str, *, unit: str = "", secret: bool = False, least: float = 0) -> T:
    """Declare a setting. `unit` is told in the reference; a `secret` value is never shown whole."""
    field: Any = Field(default, doc, unit, secret=secret, least=least)
    return field  # type: ignore[no-any-return]  # a descriptor that reads as its default's type


def fields_of(*groups: type) -> Mapping[str, Field]:
    """Return the settings that the classes declare, by name, in the order written."""
    return {name: value for group in groups for name, value in vars(group).items() if isinstance(value, Field)}


@cache
def _hints(group: type) -> Mapping[str, Any]:
    return get_type_hints(group, vars(sys.modules[group.__module__]))
