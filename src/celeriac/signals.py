"""Named moments that users can hang functions on; what each is sent with stands in the table below.

A receiver is called with ``sender`` and ``signal`` and the fields of the signal as keywords, so it must take
``**kwargs``. It runs in the thread that sends, before the sender goes on. Its errors are logged, never raised.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from types import MethodType
from typing import Any, Final, TypeAlias, TypeVar, overload

from msgspec import Struct

logger = logging.getLogger(__name__)

_Key: TypeAlias = tuple[Hashable, Hashable]
"""What tells one connection from another: the receiver and the sender."""

Receiver = TypeVar("Receiver", bound=Callable[..., Any])

_RETRY_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between the calls of a receiver that was connected with ``retry=True``."""


class _Connection(Struct, frozen=True):
    """One receiver. `find` returns the function, None once it is gone; `sender` is the only one heard, if any."""

    key: _Key
    find: Callable[[], Callable[..., Any] | None]
    sender: Any
    retry: bool

    def hears(self, sender: Any) -> bool:
        return self.sender is None or self.sender is sender or (isinstance(sender, str) and self.sender == sender)


class Signal:
    """A moment that functions can be connected to. Thread-safe.

    `receivers` is empty when nobody listens, so ``if signal.receivers:`` saves a caller from gathering the fields.
    `fields` are the keywords that it is sent with, `when` says at which moment.
    """

    def __init__(
        self, name: str, fields: tuple[str, ...] = (), when: str = "", *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._sleep = sleep
        self.name = name
        self.fields = fields
        self.when = when
        self.receivers: tuple[_Connection, ...] = ()  # replaced as a whole, so that sending needs no lock
        self._connecting = threading.RLock()  # a receiver may be collected, and so removed, while one is connected

    # The flags may be given by position, as with Celery.
    @overload
    def connect(
        self,
        receiver: Receiver,
        sender: Any = ...,
        weak: bool = ...,  # noqa: FBT001
        dispatch_uid: Hashable = ...,
        retry: bool = ...,  # noqa: FBT001
    ) -> Receiver: ...

    @overload
    def connect(
        self,
        receiver: None = None,
        sender: Any = ...,
        weak: bool = ...,  # noqa: FBT001
        dispatch_uid: Hashable = ...,
        retry: bool = ...,  # noqa: FBT001
    ) -> Callable[[Receiver], Receiver]: ...

    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,  # noqa: FBT001, FBT002
        dispatch_uid: Hashable = None,
        retry: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Call `receiver` whenever the signal is sent, by `sender` alone if one is given; also a decorator.

        A weak receiver is forgotten with its last other reference; lambdas and closures need ``weak=False``. The same
        receiver, or the same `dispatch_uid`, is connected once per sender. With `retry` an erring receiver is called
        again after pauses, a few times, while the sender waits. Raises `TypeError` for what cannot be called and
        `ValueError` for what does not take ``**kwargs``.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender, weak, dispatch_uid, retry)
        if not callable(receiver):
            raise TypeError(f"{receiver!r} cannot be connected to the signal {self.name}: it cannot be called.")
        if not _takes_keywords(receiver):
            raise ValueError(
                f"{receiver!r} cannot be connected to the signal {self.name}: a receiver must take **kwargs, "
                "because signals may get more fields."
            )
        key = _key(receiver, sender, dispatch_uid)
        find = _weakly(receiver, lambda: self._remove(key)) if weak else lambda: receiver
        with self._connecting:
            if all(known.key != key or known.find() is None for known in self.receivers):
                others = [known for known in self.receivers if known.key != key and known.find() is not None]
                self.receivers = (*others, _Connection(key, find, sender, retry))
        return receiver

    def disconnect(self, receiver: Any = None, sender: Any = None, dispatch_uid: Hashable = None) -> bool:
        """Stop calling the receiver that was connected with just these; say whether there was one."""
        return self._remove(_key(receiver, sender, dispatch_uid))

    def send(self, sender: Any, **fields: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver; return each with what it returned, or with the exception that it raised."""
        if not self.receivers:
            return []
        return [
            (receiver, self._call(receiver, sender, fields, retry=connection.retry))
            for connection in self.receivers
            if connection.hears(sender) and (receiver := connection.find()) is not None
        ]

    send_robust = send

    def has_listeners(self, sender: Any = None) -> bool:
        """Say whether a signal from `sender` would call anybody."""
        return any(known.hears(sender) and known.find() is not None for known in self.receivers)

    def __repr__(self) -> str:
        return f"<Signal {self.name}: {', '.join(self.fields) or 'no fields'}>"

    def _call(self, receiver: Callable[..., Any], sender: Any, fields: dict[str, Any], *, retry: bool) -> Any:
        for pause in _RETRY_PAUSES if retry else ():
            try:
                return receiver(signal=self, sender=sender, **fields)
            except Exception as error:  # noqa: BLE001  any error of the user's is a reason to call again
                logger.warning("Receiver %r of signal %s raised %r; again in %ss", receiver, self.name, error, pause)
                self._sleep(pause)
        try:
            return receiver(signal=self, sender=sender, **fields)
        except Exception as error:
            logger.exception("Receiver %r of signal %s failed", receiver, self.name)
            return error

    def _remove(self, key: _Key) -> bool:
        with self._connecting:
            left = tuple(known for known in self.receivers if known.key != key)
            found = len(left) < len(self.receivers)
            self.receivers = left
        return found


def _takes_keywords(receiver: Callable[..., Any]) -> bool:
    import inspect  # noqa: PLC0415  ADR 0012

    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):  # written in C: nothing is known of it
        return True
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _key(receiver: Any, sender: Any, dispatch_uid: Hashable) -> _Key:
    """Tell one connection from another: by the given uid, else by the function and the object that it is bound to."""
    who: Hashable = dispatch_uid
    if who is None:
        bound_to = getattr(receiver, "__self__", None)
        who = (id(receiver),) if bound_to is None else (id(bound_to), id(getattr(receiver, "__func__", receiver)))
    return who, sender if sender is None or isinstance(sender, str) else id(sender)


def _weakly(receiver: Any, on_end: Callable[[], object]) -> Callable[[], Callable[..., Any] | None]:
    """Return what finds the receiver as long as somebody else keeps it; call `on_end` when nobody does."""
    if isinstance(receiver, MethodType):
        return weakref.WeakMethod(receiver, lambda _reference: on_end())
    return weakref.ref(receiver, lambda _reference: on_end())


SIGNALS: Final[dict[str, Signal]] = {}
"""Every signal by its name."""


def _declare(name: str, fields: str, when: str) -> Signal:
    signal = Signal(name, tuple(fields.split()), when)
    SIGNALS[name] = signal
    return signal


# In the process that sends a task. The sender is the task's name.
before_task_publish: Final = _declare(
    "before_task_publish",
    "body exchange routing_key headers properties declare retry_policy",
    "Before a task's message is sent; receivers may add and change `headers`.",
)
after_task_publish: Final = _declare(
    "after_task_publish", "body headers exchange routing_key", "After the broker has stored a task's message."
)

# In the process that runs the task. The sender is the task, for the message signals the worker.
task_received: Final = _declare("task_received", "request", "A task's message was accepted.")
task_prerun: Final = _declare("task_prerun", "task_id task args kwargs", "Before a task runs.")
task_postrun: Final = _declare(
    "task_postrun", "task_id task args kwargs retval state", "After a task has run, however."
)
task_success: Final = _declare("task_success", "result runtime", "A task returned; `runtime` is in seconds.")
task_failure: Final = _declare(
    "task_failure", "task_id exception args kwargs traceback einfo", "A task failed for good."
)
task_retry: Final = _declare("task_retry", "request reason einfo", "A task will be tried again.")
task_internal_error: Final = _declare(
    "task_internal_error",
    "task_id args kwargs request exception traceback einfo",
    "Running a task failed outside the task's own code.",
)
task_rejected: Final = _declare(
    "task_rejected", "message exc", "A message was refused: it is no task that can be read."
)
task_unknown: Final = _declare("task_unknown", "message exc name id", "A message names a task that is not registered.")
task_revoked: Final = _declare(
    "task_revoked", "request terminated signum expired", "A task was revoked, or had expired."
)

# In the worker. The sender is the worker, or its node name for `celeryd_init` and `celeryd_after_setup`.
celeryd_init: Final = _declare("celeryd_init", "instance conf options", "Before anything of the worker is set up.")
celeryd_after_setup: Final = _declare(
    "celeryd_after_setup", "instance conf", "The worker is set up and has not started."
)
import_modules: Final = _declare(
    "import_modules", "", "The modules of `imports` and `include` are about to be imported."
)
worker_init: Final = _declare("worker_init", "", "Before the worker starts.")
worker_ready: Final = _declare("worker_ready", "", "The worker takes tasks.")
worker_shutting_down: Final = _declare(
    "worker_shutting_down", "sig how exitcode", "The worker was told to stop; `how` is Warm or Cold."
)
worker_shutdown: Final = _declare("worker_shutdown", "", "The worker has stopped.")
worker_process_init: Final = _declare("worker_process_init", "", "In each engine process, before it takes tasks.")
worker_process_shutdown: Final = _declare(
    "worker_process_shutdown", "pid exitcode", "In each engine process, before it ends."
)

# Logging of commands. With a receiver of `setup_logging`, logging is left to it.
setup_logging: Final = _declare("setup_logging", "loglevel logfile format colorize", "Logging is to be set up.")
after_setup_logger: Final = _declare(
    "after_setup_logger", "logger loglevel logfile format colorize", "The root logger was set up."
)
after_setup_task_logger: Final = _declare(
    "after_setup_task_logger", "logger loglevel logfile format colorize", "The logger of tasks was set up."
)
