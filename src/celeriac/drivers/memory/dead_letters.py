"""Dead letters in the process's memory, numbered as they died."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from celeriac.clock import Clock
from celeriac.drivers.memory.shelves import Dead, Entry, Shelf, Shelves
from celeriac.interfaces.dead_letters import DeadLetter


class MemoryDeadLetters:
    """The dead-letter contract on one `Shelves`. Thread-safe."""

    def __init__(self, shelves: Shelves, *, clock: Clock) -> None:
        self._shelves = shelves
        self._clock = clock

    def queues(self) -> Sequence[str]:
        with self._shelves.changed:
            return sorted(queue for queue, shelf in self._shelves.shelves.items() if shelf.dead)

    def page(self, queue: str, *, limit: int, after: str | None = None) -> Sequence[DeadLetter]:
        with self._shelves.changed:
            shelf = self._shelves.shelves.get(queue, _EMPTY)
            numbers = list(shelf.dead)
            end = len(numbers) if after is None else bisect_left(numbers, int(after))
            newest_first = reversed(numbers[max(0, end - limit) : end])
            return [_letter(number, queue, shelf.dead[number]) for number in newest_first]

    def fetch(self, ids: Sequence[str]) -> Mapping[str, DeadLetter]:
        with self._shelves.changed:
            return {each: _letter(number, queue, shelf.dead[number]) for each, number, queue, shelf in self._find(ids)}

    def requeue(self, ids: Sequence[str]) -> Sequence[str]:
        now = self._clock.now()
        wanted = dict.fromkeys(ids)
        with self._shelves.changed:
            for each, number, _, shelf in self._find(list(wanted)):
                del wanted[each]
                entry = shelf.dead.pop(number).entry
                shelf.put(Entry(self._shelves.number(), entry.message, entry.priority, now))
            self._shelves.changed.notify_all()
        return list(wanted)

    def remove(self, ids: Sequence[str]) -> Sequence[str]:
        wanted = dict.fromkeys(ids)
        with self._shelves.changed:
            for each, number, _, shelf in self._find(list(wanted)):
                del wanted[each]
                del shelf.dead[number]
        return list(wanted)

    def purge(self, queue: str, *, before: float | None = None) -> int:
        with self._shelves.changed:
            dead = self._shelves.shelves.get(queue, _EMPTY).dead
            old = [number for number, each in dead.items() if before is None or each.died < before]
            for number in old:
                del dead[number]
            return len(old)

    def _find(self, ids: Sequence[str]) -> Iterator[tuple[str, int, str, Shelf]]:
        """Yield id, number, queue and shelf of each letter that is there. Called with `changed` held."""
        for each in ids:
            number = int(each) if each.isdecimal() else 0
            for queue, shelf in self._shelves.shelves.items():
                if number in shelf.dead:
                    yield each, number, queue, shelf


_EMPTY = Shelf()


def _letter(number: int, queue: str, dead: Dead) -> DeadLetter:
    entry = dead.entry
    return DeadLetter(str(number), queue, dead.died, dead.reason, entry.message, entry.redelivered)
