"""What follows the end of a task that is part of a workflow: the next of the chain, callbacks, its chord's count."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from celeriac import states
from celeriac.app.base import Celeriac
from celeriac.app.context import Context, running
from celeriac.app.workflows import Workflows
from celeriac.canvas import forms
from celeriac.canvas.kinds import ACCUMULATE, CHORD, GROUP, Raw, derived_id, kind_of, members_of, plain
from celeriac.canvas.launching import launch
from celeriac.canvas.wholes import is_of_end
from celeriac.exceptions import CeleriacError, EncodeError, Ignore, Replaced, TaskRevokedError
from celeriac.interfaces.broker import Outgoing
from celeriac.interfaces.groups import ChordPart, NewChord
from celeriac.interfaces.results import ResultRecord
from celeriac.result.graph import beginning
from celeriac.wire import groups as wire
from celeriac.wire.message import Message
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall

logger = logging.getLogger(__name__)

_OLD_STYLE: Final = 1
"""Arguments of an error callback that gets the id alone, and runs as a task of its own."""


REPEATED: Final = "celeriac_repeated"
"""Header of a message that may be there twice: until when (a Unix time) it waits for the other one's end."""
_OTHERS: Final = 3.0
"""Seconds that the other one has for that."""


class Counted(Struct, frozen=True):
    """A member's end, and the body of its chord, which follows if it is the last."""

    part: ChordPart
    body: Raw


class Sequel(Struct, frozen=True):
    """What follows, besides the task's own result: `records` and `chords` are stored and `parts` are counted before
    the messages go out, and `children` are the results of what they start.

    `call` is there while others wait for what follows: it fails with them where a store refuses the messages. `ends`
    are chords of which the messages are the ends; they fail instead. `unsent` is why, when it has come to that; what
    follows then has to be worked out (see `ChordEnds.carry_out`).
    """

    messages: Sequence[Outgoing] = ()
    records: Sequence[ResultRecord] = ()
    chords: Sequence[NewChord] = ()
    parts: Sequence[Counted] = ()
    children: Sequence[Any] = ()
    call: TaskCall | None = None
    ends: Sequence[Counted] = ()
    unsent: CeleriacError | None = None


