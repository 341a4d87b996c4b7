"""Sending workflows: ids, results, what starts now, in which order the store is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from celeriac.app.checks import check_call
from celeriac.app.context import running
from celeriac.app.dispatch import Call, Dispatcher
from celeriac.app.eager_workflows import apply
from celeriac.app.ids import new_id
from celeriac.app.publishing import Publisher
from celeriac.canvas import forms
from celeriac.canvas.groups import Once
from celeriac.canvas.kinds import (
    CHAIN,
    CHORD,
    GROUP,
    Raw,
    as_group,
    bounded_depth,
    holds_chord,
    kind_of,
    leaves,
    member_id,
    members_of,
    plain,
    plain_options,
)
from celeriac.canvas.launching import Launched, Opening, launch, launch_members
from celeriac.canvas.wholes import OF_WHOLES, deadline_of, give_deadline, give_end
from celeriac.clock import Clock
from celeriac.exceptions import BackendError
from celeriac.interfaces.broker import Outgoing
from celeriac.interfaces.groups import NewChord
from celeriac.result.graph import beginning
from celeriac.result.groups import GroupKeeper, GroupResult
from celeriac.result.handle import AsyncResult
from celeriac.settings.conf import Settings
from celeriac.types import Args, Kwargs, Moment, Seconds
from celeriac.wire import json

_CHUNK: Final = 500
"""Messages that are encoded before they go to the broker, as in `Dispatcher.send_many`."""
_SENT_BY: Final[Seconds] = 60.0
"""A sender of whom nothing was heard for so long is dead, and its chord is over."""
_WEEK: Final[Seconds] = 7 * 86400.0
"""The longest that a chord may take where results are kept for ever; and how long one whose time is up, and that no
worker was there to end, waits for one.
"""


class Workflows:
    """Sends signatures of any kind. One per application, thread-safe."""

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        conf: Settings,
        *,
        tasks: Mapping[str, Any],
        dispatcher: Dispatcher,
        publisher: Publisher,
        keeper: GroupKeeper,
        clock: Clock,
    ) -> None:
        self._conf = conf
        self._tasks = tasks
        self._dispatcher = dispatcher
        self._publisher = publisher
        self._keeper = keeper
        self._clock = clock

    @property
    def chord_time(self) -> Seconds:
        """How long a chord may take, unless its sender says otherwise: as long as its results live."""
        return self._conf.result_chord_expires or self._keeper.ttl or _WEEK

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]) -> Any:
        """Send a workflow; return the handle on its result when the broker has what starts.

        Raises what `Dispatcher.send` raises, `BackendError` when a chord cannot be counted, and `ImproperlyConfigured`
        where no store can. A client that dies meanwhile leaves no chord that waits for ever.
        """
        if self._conf.task_always_eager:
            return self.apply(sig, args, kwargs, options)
        with bounded_depth():
            return self._send(sig, args, kwargs, options)

    def _send(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]) -> Any:
        kind, options = kind_of(sig), dict(options)
        wanted = options.pop("add_to_parent", True)
        if kind == GROUP and isinstance(members_of(sig), Once):
            result = self._stream_group(sig, args, kwargs, options)
        elif kind == CHORD and isinstance(members_of(as_group(sig["kwargs"]["header"])), Once):
            result = self._stream_chord(sig, args, kwargs, options)
        else:
            result = self._send_whole(sig, args, kwargs, options)
        request = running.get()
        if wanted and not request.called_directly:
            request.children += beginning(result)
        return result

    def prepared(self, launched: Iterable[Launched]) -> tuple[list[Outgoing], list[NewChord]]:
        """Return the messages and the chords of what a worker sends when a task has ended.

        Raises `ImproperlyConfigured` when there are chords and no store can count them.
        """
        messages: list[Outgoing] = []
        chords: list[NewChord] = []
        for one in launched:
            if isinstance(one, Opening):
                chords.append(self.new_chord(one))
            else:
                messages.append(self._dispatcher.prepare(self.call_of(one)))
        if chords:
            self._keeper.require_store()
        return messages, chords

    def call_of(self, leaf: Raw) -> Call:
        """Return the call that a task of a workflow is."""
        name = leaf["task"]
        options = leaf["options"]
        options.pop("route_name", None)
        return Call(name, leaf["args"], leaf["kwargs"], options, self._tasks.get(name))

    def new_chord(self, opening: Opening, *, sent_by: Moment | None = None) -> NewChord:
        """Return what the store is to know of a chord."""
        now = self._clock.now()
        deadline = deadline_of(opening.body) or now + self.chord_time
        time = max(0.0, deadline - now)
        return NewChord(
            id=opening.id,
            size=opening.size,
            body=json.dumps(opening.body),
            deadline=deadline,
            ttl=time + _WEEK,
            sent_by=sent_by,
        )

    # -- results ----------------------------------------------------------------------------------------------------

    def freeze(self, sig: Mapping[str, Any], last_id: str | None) -> Any:
        """Give an id to every task of a signature, in it; return the handle on its result."""
        with bounded_depth():
            _name_in_place(sig, last_id)
            found = self._form(sig, {}, last_id)
            if found is None:
                raise ValueError("An empty chain has no result: give it a task.")
            return self._result(*found)

    def _result(self, form: Raw, is_extended: bool) -> Any:  # noqa: FBT001  as `_form` returns it
        result = self.handle(form)
        return result.parent if is_extended else result

    def handle(self, form: Raw, parent: Any = None) -> Any:
        """Return the handle on the result of a workflow in its normal form, with its parents."""
        kind = kind_of(form)
        if kind == CHAIN:
            for step in members_of(form):
                parent = self.handle(step, parent)
            return parent
        if kind == CHORD:
            return self.handle(form["kwargs"]["body"], self.handle(form["kwargs"]["header"], parent))
        task_id = form["options"]["task_id"]
        if kind == GROUP:
            members = [self.handle(one) for one in members_of(form)]
            return GroupResult(task_id, members, parent=parent, keeper=self._keeper)
        ignored = self._ignores(form)
        return AsyncResult(task_id, self._keeper.reader, parent=parent, ignored=ignored, name=form["task"])

    # -- running here -----------------------------------------------------------------------------------------------

    def apply(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]) -> Any:
        """Run a workflow here, one task after the other; return a result that is there already."""
        found = self._form(sig, options)
        if found is None:
            return None
        form, _ = found
        return apply(form, list(args), dict(kwargs), self._tasks, keeper=self._keeper)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _form(
        self, sig: Mapping[str, Any], options: Mapping[str, Any], last_id: str | None = None
    ) -> tuple[Raw, bool] | None:
        """Return the normal form, named, of a signature with options that win over its own.

        The second value says that a task was put behind it which is not the user's, see `wholes.give_end`.
        """
        copy = plain(sig)
        copy["options"] = {**copy["options"], **plain_options(options)}
        whole = {name: copy["options"].pop(name, None) for name in OF_WHOLES}
        form, is_extended = forms.normal(copy), False
        if form is None:
            return None
        if whole["on_end"] is not None:
            form, is_extended = give_end(form, whole["on_end"])
        if whole["workflow_deadline"] is not None:
            check_call(form["task"], {"workflow_deadline": whole["workflow_deadline"]})
            give_deadline(form, self._clock.now() + whole["workflow_deadline"])
        forms.name_all(form, new_id, None if is_extended else last_id or copy["options"].get("task_id"))
        return form, is_extended

    def _send_whole(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: dict[str, Any]) -> Any:
        found = self._form(sig, options)
        if found is None:
            return None
        form, is_extended = found
        if holds_chord(form):
            self._keeper.require_store()
        result = self._result(form, is_extended)
        launched = list(launch(form, args, kwargs))
        openings = [one for one in launched if isinstance(one, Opening)]
        calls = [self.call_of(one) for one in launched if not isinstance(one, Opening)]
        self._open(openings)
        for start in range(0, len(calls), _CHUNK):
            if start:
                self._still_sending(openings)
            self._send_calls(calls[start : start + _CHUNK])
        self._all_sent(openings)
        return result

    def _send_calls(self, calls: Sequence[Call]) -> None:
        messages = [self._dispatcher.prepare(call) for call in calls]
        policy = self._dispatcher.policy(calls[0].options) if calls else None
        if messages:
            self._publisher.send(messages, policy=policy, in_task=not running.get().called_directly)
        self._dispatcher.tell_sent(calls, messages)

    # -- what comes from a generator --------------------------------------------------------------------------------

    def _stream_group(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: dict[str, Any]) -> Any:
        group_id = options.pop("task_id", None) or sig["options"].get("task_id") or new_id()
        handles: list[Any] = []
        members = self._streamed(members_of(sig), {**sig["options"], **options}, handles, group_id)
        for chunk in _chunks(launch_members(members, args, kwargs, group_id=group_id)):
            self._send_calls([self.call_of(one) for one in chunk if not isinstance(one, Opening)])
        return GroupResult(group_id, handles, keeper=self._keeper)

    def _stream_chord(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: dict[str, Any]) -> Any:
        header = sig["kwargs"]["header"]
        # The rules are applied to the chord with one member in place of those that come.
        sample = {**sig, "kwargs": {**sig["kwargs"], "header": {**header, "kwargs": {"tasks": [_STAND_IN]}}}}
        found = self._form(sample, options)
        assert found is not None
        form, is_extended = found
        first = members_of(form)[0] if kind_of(form) == CHAIN else form
        group_id = first["kwargs"]["header"]["options"]["task_id"]
        opening, stand_in = list(islice(launch(form, args, kwargs), 2))
        assert isinstance(opening, Opening)
        assert not isinstance(stand_in, Opening)
        opening.size = None
        given = {name: value for name, value in stand_in["options"].items() if name not in _OF_STAND_IN}
        handles: list[Any] = []
        members = self._streamed(members_of(header), header["options"], handles, group_id, in_chord=True)
        started = launch_members(members, args, kwargs, given=given, group_id=group_id, body=opening.body)
        self._open([opening])
        waiting: list[Launched] = []
        for chunk in _chunks(started):
            if waiting:
                self._send_members(waiting, opening)
            waiting = chunk
        opening.size = len(handles)
        self._keep_open(opening, size=len(handles))
        self._send_members(waiting, opening)
        if not handles:
            messages, chords = self.prepared(launch(opening.body, ([],)))
            self._keeper.store.close([group_id])
            self._keeper.store.open(chords)
            self._publisher.send(messages)
        else:
            self._all_sent([opening])
        result = self.handle(form)
        _root_of(result).results = handles
        return result.parent if is_extended else result

    def _send_members(self, chunk: Sequence[Launched], opening: Opening) -> None:
        inner = [one for one in chunk if isinstance(one, Opening)]
        self._open(inner)
        self._send_calls([self.call_of(one) for one in chunk if not isinstance(one, Opening)])
        self._all_sent(inner)
        self._keep_open(opening, size=opening.size)

    def _streamed(
        self,
        members: Iterable[Any],
        options: Mapping[str, Any],
        handles: list[Any],
        group_id: str,
        *,
        in_chord: bool = False,
    ) -> Iterator[Raw]:
        """Yield the members of a group as they come, in their normal form and named; note their handles."""
        spread = {name: value for name, value in options.items() if name not in ("task_id", "link", "link_error")}
        for one in members:
            for member in forms.flat([plain(one)]):
                found = forms.ends_in_one(member) if in_chord else member
                forms.spread(found, spread)
                forms.name_all(found, new_id, member_id(group_id, len(handles)) if in_chord else None)
                handles.append(self.handle(found))
                yield found

    # -- telling the store ------------------------------------------------------------------------------------------

    def _open(self, openings: Sequence[Opening]) -> None:
        if openings:
            sent_by = self._clock.now() + _SENT_BY
            self._keeper.store.open([self.new_chord(one, sent_by=sent_by) for one in openings], anew=True)

    def _still_sending(self, openings: Sequence[Opening]) -> None:
        for one in openings:
            self._keep_open(one, size=one.size)

    def _keep_open(self, opening: Opening, *, size: int | None) -> None:
        if not self._keeper.store.seal(opening.id, size=size, sent_by=self._clock.now() + _SENT_BY):
            raise _over(opening)

    def _all_sent(self, openings: Sequence[Opening]) -> None:
        for one in openings:
            if not self._keeper.store.seal(one.id, size=None):
                raise _over(one)

    def _ignores(self, form: Raw) -> bool:
        said = form["options"].get("ignore_result")
        if said is None:
            task = self._tasks.get(form["task"])
            said = None if task is None else task.ignore_result
        return self._conf.task_ignore_result if said is None else bool(said)


_STAND_IN: Final[Raw] = {"task": "-", "args": (), "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
_OF_STAND_IN: Final = frozenset({"task_id", "chord", "group_id", "group_index"})


def _name_in_place(sig: Mapping[str, Any], last_id: str | None) -> None:
    kind = kind_of(sig)
    if kind == GROUP:
        sig["options"].setdefault("task_id", new_id())
    elif kind == CHORD:
        header = sig["kwargs"]["header"]
        header["options"].setdefault("task_id", new_id())
        for index, one in enumerate(members_of(header)):
            if kind_of(one) == "":
                one["options"].setdefault("task_id", member_id(header["options"]["task_id"], index))
    ends = list(leaves(sig))
    if last_id is not None and ends and kind != GROUP:
        ends[-1]["options"].setdefault("task_id", last_id)
    for leaf in ends:
        leaf["options"].setdefault("task_id", new_id())


def _chunks(launched: Iterator[Launched]) -> Iterator[list[Launched]]:
    while chunk := list(islice(launched, _CHUNK)):
        yield chunk


def _root_of(result: Any) -> Any:
    """Return the header's result, to which the parents of a chord's result lead."""
    while not isinstance(result, GroupResult) or result.parent is not None:
        result = result.parent
    return result


def _over(opening: Opening) -> BackendError:
    return BackendError(
        f"Chord {opening.id} is over: nothing was heard of its sender for {_SENT_BY:g} s, so its body has failed."
    )
