"""`Settings`: what an application is configured with; typed, checked when set, read like Celery's ``app.conf``."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from types import NoneType
from typing import Any, Final

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.beat import BeatSettings
from celeriac.settings.broker import BrokerSettings, ControlSettings
from celeriac.settings.inert import INERT, KEPT_BY_ITSELF
from celeriac.settings.layers import Given, Layer, Layers, refuse_two_spellings
from celeriac.settings.names import FIELDS, canonical, looks_like_ours, resembling, within_namespace
from celeriac.settings.result import ResultSettings
from celeriac.settings.secrets import censored as without_secrets
from celeriac.settings.security import SecuritySettings
from celeriac.settings.stores import DatabaseSettings, OtherStoreSettings, RedisSettings
from celeriac.settings.table import Field
from celeriac.settings.task import GeneralSettings, RoutingSettings, TaskSettings
from celeriac.settings.values import convert, from_text, is_measure, members
from celeriac.settings.worker import WorkerLogSettings, WorkerSettings

_MOST_SECONDS: Final = 100 * 365.25 * 86_400
"""Timers of the system, and stores, do not count much further."""


class Settings(
    GeneralSettings,
    BrokerSettings,
    TaskSettings,
    RoutingSettings,
    WorkerSettings,
    WorkerLogSettings,
    ResultSettings,
    BeatSettings,
    SecuritySettings,
    ControlSettings,
    RedisSettings,
    DatabaseSettings,
    OtherStoreSettings,
):
    """The settings of one application, by attribute (``conf.task_acks_late``) or key (``conf["task_acks_late"]``).

    Assignment checks: a wrong type, and an unknown name that resembles a known one, are `ImproperlyConfigured`; other
    unknown names are kept for plug-ins. Iteration, `keys`, `values` and `items` go over what was set, not over
    defaults; ``in`` says whether reading works. Old UPPERCASE names are understood everywhere. Which of several
    sources counts is `Layer`'s order. Reading is a plain attribute; writing may be done from any thread.
    """

    times_changed: int = 0
    """How often a setting was set or forgotten: while it stays the same, so does all that was made of settings."""

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        vars(self)["_layers"] = Layers()
        vars(self)["_writing"] = threading.RLock()
        self.update(values or {}, **more)

    # -- writing ------------------------------------------------------------------------------------------------

    def read(
        self,
        values: Mapping[str, Any],
        *,
        layer: Layer,
        source: str,
        namespace: str | None = None,
        text: bool = False,
    ) -> None:
        """Take over the values of one source, all or none.

        `source` names it in errors. With a `namespace`, only names with that prefix are read. With `text`, values are
        text to be understood (``true``, ``1.5``, ``a,b``) where they are `str`. Raises `ImproperlyConfigured`.
        """
        found: dict[str, Given] = {}
        for spelling, value in values.items():
            name = within_namespace(spelling, namespace) if namespace else spelling
            if name is None:
                continue
            name = _known_name(name, spelling, source)
            given = Given(_checked(name, value, spelling, source, text=text), source, spelling)
            if name in found:
                refuse_two_spellings(name, found[name], given)
                if spelling != name:
                    continue
            found[name] = given
        with self._lock():
            for name, given in found.items():
                self._put(name, layer, given)

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> None:
        """Set many at once, all or none. Raises `ImproperlyConfigured`."""
        self.read({**dict(values), **more}, layer=Layer.CODE, source="the application")

    def add_defaults(self, values: Mapping[str, Any]) -> None:
        """Set what counts only where nothing else was said, for libraries. Raises `ImproperlyConfigured`."""
        self.read(values, layer=Layer.ADDED_DEFAULTS, source="add_defaults")

    def setdefault(self, name: str, value: Any) -> Any:
        """Set unless it was set before; return what counts then."""
        if not self.is_set(name):
            self[name] = value
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delattr__(self, name: str) -> None:
        """Forget what was set, so that the default counts again."""
        known = canonical(name) or name
        with self._lock():
            touched = vars(self).pop(known, None) is not None if not known.startswith("_") else False
            vars(self)["times_changed"] = self.times_changed + 1
            if not self._stored().drop(known) and not touched:
                raise AttributeError(f"The setting {name} was not set.")

    def __delitem__(self, name: str) -> None:
        try:
            delattr(self, name)
        except AttributeError as error:
            raise KeyError(name) from error

    # -- reading ------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Reached only by names that are neither in the table nor set under just this spelling.
        known = None if name.startswith("_") else canonical(name)
        if known is None or known == name:
            raise AttributeError(f"There is no setting {name}.{_hint(name)}")
        return getattr(self, known)

    def __getitem__(self, name: str) -> Any:
        known = canonical(name) or name
        if known not in self:
            raise KeyError(name)
        return getattr(self, known)

    def get(self, name: str, default: Any = None) -> Any:
        """Return what counts, the table's default included; `default` for a name that nobody knows."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (canonical(name) is not None or name in self._stored())

    def is_set(self, name: str) -> bool:
        """Say whether some source gave this setting a value, or its default was changed in place."""
        return (canonical(name) or name) in self.keys()

    def source_of(self, name: str) -> str:
        """Return where the value that counts came from, for people."""
        winner = self._stored().winner(canonical(name) or name)
        return winner[1].source if winner else "the defaults"

    def given(self, layer: Layer) -> dict[str, Any]:
        """Return what the sources of one layer say, by setting."""
        return {name: given.value for name, given in self._stored().at(layer).items()}

    def keys(self) -> list[str]:
        """Return the names that were set, in order."""
        with self._lock():
            changed = [name for name, value in vars(self).items() if name in FIELDS and value != FIELDS[name].default]
            return sorted({*self._stored(), *changed})

    def values(self) -> list[Any]:
        """Return the values that were set, in the order of `keys`."""
        return [self[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values that were set."""
        return [(name, self[name]) for name in self.keys()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def copy(self) -> Settings:
        """Return another that has the same values from the same sources."""
        twin = Settings()
        with self._lock():
            for layer in Layer:
                for name, given in self._stored().at(layer).items():
                    twin._put(name, layer, given)
            for name in self.keys():
                vars(twin)[name] = self[name]
        return twin

    # -- showing ------------------------------------------------------------------------------------------------

    def table(self, *, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return what was set, or everything, by name; passwords, keys and tokens hidden unless told otherwise."""
        names = sorted({*FIELDS, *self.keys()}) if with_defaults else self.keys()
        return {name: without_secrets(name, self[name]) if censored else self[name] for name in names}

    def humanize(self, *, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the same as text, one setting a line."""
        shown = self.table(with_defaults=with_defaults, censored=censored)
        return "\n".join(f"{name}: {value!r}" for name, value in shown.items())

    def notices(self) -> list[str]:
        """Return what should be said once at start: settings without effect, unknown ones, overruled ones."""
        inert = [f"{name} has no effect: {INERT[name]}." for name in self.keys() if self._is_in_vain(name)]
        unknown = [name for name in self.keys() if name not in FIELDS and looks_like_ours(name)]
        kept = [f"Unknown settings, kept for plug-ins: {', '.join(unknown)}."] if unknown else []
        return [*inert, *kept, *self._overruled()]

    def __repr__(self) -> str:
        return f"<Settings {self.table()}>"

    def _is_in_vain(self, name: str) -> bool:
        return name in INERT and not (name in KEPT_BY_ITSELF and self[name] == FIELDS[name].default)

    def _overruled(self) -> Iterator[str]:
        """Yield a line for each setting whose environment variable does not count, as it would with Celery."""
        for name, given in self._stored().at(Layer.ENVIRONMENT).items():
            winner = self._stored().winner(name)
            if winner is not None and winner[0] is not Layer.ENVIRONMENT and winner[1].value != given.value:
                yield f"{given.spelling} in the environment is overruled: {winner[1].source} sets {name}."

    def _put(self, name: str, layer: Layer, given: Given) -> None:
        self._stored().put(name, layer, given)
        winner = self._stored().winner(name)
        if winner is not None:
            vars(self)[name] = winner[1].value
        vars(self)["times_changed"] = self.times_changed + 1

    def _stored(self) -> Layers:
        layers: Layers = vars(self)["_layers"]
        return layers

    def _lock(self) -> threading.RLock:
        lock: threading.RLock = vars(self)["_writing"]
        return lock


for _field in FIELDS.values():
    _field.show_on(Settings)


def _known_name(name: str, spelling: str, source: str) -> str:
    """Return the present name of what was set; raise `ImproperlyConfigured` when it cannot be meant so."""
    known = canonical(name)
    if known is not None:
        return known
    if name.startswith("_") or hasattr(Settings, name):
        raise ImproperlyConfigured(f"{spelling} (in {source}) cannot be the name of a setting.")
    meant = resembling(name)
    if meant is None:
        return name
    if spelling.endswith(name.upper()):  # prefixed and in capitals
        meant = spelling[: -len(name)] + meant.upper()
    raise ImproperlyConfigured(
        f"There is no setting {spelling} (in {source}). Did you mean {meant}? "
        "A variable that is no setting is left alone when its name begins with an underscore."
    )


def _checked(name: str, value: Any, spelling: str, source: str, *, text: bool) -> Any:
    field = FIELDS.get(name)
    if field is None:
        return value
    try:
        read = from_text(value, field.type) if text and isinstance(value, str) else convert(value, field.type)
    except ValueError:
        raise ImproperlyConfigured(_wrong_type(field, value, spelling, source)) from None
    if not field.unit:
        return read
    may_be_none = NoneType in members(field.type)
    if read == inf and may_be_none:  # TOML has no other word for it
        return None
    if not is_measure(read, least=field.least):
        most = "; None means no limit" if may_be_none else ""
        raise ImproperlyConfigured(
            f"{spelling} must be a number of {field.unit}, {field.least:g} or more, not {value!r}{most}; it was set in"
            f" {source}."
        )
    if field.unit == "seconds" and isinstance(read, float | int) and read > _MOST_SECONDS:
        raise ImproperlyConfigured(
            f"{spelling} must be less than a hundred years, not {value!r}; it was set in {source}."
        )
    return read


def _wrong_type(field: Field, value: Any, spelling: str, source: str) -> str:
    shown = without_secrets(field.name, value)
    known = "" if spelling == field.name else f" ({field.name})"
    unit = f" in {field.unit}" if field.unit else ""
    return (
        f"{spelling}{known} must be {field.annotation}{unit}, not {shown!r} ({type(value).__name__}); "
        f"it was set in {source}."
    )


def _hint(name: str) -> str:
    meant = resembling(name)
    return f" Did you mean {meant}?" if meant else ""
