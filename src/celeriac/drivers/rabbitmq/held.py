"""What this process holds of RabbitMQ's messages: by lease, each on the channel that it was delivered on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from celeriac.drivers.rabbitmq.channel import Arrival, Channel
from celeriac.drivers.rabbitmq.errors import WireError
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.interfaces.broker import Lease

__all__ = ["Held", "Holdings", "place_of"]


class Held(Struct):
    """A delivery in our hands: on which channel, under which number there. Both change when it is parked anew.

    `since` is when it came, by `time.monotonic`. What `is_parked` is held on a queue of our own.
    `returns_as` is the count of crashes to give it back with: a run that ended in giving back was none.
    """

    queue: str
    channel: Channel
    number: int
    arrival: Arrival
    crashes: int
    deliveries: int
    since: float
    is_parked: bool = False
    returns_as: int = 0


def place_of(tag: str) -> tuple[int, int, str] | None:
    """Return the channel, the number and the consumer by which a lease's delivery came; None for no tag of ours."""
    parts = tag.split(".")
    try:
        return int(parts[1], 16), int(parts[2], 16), parts[4]
    except (IndexError, ValueError):
        return None


class Holdings:
    """Leases and what they stand for. Thread-safe.

    A delivery ends with its channel: what is held on one that was closed, or whose connection was lost, is lost.
    """

    def __init__(self, is_replicated: Callable[[str], bool]) -> None:
        self._is_replicated = is_replicated
        self._count = 0
        self._guard_held = threading.Lock()
        # Held while a few bytes go to the kernel: the server closes a channel on which a word about the first five
        # comes after one about the first eight.
        self._guard_order = threading.Lock()
        self._held: dict[str, Held] = {}
        self._by_channel: dict[int, dict[int, str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, arrivals: Iterable[Held]) -> list[Lease]:
        """Take deliveries in; return their leases."""
        leases = []
        with self._guard_held:
            for held in arrivals:
                self._count += 1
                channel, number = held.channel, held.number
                tag = f"{channel.link.salt}.{channel.number:x}.{number:x}.{self._count:x}.{held.arrival.consumer}"
                self._held[tag] = held
                self._by_channel.setdefault(id(channel), {})[number] = tag
                leases.append(Lease(held.queue, tag))
        return leases

    def find(self, leases: Sequence[Lease]) -> tuple[dict[str, Held], list[Lease]]:
        """Return what is held, by tag, and the leases that are lost."""
        found: dict[str, Held] = {}
        lost: list[Lease] = []
        with self._guard_held:
            for lease in leases:
                held = self._held.get(lease.tag)
                if held is None or not held.channel.is_open:
                    lost.append(lease)
                    if held is not None:
                        self._forget(lease.tag, held)
                else:
                    found[lease.tag] = held
        return found, lost

    def older_than(self, moment: float) -> dict[str, Held]:
        """Return what came before a moment, by tag."""
        with self._guard_held:
            return {tag: held for tag, held in self._held.items() if held.since < moment and held.channel.is_open}

    def ack(self, tags: Sequence[str], *, going_on: Channel | None = None, question: bytes = b"") -> None:
        """Acknowledge; one word to the server for all that came first on a channel. Raises `WireError`.

        The consumer that stands on the channel `going_on` goes on, which others do not; `question` goes there in the
        same write.
        """
        self._settle(tags, _acknowledging, going_on=going_on, question=question)

    def give_back(self, tags: Sequence[str]) -> None:
        """Have the server put them back where they were. Raises `WireError`."""
        self._settle(
            tags, lambda channel, number, multiple: method_frame(channel, "basic.nack", number, multiple, True)
        )

    def move(  # noqa: PLR0913  what it becomes
        self, tag: str, channel: Channel, arrival: Arrival, *, crashes: int, returns_as: int, since: float
    ) -> Held | None:
        """Note that what a lease stands for is held under another number now; return what it was held as before.

        None when the lease was settled meanwhile.
        """
        with self._guard_held:
            old = self._held.get(tag)
            if old is None:
                return None
            self._forget(tag, old)
            self._held[tag] = Held(old.queue, channel, arrival.tag, arrival, crashes, 0, since, True, returns_as)
            self._by_channel.setdefault(id(channel), {})[arrival.tag] = tag
            return old

    def held(self, tag: str) -> Held | None:
        """Return what a lease stands for; None when it was lost or settled."""
        with self._guard_held:
            held = self._held.get(tag)
            return held if held is not None and held.channel.is_open else None

    def ack_raw(self, channel: Channel, number: int, consumer: str) -> None:
        """Acknowledge what no lease stands for any more. Raises `WireError`."""
        with self._guard_order:
            ending, again = channel.ending([consumer])
            with self._guard_held:
                going_on = self._going_on(channel, again)
            channel.send(ending + method_frame(channel.number, "basic.ack", number, False) + going_on)

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._guard_held:
            self._held.clear()
            self._by_channel.clear()

    def _settle(
        self,
        tags: Sequence[str],
        frame: Callable[[int, int, bool], bytes],
        *,
        going_on: Channel | None = None,
        question: bytes = b"",
    ) -> None:
        failure: WireError | None = None
        with self._guard_order:
            with self._guard_held:
                frames = self._settling(tags, frame, going_on)
            for channel, data in frames:
                try:
                    channel.send(data + question if channel is going_on else data)
                except WireError as error:
                    failure = error
        if failure is not None:
            raise failure

    def _settling(
        self, tags: Sequence[str], frame: Callable[[int, int, bool], bytes], going_on: Channel | None
    ) -> list[tuple[Channel, bytes]]:
        numbers: dict[int, tuple[Channel, list[int]]] = {}
        consumers: dict[int, set[str]] = {}
        for tag in tags:
            held = self._held.pop(tag, None)
            if held is not None:
                key = id(held.channel)
                if self._is_replicated(held.queue):
                    held.channel.settled.add(held.queue)
                numbers.setdefault(key, (held.channel, []))[1].append(held.number)
                consumers.setdefault(key, set()).add(held.arrival.consumer)
        frames = []
        for key, (channel, these) in numbers.items():
            outstanding, wanted = self._by_channel[key], set(these)
            through = 0
            for number in outstanding:  # in the order of their coming
                if number not in wanted:
                    break
                through = number
            if channel is going_on:
                channel.make_room(wanted)
            ending, again = channel.ending(consumers[key])
            parts = [ending, frame(channel.number, through, True) if through else b""]
            parts += [frame(channel.number, number, False) for number in sorted(wanted) if number > through]
            if len(wanted) == len(outstanding):
                del self._by_channel[key]
            else:
                for number in wanted:
                    del outstanding[number]
                parts.append(self._going_on(channel, again))
            frames.append((channel, b"".join(parts)))
        return frames

    def _going_on(self, channel: Channel, consumers: dict[str, str]) -> bytes:
        """Return the frames by which those of the ended consumers go on that hold something still."""
        if not consumers:
            return b""
        left = self._by_channel.get(id(channel), {}).values()
        holding = {self._held[tag].arrival.consumer for tag in left}
        return channel.going_on({name: queue for name, queue in consumers.items() if name in holding})

    def _forget(self, tag: str, held: Held) -> None:
        del self._held[tag]
        outstanding = self._by_channel.get(id(held.channel))
        if outstanding is not None:
            outstanding.pop(held.number, None)
            if not outstanding:
                del self._by_channel[id(held.channel)]


def _acknowledging(channel: int, number: int, multiple: bool) -> bytes:  # noqa: FBT001  the method's argument
    return method_frame(channel, "basic.ack", number, multiple)
