"""A supervisor whose engines are the other ends of its pipes and no processes; the test speaks for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from celeriac.interfaces.broker import Lease
from celeriac.testing.conformance.samples import eventually
from celeriac.worker.board import Board
from celeriac.worker.ledger import RingLedger
from celeriac.worker.notes import encode, read_supervisor_note
from celeriac.worker.recovery import Recovery
from celeriac.worker.supervisor import Supervisor

DEADLINE = 10.0


class Pipes:
    """A launcher whose engines are pipes that the test speaks for."""

    def __init__(self) -> None:
        self.ends: dict[int, Connection] = {}
        self.launched: list[int] = []
        self._reports, self._reporter = Pipe(duplex=False)
        self._ended: list[tuple[int, int]] = []
        self.is_gone = False
        self.processes: dict[int, int] = {}

    def launch(self, index: int) -> Connection:
        ours, theirs = Pipe()
        self.ends[index] = theirs
        self.launched.append(index)
        return ours

    def waitables(self) -> Sequence[Any]:
        return [self._reports]

    def exits(self) -> Sequence[tuple[int, int]]:
        self._reports.recv_bytes()
        if self.is_gone:
            raise OSError("the process that forks engines is gone")
        ended, self._ended = self._ended, []
        return ended

    def pid(self, index: int) -> int | None:
        return self.processes.get(index)

    def close(self) -> None:
        for end in (self._reports, self._reporter, *self.ends.values()):
            end.close()

    # -- what the test says for an engine ---

    def say(self, index: int, note: Any) -> None:
        self.ends[index].send_bytes(encode(note))

    def hear(self, index: int) -> Any:
        assert self.ends[index].poll(DEADLINE), "the supervisor said nothing"
        return read_supervisor_note(self.ends[index].recv_bytes())

    def end(self, index: int, status: int = 0) -> None:
        self.ends[index].close()
        self._ended.append((index, status))
        self._reporter.send_bytes(b"!")

    def vanish(self) -> None:
        self.is_gone = True
        self._reporter.send_bytes(b"!")


def owner_of(index: int) -> str:
    return f"engine {index} of the test's node"


def recovery(app: Any) -> Recovery:
    return Recovery(
        app.broker,
        app.writer,
        acks_timeouts={"strict": False},
        owner=owner_of,
        coroutines={"coroutine"},
        clock=app.clock,
    )


class Node:
    """A supervisor that runs in a thread."""

    def __init__(self, app: Any, *, engines: int) -> None:
        self.pipes = Pipes()
        self.ready = threading.Semaphore(0)
        self.board = Board(engines=engines, rows=2)
        boards = [self.board.of(index) for index in range(1, engines + 1)]
        self.supervisor = Supervisor(self.pipes, recovery(app), boards=boards, grace=None, on_ready=self.ready.release)
        self._pool = ThreadPoolExecutor(1)
        self.code = self._pool.submit(self.supervisor.run)
        eventually(lambda: len(self.pipes.launched) == engines)

    def ledger(self, index: int) -> RingLedger:
        """Return what an engine writes its holdings into."""
        return RingLedger(self.board.of(index).ring, self.pipes.ends[index])

    def held(self) -> list[Lease]:
        return [lease for holder in self.supervisor.holders() for lease in holder.holdings.all()]

    def close(self) -> None:
        self.supervisor.stop()
        for index in list(self.pipes.ends):
            if not self.pipes.ends[index].closed and not self.code.done():
                self.pipes.end(index)
        self.code.result(DEADLINE)
        self._pool.shutdown()
        self.pipes.close()
        self.board.close()
