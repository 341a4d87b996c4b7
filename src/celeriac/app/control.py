"""Remote control of the nodes that listen: broadcasts as Celery has them, and what is revoked, which is kept too."""

from __future__ import annotations

import inspect
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final

from msgspec.structs import replace

from celeriac.app.lacking import LackingControl
from celeriac.app.revoking import by_id, by_stamp
from celeriac.exceptions import DecodeError, RevocationNotKept
from celeriac.interfaces.pubsub import Channel, Post, PubSub
from celeriac.interfaces.revocations import Revocation, RevocationStore
from celeriac.types import Seconds
from celeriac.wire import control as wire
from celeriac.wire.control import TERM, ReplyTo, Request

_TIMEOUT: Final[Seconds] = 1.0
"""How long answers are waited for, as in Celery."""
_AT_ONCE: Final = 100


class Control(LackingControl):
    """What an application can ask of the nodes. Thread-safe."""

    def __init__(
        self,
        pubsub: Callable[[], PubSub | None],
        revocations: Callable[[], RevocationStore | None],
        *,
        prefix: str,
        ttl: Seconds,
    ) -> None:
        self._pubsub = pubsub
        self._revocations = revocations
        self._prefix = prefix
        self._ttl = ttl

    def revoke(  # noqa: PLR0913  Celery's signature
        self,
        task_id: str | Iterable[str],
        destination: Sequence[str] | None = None,
        terminate: bool = False,  # noqa: FBT001, FBT002  Celery's order
        signal: str | int | None = TERM,
        *,
        expires: Seconds | None = None,
        reply: bool = False,
        timeout: Seconds | None = _TIMEOUT,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """See to it that the tasks of these ids do not run any more, whatever is restarted.

        What has not begun ends as REVOKED when its turn comes: `get` raises `TaskRevokedError`. With `terminate` what
        runs is ended, too: `Terminated` is raised in it, a coroutine is cancelled, and a process in which it runs
        still five seconds later is killed, or at once where `signal` is SIGKILL.

        It is kept in the store for `expires` seconds (``task_revoke_expires``, three hours): make that longer for a
        task that is delayed longer. Where no store can keep it (RabbitMQ without a result backend that can) it is
        only announced to the nodes that listen now, and `RevocationNotKept` warns of that. With `destination`, the
        names of nodes, it is for these alone, and they remember it while they run.

        `options` are those of `broadcast`. Return the answers where they were asked for. Raises `BrokerError` and
        `CoordinatorError` kin; what failed may be repeated. Raises ValueError for a signal that is not there.
        """
        ids = [task_id] if isinstance(task_id, str) else [str(one) for one in task_id]
        if not ids:
            return None
        name = wire.signal_name(signal or TERM)
        ttl = self._ttl if expires is None else expires
        if destination is None:
            self._keep(by_id(ids, signal=name if terminate else "", ttl=ttl))
        arguments = {"task_id": ids, "terminate": terminate, "signal": name, "expires": ttl}
        return self.broadcast("revoke", arguments, destination, reply=reply, timeout=timeout, **options)

    def terminate(
        self,
        task_id: str | Iterable[str],
        destination: Sequence[str] | None = None,
        signal: str | int | None = TERM,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Do as `revoke` with ``terminate=True``."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **options)

    def revoke_by_stamped_headers(  # noqa: PLR0913  Celery's signature
        self,
        headers: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        terminate: bool = False,  # noqa: FBT001, FBT002  Celery's order
        signal: str | int | None = TERM,
        *,
        expires: Seconds | None = None,
        reply: bool = False,
        timeout: Seconds | None = _TIMEOUT,
        **options: Any,
    ) -> list[dict[str, Any]] | None:
        """Do as `revoke` for every task that has one of these stamps: ``{header: stamp, or list of stamps}``.

        It holds also for tasks with such a stamp that are sent later, until it ends. Stamps are compared as text.
        """
        name = wire.signal_name(signal or TERM)
        ttl = self._ttl if expires is None else expires
        revocations = by_stamp(headers, signal=name if terminate else "", ttl=ttl)
        if not revocations:
            return None
        if destination is None:
            self._keep(revocations)
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": name, "expires": ttl}
        command = "revoke_by_stamped_headers"
        return self.broadcast(command, arguments, destination, reply=reply, timeout=timeout, **options)

    def broadcast(  # noqa: PLR0913  Celery's signature
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        connection: Any = None,  # noqa: ARG002  Celery's; the application has its own
        reply: bool = False,  # noqa: FBT001, FBT002  Celery's order
        timeout: Seconds | None = _TIMEOUT,
        limit: int | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        channel: Any = None,  # noqa: ARG002  Celery's
        pattern: str | None = None,
        matcher: str | None = None,
        **extra: Any,
    ) -> list[dict[str, Any]] | None:
        """Tell a command to all nodes that listen now, or to those in `destination`, or whose names fit `pattern`.

        With `reply` wait `timeout` seconds for answers, or until there are `limit` of them (as many as there are names
        in `destination`), and return them: each maps a node's name to what it said. `callback` is called with each.
        Nodes of celeriac know the commands that revoke; to others they do not answer. Raises `BrokerError` kin.
        """
        pubsub = self._pubsub()
        if pubsub is None:
            return [] if reply else None
        names = None if destination is None else list(destination)
        request = Request(command, {**(arguments or {}), **extra}, names, pattern, matcher)
        if not reply:
            self._publish(pubsub, request)
            return None
        answers: list[dict[str, Any]] = []
        most = limit or len(names or ()) or float("inf")
        for answer in self._asked(pubsub, request, _TIMEOUT if timeout is None else timeout):
            answers.append(answer)
            if callback is not None:
                callback(answer)
            if len(answers) >= most:
                break
        return answers

    def _publish(self, pubsub: PubSub, request: Request) -> None:
        pubsub.publish([Post(Channel(wire.exchange(self._prefix)), wire.encode(request))])

    def _asked(self, pubsub: PubSub, request: Request, timeout: Seconds) -> Iterator[dict[str, Any]]:
        """Ask the nodes, and yield their answers until the time is over."""
        mine = Channel(wire.reply_exchange(self._prefix), "direct", str(uuid.uuid4()))
        reply_to = ReplyTo(mine.exchange, mine.routing_key)
        with closing(pubsub.subscribe([mine])) as subscription:
            ends = time.monotonic() + timeout
            self._publish(pubsub, replace(request, ticket=str(uuid.uuid4()), reply_to=reply_to))
            while (left := ends - time.monotonic()) > 0:
                for post in subscription.get(limit=_AT_ONCE, wait=left):
                    with suppress(DecodeError):  # whoever sent it there is no node
                        yield wire.decode_reply(post.message)

    def _keep(self, revocations: Sequence[Revocation]) -> None:
        store = self._revocations()
        if store is not None:
            store.add(revocations)
            return
        warnings.warn(
            RevocationNotKept(
                "No store keeps what is revoked: it is told to the workers that listen now, and others will run it. Set"
                " result_backend to a store that keeps it, for example result_backend='redis://localhost:6379/0'."
            ),
            stacklevel=_callers_level(),
        )


def _callers_level() -> int:
    """Return the `stacklevel` at which a warning names the line that called into this package: the ways are several."""
    level, frame = 1, inspect.currentframe()
    frame = frame and frame.f_back
    while frame is not None and frame.f_globals.get("__name__", "").startswith("celeriac."):
        level, frame = level + 1, frame.f_back
    return level
