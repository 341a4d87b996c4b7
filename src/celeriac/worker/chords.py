"""Counting what has ended in the store, and seeing to the ends of chords."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from celeriac import states
from celeriac.app.base import Celeriac
from celeriac.canvas.kinds import Raw, leaves, member_id
from celeriac.exceptions import BrokerError, CeleriacError, ChordError, ImproperlyConfigured, OperationalError
from celeriac.interfaces.broker import Outgoing
from celeriac.interfaces.groups import ChordPart, GroupStore, NewChord, OverdueChord
from celeriac.interfaces.results import ResultRecord
from celeriac.types import Seconds
from celeriac.wire import groups as wire
from celeriac.wire import json
from celeriac.wire.content import accepted
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall
from celeriac.worker.outcome import Completion
from celeriac.worker.sequel import Counted, Sequel, Sequels

logger = logging.getLogger(__name__)

_AGAIN: Final[Seconds] = 30.0
"""How long one who sees to an overdue chord has for it, before another does."""
_LIMIT: Final = 100


class Gathered(Struct):
    """What came of counting: messages to send for each that was counted, and chords to close when they are sent."""

    messages: dict[int, list[Outgoing]]
    closing: dict[int, list[Counted]]


class ChordEnds:
    """Counts members, and sends the body when all have ended. Thread-safe; each step may be repeated after a crash.

    Raises `BackendError` kin. Sequels say for which of several things that ended they are by a key.
    """

    def __init__(self, app: Celeriac, sequels: Sequels) -> None:
        self._app = app
        self._sequels = sequels
        self._serializer = app.conf.result_serializer
        self._accept = accepted([app.conf.result_serializer])

    @property
    def store(self) -> GroupStore:
        """The store. Raises `ImproperlyConfigured` when it cannot count."""
        return self._app.keeper.store

    def gather(self, sequels: Iterable[tuple[int, Sequel]]) -> Gathered:
        """Store and count what `sequels` hold, and what follows from that, down to the last; return what is to be sent.

        The messages of the sequels themselves are not among it.
        """
        messages: dict[int, list[Outgoing]] = defaultdict(list)
        closing: dict[int, list[Counted]] = defaultdict(list)
        left = list(sequels)
        while left:
            self._store(sequel for _, sequel in left)
            following: list[tuple[int, Sequel]] = []
            for key, counted in self._owned(left):
                sequel = self._end(counted)
                messages[key] += sequel.messages
                closing[key].append(counted)
                following.append((key, sequel))
            left = following
        return Gathered(dict(messages), dict(closing))

    def carry_out(self, left: list[Completion], settle: Callable[[list[Completion]], set[str]]) -> None:
        """Count what has ended, settle with what follows from that, and close the chords whose end has been sent.

        `settle` sends and settles, and returns the tags of leases that were lost: their chords stay open, for others.
        """
        for place, one in enumerate(left):
            if one.sequel is not None and one.sequel.unsent is not None:
                left[place] = self._instead(one, one.sequel, one.sequel.unsent)
        sequels = [(place, one.sequel) for place, one in enumerate(left) if one.sequel is not None]
        gathered = self.gather(sequels)
        for place, messages in gathered.messages.items():
            one, more = left[place], self._sequels.again(messages) if left[place].repeats else messages
            call, ends = None if one.sequel is None else one.sequel.call, gathered.closing[place]
            rest = Sequel(more, call=call, ends=ends)
            left[place] = msgspec.structs.replace(one, follow_ups=[*one.follow_ups, *more], sequel=rest)
        ending = [(left[place].lease, chords) for place, chords in gathered.closing.items()]
        lost = settle(left)
        closing = [chord for lease, chords in ending if lease is None or lease.tag not in lost for chord in chords]
        if closing:
            try:
                self.store.close([counted.part.chord for counted in closing])
            except OperationalError as error:
                logger.warning(
                    "What was counted of %s chords that have ended is left to expire: %s", len(closing), error
                )

    def _instead(self, one: Completion, sequel: Sequel, reason: CeleriacError) -> Completion:
        """Return the end with what follows in place of what a store refused: its chords have failed, or its call."""
        call = sequel.call
        if sequel.ends:
            found = _together([self._broken(each.part.chord, each.body, reason) for each in sequel.ends], call)
        elif call is not None:
            found = self._sequels.of_broken_run(call, reason) or Sequel()
            if one.record is None and not call.ignore_result:  # another should have taken its place
                failure = TaskResult(call.id, states.FAILURE, reason, date_done=datetime.now(UTC))
                record = self._sequels.record(failure, call.reply_to)
                found = found if record is None else msgspec.structs.replace(found, records=[*found.records, record])
        else:
            found = Sequel()
        return msgspec.structs.replace(one, follow_ups=[*one.follow_ups, *found.messages], sequel=found)

    def sweep(self) -> None:
        """End chords that are overdue. Raises `BackendError` and `BrokerError` kin."""
        groups = self._app.groups
        if groups is None:
            return
        now = self._app.clock.now()
        for chord in groups.overdue(now=now, again=now + _AGAIN, limit=_LIMIT):
            body = json.loads(chord.body)
            if chord.is_complete and self._has_run(body):  # whoever sent it died before it could close the chord
                sequel = Sequel()
            elif chord.is_complete:
                sequel = self._end(Counted(ChordPart(chord.id, "", None, b"", 0.0), body))
            else:
                error = ChordError(_why(chord))
                logger.error("Chord %s has failed: %s", chord.id, error)
                sequel = self._sequels.of_broken_chord(chord.id, body, error)
            try:
                closing = self._send(sequel)
            except BrokerError as error:
                if not error.is_for_good:
                    raise
                reason = ChordError(f"its callback could not be sent: {error}")
                closing = self._send(self._broken(chord.id, body, reason))
            groups.close([chord.id, *closing])

    def _send(self, sequel: Sequel) -> list[str]:
        """Carry out the end of a chord; return the chords that end with it."""
        gathered = self.gather([(0, sequel)])
        messages = [*sequel.messages, *gathered.messages.get(0, ())]
        if messages:
            self._app.broker.send(self._sequels.again(messages))
        return [counted.part.chord for counted in gathered.closing.get(0, ())]

    def _has_run(self, body: Raw) -> bool:
        """Tell whether a task of a chord's body has ended."""
        ids = [task_id for leaf in leaves(body) if (task_id := leaf["options"].get("task_id")) is not None]
        return bool(ids) and bool(self._app.reader.ends(ids))

    def _store(self, sequels: Iterable[Sequel]) -> None:
        records: list[ResultRecord] = []
        chords: list[NewChord] = []
        for sequel in sequels:
            records += sequel.records
            chords += sequel.chords
        if records:
            self._app.writer.store(records)
        if chords:
            self.store.open(chords)

    def _owned(self, sequels: Sequence[tuple[int, Sequel]]) -> list[tuple[int, Counted]]:
        """Count the parts; return those whose holder owns the end of its chord, each chord once."""
        parts = [(key, counted) for key, sequel in sequels for counted in sequel.parts]
        if not parts:
            return []
        owners = self.store.join([counted.part for _, counted in parts])
        owned = {counted.part.chord: (key, counted) for (key, counted), owns in zip(parts, owners, strict=True) if owns}
        return list(owned.values())

    def _end(self, counted: Counted) -> Sequel:
        """Return what follows when all members of a chord have ended."""
        chord, body = counted.part.chord, counted.body
        try:
            values = self._values(chord)
            return self._sequels.of_chord(chord, body, values, counted.part)
        except ChordError as error:
            return self._broken(chord, body, error)
        except ImproperlyConfigured:
            raise
        except Exception as error:  # noqa: BLE001  whatever keeps the body from being sent, the chord ends
            return self._broken(chord, body, ChordError(f"Callback error: {error!r}"))

    def _broken(self, chord: str, body: Raw, error: CeleriacError) -> Sequel:
        logger.error("Chord %s has failed: %s", chord, error)
        return self._sequels.of_broken_chord(chord, body, error)

    def _values(self, chord: str) -> list[Any]:
        """Return the members' values in order. Raises `ChordError`, naming the first that went wrong."""
        store = self.store
        found: dict[str, Any] = {}
        values: list[Any] = []
        for payload in store.parts(chord):
            member, state, value = wire.decode_part(payload, serializer=self._serializer, accept=self._accept)
            if state in states.PROPAGATE_STATES:
                raise ChordError(f"Dependency {member} raised {value!r}")
            found[member] = value
            values.append(value)
        shape = store.fetch(chord)
        return values if shape is None else _arranged(wire.decode(shape), found, values)


