"""Dead letters as an application sees them: found by task, reason and age, given back, removed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

from msgspec import Struct

from celeriac import states
from celeriac.app import crashes
from celeriac.clock import Clock
from celeriac.exceptions import ContentDisallowed, DecodeError
from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.dead_letters import DeadLetter, DeadLetters
from celeriac.interfaces.results import ResultBackend
from celeriac.types import Moment, Seconds
from celeriac.wire import results as wire_results
from celeriac.wire.identity import peek_identity, peek_retries
from celeriac.wire.message import Message

_PAGE: Final = 100
"""Letters that are in memory at once, for each queue that is looked at."""


class Settled(Struct, frozen=True):
    """What came of a decision: how many letters it was carried out for, and the ids that were not there."""

    done: int
    missing: tuple[str, ...] = ()


class DeadLetterOffice:
    """The dead letters of an application's broker. Thread-safe; any number of processes may decide at once.

    Every method raises `BrokerError` kin when the broker fails, and ImproperlyConfigured when it shows no dead letters.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        store: Callable[[], DeadLetters],
        *,
        results: Callable[[], ResultBackend | None],
        coordinator: Callable[[], Coordinator | None],
        serializer: str,
        accept: frozenset[str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._results = results
        self._coordinator = coordinator
        self._serializer = serializer
        self._accept = accept
        self._clock = clock

    def list(
        self,
        *,
        queue: str | Sequence[str] | None = None,
        task: str | None = None,
        reason: str | None = None,
        older_than: Seconds | timedelta | None = None,
        limit: int | None = None,
    ) -> Iterator[DeadLetter]:
        """Yield the letters that fit everything said, the newest first, reading page by page.

        `queue` is a name or several, None for all. `task` is the task's name, or a pattern such as ``proj.*``;
        `reason` a part of the reason, in any case of letters. `older_than` is in seconds since the death. Letters that
        die, or are decided about, meanwhile do no harm.
        """
        store, before = self._store(), self._moment(older_than)
        pages = [_letters(store, name) for name in _names(store, queue)]
        newest_first = heapq.merge(*pages, key=lambda letter: -letter.died)
        return islice(
            (letter for letter in newest_first if matches(letter, task=task, reason=reason, before=before)), limit
        )

    def fetch(self, letter_id: str) -> DeadLetter | None:
        """Return the letter of that id, None when it is not there."""
        return self._store().fetch([letter_id]).get(letter_id)

    def requeue(self, ids: Iterable[str]) -> Settled:
        """Put the messages back at the end of the line of their queues, to be run as if for the first time.

        Their crashes are forgotten, and so are their results unless they are successes: the tasks are PENDING again.
        That is done before a message is put back, so that no end of the new run is lost by it; a crash in between
        leaves a dead letter whose task is PENDING, to be decided about again. Raises `BackendError` and
        `CoordinatorError` kin too; the letters of the batch that failed are still there.
        """
        store = self._store()
        done = 0
        missing: list[str] = []
        for batch in _batches(ids):
            letters = store.fetch(batch)
            self._forget_the_past(letters.values())
            gone = store.requeue(list(letters))
            done += len(letters) - len(gone)
            missing += [each for each in batch if each not in letters or each in gone]
        return Settled(done, tuple(missing))

    def remove(self, ids: Iterable[str]) -> Settled:
        """Remove the letters for good. Their results stay."""
        store = self._store()
        done = 0
        missing: list[str] = []
        for batch in _batches(ids):
            gone = store.remove(batch)
            done += len(set(batch)) - len(gone)
            missing += gone
        return Settled(done, tuple(missing))

    def purge(self, *, queue: str | Sequence[str] | None = None, older_than: Seconds | timedelta | None = None) -> int:
        """Remove all letters, or those of some queues, or those that died so long ago. Return how many."""
        store, before = self._store(), self._moment(older_than)
        return sum(store.purge(name, before=before) for name in _names(store, queue))

    def _moment(self, age: Seconds | timedelta | None) -> Moment | None:
        if age is None:
            return None
        return self._clock.now() - (age.total_seconds() if isinstance(age, timedelta) else age)

    def _forget_the_past(self, letters: Iterable[DeadLetter]) -> None:
        """Forget results and crashes. A second call for the same letters does nothing."""
        messages = [(letter, letter.message) for letter in letters if isinstance(letter.message, Message)]
        known = [(letter, message, peek_identity(message)[1]) for letter, message in messages]
        self._forget_results({task_id for _, _, task_id in known if task_id is not None})
        coordinator = self._coordinator()
        if coordinator is None:
            return
        for letter, message, task_id in known:
            if letter.redelivered and task_id is not None:
                crashes.forget(coordinator, task_id, peek_retries(message))

    def _forget_results(self, task_ids: Iterable[str]) -> None:
        backend = self._results()
        if backend is None:
            return
        payloads = backend.fetch(list(task_ids))
        backend.forget([task_id for task_id, payload in payloads.items() if not self._is_success(payload)])

    def _is_success(self, payload: bytes) -> bool:
        try:
            state = wire_results.state_of(payload, serializer=self._serializer, accept=self._accept)
        except (ContentDisallowed, DecodeError):  # of no use to anybody
            return False
        return state == states.SUCCESS


def matches(letter: DeadLetter, *, task: str | None, reason: str | None, before: Moment | None) -> bool:
    """Tell whether a letter fits; None fits every letter. See `DeadLetterOffice.list`."""
    if before is not None and letter.died >= before:
        return False
    if reason is not None and reason.casefold() not in letter.reason.casefold():
        return False
    return task is None or fnmatchcase(task_of(letter)[0] or "", task)


def task_of(letter: DeadLetter) -> tuple[str | None, str | None]:
    """Return the task's name and id as far as the letter's message tells them."""
    return peek_identity(letter.message) if isinstance(letter.message, Message) else (None, None)


def _names(store: DeadLetters, queue: str | Sequence[str] | None) -> Sequence[str]:
    if queue is None:
        return store.queues()
    return [queue] if isinstance(queue, str) else queue


def _letters(store: DeadLetters, queue: str) -> Iterator[DeadLetter]:
    page = store.page(queue, limit=_PAGE)
    while page:
        yield from page
        page = store.page(queue, limit=_PAGE, after=page[-1].id) if len(page) == _PAGE else ()


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while batch := list(islice(left, _PAGE)):
        yield batch