class Sequels:
    """Works out what follows. Thread-safe.

    Ids of what follows are derived from the task's own, so that they are the same each time; see ADR 0015.
    """

    def __init__(self, app: Celeriac) -> None:
        self._app = app
        self._workflows: Workflows = app.workflows
        self._serializer = app.conf.result_serializer

    # -- the ends of a task -----------------------------------------------------------------------------------------

    def of_success(self, call: TaskCall, value: Any) -> Sequel:
        """Return what follows a task that returned. Raises `EncodeError` when the value cannot be passed on."""
        launched: list[Any] = []
        children: list[Any] = []
        given = _given(call)
        for place, callback in enumerate(call.callbacks or ()):
            form = self._form(callback, call.id, "link", place)
            if form is not None:
                children += beginning(self._workflows.handle(form))
                launched += launch(form, (value,), given=given)
        if call.chain:
            step, tail = call.chain[-1], call.chain[:-1]
            form = self._form(step, call.id, "chain", len(tail))
            if form is not None:
                children += beginning(self._workflows.handle(form))
                launched += launch(form, (value,), given=given, tail=tail)
        messages, chords = self._workflows.prepared(launched)
        return Sequel(messages, (), chords, self.parts(call, states.SUCCESS, value), children, call)

    def of_ignored(self, call: TaskCall, ignored: Ignore) -> Sequel | None:
        """Return what takes the place of a task that left its own state alone; or what follows it: those after it will
        never have a value.
        """
        if isinstance(ignored, Replaced):
            messages, chords = self._workflows.prepared(launch(dict(ignored.signature), given=_given(call)))
            return Sequel(messages, (), chords, call=call)
        if not has_sequel(call):
            return None
        reason = TaskRevokedError(f"{call.name}[{call.id}] was ignored")
        return self.of_failure(call, reason, state=states.REVOKED)

    def of_failure(
        self, call: TaskCall, error: BaseException, *, state: str = states.FAILURE, trace: str | None = None
    ) -> Sequel:
        """Return what follows a task that has failed, or was revoked: those after it have ended as it did."""
        found = Following(self, Failure(error, state, trace))
        found.errbacks(call)
        found.part(call)
        for step in reversed(call.chain or ()):
            found.fail(plain(step), call)
        return found.sequel()

    def of_broken_run(self, call: TaskCall, error: BaseException) -> Sequel | None:
        """Return what follows a task whose end could not be worked out as usual. Raises nothing."""
        try:
            return self.of_failure(call, error) if has_sequel(call) else None
        except Exception:
            logger.exception("What follows task %s[%s] cannot be read", call.name, call.id)
            return None

    def of_chord(self, chord: str, body: Raw, values: Sequence[Any], last: ChordPart | None) -> Sequel:
        """Return what follows when all members of a chord have ended well: its body."""
        body = self._formed(body, chord)
        given = {"root_id": body["options"].get("root_id"), "parent_id": None if last is None else last.member}
        messages, chords = self._workflows.prepared(
            launch(body, (list(values),), given={name: value for name, value in given.items() if value is not None})
        )
        return Sequel(messages, (), chords)

    def of_broken_chord(self, chord: str, body: Raw, error: BaseException) -> Sequel:
        """Return what follows when a chord's body cannot run."""
        found = Following(self, Failure(error))
        found.fail(self._formed(body, chord), None, is_loud=True)
        return found.sequel()

    def now(self) -> float:
        """Return the Unix time."""
        return self._app.clock.now()

    @property
    def settles_apart(self) -> bool:
        """Tell whether an end may be stored whose message is not settled: by who died, or was cut off, in between."""
        return not self._app.broker.capabilities.atomic_follow_ups

    def again(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Return what one has perhaps sent already who died before it could acknowledge, marked as such.

        Where the store does both in one step, it has not.
        """
        if not self.settles_apart:
            return list(messages)
        mark = {REPEATED: self.now() + _OTHERS}
        return [replace(each, message=_with_headers(each.message, mark)) for each in messages]

    # -- parts ------------------------------------------------------------------------------------------------------

    def record(self, result: TaskResult, reply_to: str | None) -> ResultRecord | None:
        writer = self._app.writer
        return writer.record_of_error(result, reply_to) if writer.keeps_results else None

    def old_style(self, errback: Raw) -> bool:
        """Tell whether an error callback is a task to send, rather than a function to call here."""
        task = self._app.tasks.get(errback["task"])
        if task is None or kind_of(errback) or errback.get("immutable"):
            return True
        return not task.takes_more_than(_OLD_STYLE + len(errback["args"]), errback["kwargs"])

    def call_here(self, errback: Raw, request: Context, error: BaseException, trace: str | None) -> None:
        """Call an error callback of the new style with the request, the exception and the traceback."""
        task = self._app.tasks[errback["task"]]
        try:
            task(request, error, trace, *errback["args"], **errback["kwargs"])
        except Exception:
            logger.exception("Error callback %s of task %s failed", errback["task"], request.id)

    def launched(self, sig: Raw, parent: str, place: int, args: Sequence[Any], **given: Any) -> list[Any]:
        form = self._form(sig, parent, "link_error", place)
        return [] if form is None else list(launch(form, args, given=given))

    def prepared(self, launched: Iterable[Any]) -> tuple[list[Outgoing], list[NewChord]]:
        return self._workflows.prepared(launched)

    def _form(self, sig: Raw, parent: str, *role: object) -> Raw | None:
        form = forms.normal(plain(sig))
        if form is not None:
            names = (derived_id(parent, *role, count) for count in range(1_000_000_000))
            forms.name_all(form, lambda: next(names))
        return form

    def _formed(self, body: Raw, chord: str) -> Raw:
        form = self._form(body, chord, "body")
        if form is None:
            raise EncodeError(f"the body of chord {chord} is empty")
        return form

    def parts(self, call: TaskCall, state: str, value: Any) -> list[Counted]:
        """Return the end of a task, to be counted by its chord, if it has one. Raises `EncodeError`."""
        if call.chord is None or call.group_id is None:
            return []
        payload = wire.encode_part(call.id, state, value, serializer=self._serializer)
        part = ChordPart(call.group_id, call.id, call.group_index, payload, self._workflows.chord_time)
        return [Counted(part, call.chord)]


class Failure(Struct, frozen=True):
    """What goes on to those that cannot run any more."""

    error: BaseException
    state: str = states.FAILURE
    trace: str | None = None


class Following:
    """Gathers what follows a failure: records of those that cannot run any more, error callbacks, parts of chords."""

    def __init__(self, sequels: Sequels, failure: Failure) -> None:
        self._sequels = sequels
        self._failure = failure
        self._launched: list[Any] = []
        self._records: list[ResultRecord] = []
        self._parts: list[Counted] = []

    def sequel(self) -> Sequel:
        messages, chords = self._sequels.prepared(self._launched)
        return Sequel(messages, self._records, chords, self._parts)

    def errbacks(self, call: TaskCall) -> None:
        """Call the error callbacks of a call here, or have them sent; after a revocation only what follows any end."""
        failure = self._failure
        for place, errback in enumerate(map(plain, call.errbacks or ())):
            if failure.state != states.FAILURE and not is_of_end(errback):
                continue
            if self._sequels.old_style(errback):
                given = {"root_id": call.root_id or call.id, "parent_id": call.id}
                self._launched += self._sequels.launched(errback, call.id, place, (call.id,), **given)
            else:
                request = running.get()
                if request.id != call.id:
                    request = Context(call, called_directly=False)
                self._sequels.call_here(errback, request, failure.error, failure.trace)

    def part(self, call: TaskCall) -> None:
        """Have the end counted by the chord of the task, if it has one."""
        self._parts += self._sequels.parts(call, self._failure.state, self._failure.error)

    def fail(self, sig: Raw, after: TaskCall | None, *, is_loud: bool = False) -> None:
        """Note that what would have run has failed instead, `after` another.

        Where it is loud, the error callbacks of what would have ended it are called: so it is with a chord's body.
        """
        kind = kind_of(sig)
        if kind == GROUP:
            for member in members_of(sig):
                self.fail(member, after, is_loud=is_loud)
        elif kind == CHORD:
            header, body = sig["kwargs"]["header"], sig["kwargs"]["body"]
            self.fail(header, after, is_loud=is_loud and body["task"] == ACCUMULATE)  # a group is what the user wrote
            self._fail_row([body, *reversed(sig["options"].get("chain") or ())], after, is_loud=is_loud)
        elif kind:
            self._fail_row(members_of(sig), after, is_loud=is_loud)
        else:
            self._fail_task(sig, after, is_loud=is_loud)

    def _fail_row(self, steps: Sequence[Raw], after: TaskCall | None, *, is_loud: bool) -> None:
        """Note it of steps in a row; the loud one is the first that is no group which another follows."""
        for place, step in enumerate(steps, 1):
            goes_on = place < len(steps) and kind_of(forms.last_of(step)) == GROUP
            self.fail(step, after, is_loud=is_loud and not goes_on)
            is_loud = is_loud and goes_on

    def _fail_task(self, sig: Raw, after: TaskCall | None, *, is_loud: bool) -> None:
        options, failure = sig["options"], self._failure
        task_id = options.get("task_id")
        if task_id is None:
            return
        call = _as_call(sig, task_id, after)
        if not options.get("ignore_result"):
            record = self._sequels.record(
                TaskResult(
                    task_id=task_id,
                    state=failure.state,
                    result=failure.error,
                    traceback=failure.trace,
                    date_done=datetime.now(UTC),
                    group_id=call.group_id,
                    parent_id=call.parent_id,
                ),
                call.reply_to,
            )
            if record is not None:
                self._records.append(record)
        self.part(call)
        if is_loud:
            self.errbacks(call)
        for step in reversed(call.chain or ()):
            self.fail(step, call)


def has_sequel(call: TaskCall) -> bool:
    """Tell whether a failure of the call concerns others."""
    return bool(call.chain or call.chord or call.errbacks)


def _with_headers(message: Message, headers: Mapping[str, Any]) -> Message:
    return replace(message, headers={**message.headers, **headers})


def _given(call: TaskCall) -> dict[str, Any]:
    """Return the options that what follows a task has from it."""
    given: dict[str, Any] = {"root_id": call.root_id or call.id, "parent_id": call.id}
    if call.reply_to is not None:
        given["reply_to"] = call.reply_to
    return given


def _as_call(sig: Raw, task_id: str, after: TaskCall | None) -> TaskCall:
    options = sig["options"]
    return TaskCall(
        name=sig["task"],
        id=task_id,
        args=sig["args"],
        kwargs=sig["kwargs"],
        group_id=options.get("group_id"),
        group_index=options.get("group_index"),
        chord=options.get("chord"),
        chain=options.get("chain"),
        errbacks=options.get("link_error"),
        root_id=options.get("root_id") or (after.root_id if after else None),
        parent_id=options.get("parent_id") or (after.id if after else None),
        reply_to=options.get("reply_to") or (after.reply_to if after else None),
    )