def sequels_of(app: Celeriac) -> tuple[Sequels, ChordEnds]:
    """Return what works out what follows the ends of an application's tasks, and what counts them."""
    sequels = Sequels(app)
    return sequels, ChordEnds(app, sequels)


def _together(sequels: Sequence[Sequel], call: TaskCall | None) -> Sequel:
    """Return what follows from several ends of chords."""
    return Sequel(
        [each for one in sequels for each in one.messages],
        [each for one in sequels for each in one.records],
        [each for one in sequels for each in one.chords],
        [each for one in sequels for each in one.parts],
        call=call,
    )


def _arranged(shape: Any, found: dict[str, Any], values: list[Any]) -> list[Any]:
    """Return the values as a stock client has noted that the members are nested."""
    try:
        _, members = shape
        arranged = [_value_of(member, found) for member in members]
    except (KeyError, TypeError, ValueError):  # a group of the same id that says something else
        return values
    return arranged


def _value_of(told: Any, found: dict[str, Any]) -> Any:
    if isinstance(told, str):
        return found[told]
    (member, _), members = told
    return found[member] if members is None else [_value_of(one, found) for one in members]


def _why(chord: OverdueChord) -> str:
    if not chord.is_sealed:
        return f"The sender of chord {chord.id} ended before it had sent all members, of which {chord.counted} ended"
    missing = ""
    if chord.missing is not None:
        missing = f"; member {chord.missing} ({member_id(chord.id, chord.missing)}) is missing"
    return f"Only {chord.counted} of {chord.size} members of chord {chord.id} ended before its deadline{missing}"
