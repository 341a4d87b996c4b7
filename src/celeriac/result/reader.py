"""Reading results from the store: what a handle asks."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from celeriac import states
from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.exceptions import CeleriacError, ImproperlyConfigured, TimeoutError
from celeriac.interfaces.results import Mailbox, ResultBackend
from celeriac.result.waiting import WAIT_SLICE, GroupWaiter, wait_for
from celeriac.types import Seconds
from celeriac.wire import results as wire
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall


class Revoker(Protocol):
    """What an application revokes tasks with; see `celeriac.app.control`."""

    def revoke(
        self, ids: Sequence[str], /, *, terminate: bool, signal: str | int | None, reply: bool, timeout: Seconds | None
    ) -> Any: ...

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        /,
        *,
        terminate: bool,
        signal: str | int | None,
        reply: bool,
        timeout: Seconds | None,
    ) -> Any: ...


class ResultReader:
    """Reads and writes the results of one application. Thread-safe.

    A `backend` that gives None stands for a broker that cannot keep results, with no result backend configured.
    `handle_on` makes the handle on a task or a group that ``as_tuple`` has described, `revoker` is what revokes tasks.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        backend: Callable[[], ResultBackend | None],
        *,
        serializer: str,
        accept: frozenset[str],
        handle_on: Callable[[Any], Any],
        revoker: Callable[[], Revoker] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._backend = backend
        self._serializer = serializer
        self._accept = accept
        self.handle_on = handle_on
        self._revoker = revoker
        self.clock = clock
        self._group = GroupWaiter(lambda: self.backend)

    @property
    def backend(self) -> ResultBackend:
        """The result store. Raises `ImproperlyConfigured`, naming the setting, when there is none."""
        backend = self._backend()
        if backend is None:
            raise ImproperlyConfigured(
                "No result backend is configured, and this broker cannot keep results itself: set result_backend,"
                " for example result_backend='redis://localhost:6379/0'."
            )
        return backend

    @property
    def revoker(self) -> Revoker:
        """What revokes tasks. Raises `ImproperlyConfigured` for a reader that was made without."""
        if self._revoker is None:
            raise ImproperlyConfigured("This result was made without an application: use app.control.revoke.")
        return self._revoker()

    @property
    def mailbox(self) -> Mailbox | None:
        """Where results come in that are sent to whoever asked; None where they are kept, or there are none."""
        backend = self._backend()
        return None if backend is None else backend.mailbox

    def addressed(self, call: TaskCall) -> TaskCall:
        """Return the call with where its result is to be sent, where the store wants that. Raises `BackendError`."""
        if call.reply_to is not None or call.ignore_result or (address := self.address()) is None:
            return call
        return msgspec.structs.replace(call, reply_to=address)

    def address(self) -> str | None:
        """Return where results are to be sent, None where they need no address. Raises `BackendError`."""
        mailbox = self.mailbox
        return None if mailbox is None else mailbox.address()

    @property
    def is_address_at_hand(self) -> bool:
        """Tell whether `address` would answer without a word to the store."""
        mailbox = self.mailbox
        return mailbox is None or mailbox.is_at_hand

    def read(self, task_id: str) -> TaskResult:
        """Return the task's state as it is now; PENDING for an id that the store does not know."""
        payload = self._readable().fetch([task_id]).get(task_id)
        if payload is None:
            return TaskResult(task_id=task_id, state=states.PENDING, result=None)
        return self._decode(payload)

    def ends(self, task_ids: Sequence[str]) -> dict[str, TaskResult]:
        """Return the results of those that have ended by now, by id."""
        results = (self._decode(payload) for payload in self.backend.fetch(task_ids).values())
        return {result.task_id: result for result in results if result.state in states.READY_STATES}

    def wait(self, task_id: str, *, timeout: Seconds | None) -> TaskResult:
        """Return the result once the task has ended; `celeriac.exceptions.TimeoutError` after `timeout` seconds."""
        if timeout is not None:
            check_timeout(timeout)
        ends = None if timeout is None else self.clock.monotonic() + timeout
        while True:
            left = WAIT_SLICE if ends is None else ends - self.clock.monotonic()
            ready = wait_for(self._readable(), [task_id], timeout=max(0.0, min(left, WAIT_SLICE)))
            if task_id in ready:
                return self._decode(ready[task_id])
            if left <= 0:
                raise _too_late(task_id, timeout)

    async def wait_async(self, task_id: str, *, timeout: Seconds | None) -> TaskResult:
        """Wait as `wait` does, without blocking the event loop; all coroutines share a thread."""
        # asyncio costs 40 of the 60 ms that `import celeriac` may take (ADR 0004); who is here has imported it.
        import asyncio  # noqa: PLC0415

        check_timeout(timeout)
        if timeout is not None and timeout <= 0:  # a look; the event loop would not even begin to wait
            return await asyncio.to_thread(self.wait, task_id, timeout=timeout)
        self._readable()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._group.add(task_id, future)
        try:
            async with asyncio.timeout(timeout):
                return self._decode(await future)
        except builtins.TimeoutError:
            raise _too_late(task_id, timeout) from None
        finally:
            self._group.discard(task_id, future)

    def call_back(self, task_ids: Collection[str], told: Callable[[str, TaskResult | Exception], None]) -> None:
        """Have `told` called with each id and its result, or why it cannot be read, when the task has ended.

        That happens in the thread in which all coroutines' results are waited for: it must be brief. Raises
        `ImproperlyConfigured` when there is no store.
        """

        def decoded(task_id: str, answer: bytes | Exception) -> None:
            if isinstance(answer, bytes):
                told(task_id, self._decoded(answer))
            else:
                told(task_id, answer)

        self._readable()
        self._group.call(task_ids, decoded)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove the results."""
        self.backend.forget(task_ids)

    def _readable(self) -> ResultBackend:
        """Return the store, if results can come to this process. Raises `ImproperlyConfigured`."""
        backend = self._backend() or self.backend
        if backend.mailbox is not None and not backend.mailbox.is_open:
            raise ImproperlyConfigured(
                "Results by rpc:// come only to the process that sent the task, and this one has sent none whose result"
                " it wants: set result_backend to a store that all can read, for example"
                " result_backend='redis://localhost:6379/0'."
            )
        return backend

    def _decoded(self, payload: bytes) -> TaskResult | CeleriacError:
        try:
            return self._decode(payload)
        except CeleriacError as error:
            return error

    def _decode(self, payload: bytes) -> TaskResult:
        return wire.decode(payload, serializer=self._serializer, accept=self._accept)


def check_timeout(timeout: Seconds | None) -> None:
    """Raise ValueError for what is no number of seconds."""
    if timeout is not None and timeout != timeout:  # noqa: PLR0124  what is not a number equals nothing, itself included
        raise ValueError("timeout=nan is no number of seconds; None waits for ever.")


def _too_late(task_id: str, timeout: Seconds | None) -> TimeoutError:
    return TimeoutError(
        f"No result of task {task_id} after {timeout} s. It may still wait or run: see that a worker serves its queue"
        " (celeriac queues)."
    )
