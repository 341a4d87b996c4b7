"""What an application does once: reading its arguments, importing what it names, annotating its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from celeriac.app.declared import settle
from celeriac.app.lacking import refuse_arguments
from celeriac.app.task import Task
from celeriac.settings.names import canonical, nearest


def import_if_there(name: str) -> None:
    """Import a module unless there is none of that name."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise


def annotate(tasks: Iterable[Task[..., Any]], annotations: Any) -> None:
    """Set attributes of tasks as ``task_annotations`` says: ``{'*': {...}, 'proj.add': {...}}``, or a list of such."""
    if not annotations:
        return
    every = annotations if isinstance(annotations, list | tuple) else [annotations]
    for task in tasks:
        for mapping in every:
            for key in ("*", task.name):
                for attribute, value in (mapping.get(key) or {}).items():
                    setattr(task, attribute, value)
        settle(task)


def refuse_mistyped(settings: Mapping[str, Any]) -> None:
    """Raise TypeError for an argument of an application that looks like another one, or that only Celery's has."""
    refuse_arguments(settings)
    for name in settings:
        meant = None if canonical(name) else nearest(name, ("broker", "backend", "include", "namespace"))
        if meant is not None:
            raise TypeError(f"An application takes no argument {name!r}. Did you mean {meant!r}?")


def resolve_class(task_cls: type[Task[..., Any]] | str) -> type[Task[..., Any]]:
    """Return the class that a name or the class itself stands for. Raises TypeError for one that is no `Task`."""
    found: Any = task_cls
    if isinstance(task_cls, str):
        module, _, name = task_cls.replace(":", ".").rpartition(".")
        found = getattr(import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise TypeError(f"The class of an application's tasks derives from celeriac.Task, and {found!r} does not.")
    return found
