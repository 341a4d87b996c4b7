"""From a call to a stored message: ids, times, route, encoding, and sending within a bounded time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from celeriac import signals
from celeriac.app.checks import check_call, refuse_unknown
from celeriac.app.context import Context, running
from celeriac.app.following import following
from celeriac.app.group_commit import GroupCommit
from celeriac.app.ids import new_id
from celeriac.app.moments import Moments
from celeriac.app.options import SEND_OPTIONS, SendOptions
from celeriac.app.plans import CONSTANT_OPTIONS, OPTIONS_OF_TASKS, Plan, Said, said
from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.exceptions import BrokerError, EncodeError, SendIncomplete
from celeriac.interfaces.broker import Outgoing
from celeriac.result.handle import AsyncResult
from celeriac.result.reader import ResultReader
from celeriac.routing.queues import Route
from celeriac.routing.router import Router
from celeriac.settings.conf import Settings
from celeriac.types import Args, Kwargs, Seconds
from celeriac.wire import tasks as wire
from celeriac.wire.content import is_plain_json, serializer_of
from celeriac.wire.headers import slim_headers
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall

_CHUNK: Final = 500  # messages that `send_many` encodes before it hands them on: bounds memory, fills the pipeline
_HIGHEST_PRIORITY: Final = 9
_ORDER_OF: Final = {"lowest": "low_first", "highest": "high_first"}
_REPLACEABLE: Final = ("time_limit", "soft_time_limit", "ignore_result", "shadow")
_MOST_PLANS: Final = 10_000  # names of tasks; they come from callers


class SendDefaults(Protocol):
    """What a task says about its own sending; None leaves it to routes and settings."""

    name: str
    serializer: str | None
    compression: str | None
    priority: int | None
    expires: Seconds | datetime | timedelta | None
    time_limit: Seconds | None
    soft_time_limit: Seconds | None
    ignore_result: bool | None
    queue: Any
    exchange: Any
    routing_key: str | None
    trail: bool


class Call(Struct, frozen=True):
    """A call as the user made it, before routing and encoding. `task` is None for a task known only by name."""

    name: str
    args: Args
    kwargs: Kwargs
    options: SendOptions
    task: SendDefaults | None = None


class Dispatcher:
    """Sends calls. One per application, thread-safe."""

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        conf: Settings,
        *,
        publisher: Publisher,
        router: Router,
        reader: ResultReader,
        moments: Moments,
        origin: str,
    ) -> None:
        self._conf = conf
        self._publisher = publisher
        self._router = router
        self._reader = reader
        self._moments = moments
        self._origin = origin
        self._plans: dict[str, Plan] = {}
        self._group = GroupCommit(publisher.send, patience=publisher.budget)

    def send(self, call: Call) -> AsyncResult[Any]:
        """Send one call; return its result's handle when the broker has it. Raises `BrokerError` kin in time."""
        outgoing = self.prepare(call)
        policy = self.policy(call.options) if call.options else None
        self._publisher.send((outgoing,), policy=policy, in_task=not running.get().called_directly)
        return self._sent(call, outgoing)

    def send_many(self, calls: Sequence[Call]) -> list[AsyncResult[Any]]:
        """Send calls in pipelines, with the options of the first for the sending; return the handles in order.

        Raises `SendIncomplete` with the positions that the broker has not, when it has some of the calls.
        """
        results: list[AsyncResult[Any]] = []
        policy = self.policy(calls[0].options) if calls else None
        for start in range(0, len(calls), _CHUNK):
            chunk = calls[start : start + _CHUNK]
            try:
                prepared = [self.prepare(call) for call in chunk]
                self._publisher.send(prepared, policy=policy)
            except BrokerError as error:
                raise _partly_sent(error, start=start, chunk=len(chunk), total=len(calls)) from error.__cause__
            except EncodeError as error:
                error.add_note(f"{start} of {len(calls)} calls were sent before.")
                raise
            results.extend(self._sent(call, outgoing) for call, outgoing in zip(chunk, prepared, strict=True))
        return results

    async def send_async(self, call: Call) -> AsyncResult[Any]:
        """Send one call without blocking the event loop; calls made at the same time share a round trip."""
        # asyncio costs 40 of the 60 ms that `import celeriac` may take (ADR 0004); who is here has imported it.
        import asyncio  # noqa: PLC0415

        # A mailbox needs a queue to begin with, whose making would block the event loop.
        at_hand = self._reader.is_address_at_hand
        at_once = at_hand or ((plan := self._plan_of(call)) is not None and not plan.is_answered)
        outgoing = self.prepare(call) if at_once else await asyncio.to_thread(self.prepare, call)
        policy = self.policy(call.options)
        if policy is None:
            await self._group.send(outgoing)
        else:  # a policy of its own, so a round trip of its own
            await asyncio.to_thread(self._publisher.send, [outgoing], policy=policy)
        return self._sent(call, outgoing)

    def prepare(self, call: Call) -> Outgoing:
        """Give the call an id, a route and its bytes."""
        outgoing = self._prepare_plain(call) or self._prepare(call)
        if signals.before_task_publish.receivers:
            _tell(signals.before_task_publish, call, outgoing)
        return outgoing

    def _prepare_plain(self, call: Call) -> Outgoing | None:
        """Prepare a call that has nothing but arguments by its task's plan; None when it takes more than that."""
        plan = self._plan_of(call)
        if plan is None:
            return None
        reply_to = self._reader.address() if plan.is_answered else None
        message = plan.headers and wire.encode_plain(plan.headers, new_id(), call.args, call.kwargs, reply_to)
        if not message:
            return None
        if plan.max_bytes is not None and len(message.body) > plan.max_bytes:
            self._check_size(call.name, message)
        return Outgoing(plan.route, message, plan.priority)

    def _plan_of(self, call: Call) -> Plan | None:
        """Return the plan of the calls that are like this one but for their arguments; None if it may be like none."""
        if call.options or not self._router.is_static or not running.get().called_directly:
            return None
        holds = said(self._conf, call.task)
        plan = self._plans.get(call.name)
        return self._plan(call, holds) if plan is None or plan.said != holds else plan

    def _plan(self, call: Call, holds: Said) -> Plan:
        """Make such a plan, and keep it."""
        route, options = self._route(call)
        serializer = options.get("serializer") or self._conf.task_serializer
        compression = options.get("compression") or self._conf.task_compression
        is_plain = is_plain_json(serializer) and compression is None and not self._conf.task_message_full
        is_alike = is_plain and CONSTANT_OPTIONS.issuperset(options)
        wire_call = self._wire_call(call, options, request := running.get())
        headers, most = (slim_headers(wire_call) if is_alike else None), self._conf.task_message_max_bytes
        plan = Plan(holds, route, self._priority(options, request), headers, most, not wire_call.ignore_result)
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[call.name] = plan
        return plan

    def _prepare(self, call: Call) -> Outgoing:
        if call.options and not SEND_OPTIONS.issuperset(call.options):
            refuse_unknown(call.options)
        route, options = self._route(call)
        request = running.get()
        wire_call = self._reader.addressed(self._wire_call(call, options, request))
        message = wire.encode(
            wire_call,
            serializer=options.get("serializer") or self._conf.task_serializer,
            compression=options.get("compression") or self._conf.task_compression,
            full=self._conf.task_message_full,
        )
        self._check_size(call.name, message)
        eta = wire_call.eta
        not_before = None if eta is None else eta.timestamp()
        return Outgoing(route, message, self._priority(options, request), not_before)

    def again(
        self,
        request: Context,
        task: SendDefaults,
        *,
        args: Args | None,
        kwargs: Kwargs | None,
        options: SendOptions,
    ) -> Outgoing:
        """Return the message that replaces the running one: same id, one retry more, to the queue it came from.

        What `options` leave out stays as it was, serializer and compression included. Raises what `send` raises for
        options, arguments and queues that cannot be sent to.
        """
        delivery, old = request.delivery, request.call
        changed = self.next_try(request, args=args, kwargs=kwargs, options=options)
        arrived = delivery.message if delivery is not None and isinstance(delivery.message, Message) else None
        message = wire.encode(
            changed,
            serializer=options.get("serializer")
            or (serializer_of(arrived.content_type) if arrived else None)
            or "json",
            compression=options.get("compression") or (arrived.headers.get("compression") if arrived else None),
            full=self._conf.task_message_full,
        )
        self._check_size(old.name, message)
        if delivery is None or not options.keys().isdisjoint(("queue", "exchange", "routing_key")):
            again = Call(name=old.name, args=changed.args, kwargs=changed.kwargs, options=options, task=task)
            route = self._route(again)[0]
            self._publisher.check_queue(route.queue)  # it is sent when the run has ended, too late to say so
        else:
            route = Route(queue=delivery.lease.queue, routing_key=delivery.lease.queue)
        priority = options.get("priority")
        if priority is not None:
            priority = self._as_store_reads(priority)
        elif delivery is not None:
            priority = delivery.priority
        not_before = None if changed.eta is None else changed.eta.timestamp()
        return Outgoing(route=route, message=message, priority=priority, not_before=not_before)

    def next_try(self, request: Context, *, args: Args | None, kwargs: Kwargs | None, options: SendOptions) -> TaskCall:
        """Return the running call as it is when it is tried once more; what is left out stays as it was."""
        old = request.call
        check_call(old.name, options)
        return msgspec.structs.replace(
            old,
            args=old.args if args is None else args,
            kwargs=old.kwargs if kwargs is None else kwargs,
            retries=old.retries + 1,
            eta=self._moments.start(options),
            root_id=old.root_id or old.id,
            **self._changes(options),
        )

    def rehearse(self, call: Call) -> TaskCall:
        """Return the call as a worker would get it, written and read again, without sending it.

        Raises what `send` raises for options and arguments that cannot be sent.
        """
        options = _with_own(call.options, call.task)
        described = self.describe(call)
        message = wire.encode(described, serializer=options.get("serializer") or self._conf.task_serializer)
        self._check_size(call.name, message)
        return wire.decode(message, accept=frozenset((message.content_type,)))

    def describe(self, call: Call) -> TaskCall:
        """Return the call with an id, its times and its place among other calls, as its message would have it."""
        if call.options:
            refuse_unknown(call.options)
        options = _with_own(call.options, call.task)
        check_call(call.name, options)
        return self._wire_call(call, options, running.get())

    def tell_sent(self, calls: Sequence[Call], messages: Sequence[Outgoing]) -> None:
        """Send the signal `after_task_publish` for calls that were prepared and sent by somebody else."""
        if signals.after_task_publish.receivers:
            for call, message in zip(calls, messages, strict=True):
                _tell(signals.after_task_publish, call, message)

    def close(self) -> None:
        """Send what coroutines have handed over, and stop."""
        self._group.close()

    def _route(self, call: Call) -> tuple[Route, Mapping[str, Any]]:
        """Return the route, and the options that hold: the call's, else the task's, else the route's."""
        options = _with_own(call.options, call.task)
        check_call(call.name, options)
        routed = self._router.route(call.name, call.args, call.kwargs, options, task=call.task)
        if not options.keys() >= routed.options.keys():  # routes have options too
            check_call(call.name, routed.options)
        return routed.route, routed.options

    def _wire_call(self, call: Call, options: Mapping[str, Any], request: Context) -> TaskCall:
        task_id = options.get("task_id") or new_id()
        task, inside = call.task, not request.called_directly
        ignore = options.get("ignore_result")
        if ignore is None and ((task is not None and task.ignore_result) or self._conf.task_ignore_result):
            ignore = True
        full = self._conf.task_message_full
        expires = options.get("expires")
        hard, soft = options.get("time_limit"), options.get("soft_time_limit")
        if hard is not None and soft is not None and soft > hard:
            raise ValueError(f"{call.name}: soft_time_limit={soft} is longer than time_limit={hard}.")
        return TaskCall(
            name=call.name,
            id=task_id,
            args=call.args,
            kwargs=call.kwargs,
            eta=self._moments.start(options) if options else None,
            expires=None if expires is None else self._moments.end(expires),
            group_id=options.get("group_id"),
            group_index=options.get("group_index"),
            root_id=options.get("root_id") or (request.root_id if inside else None),
            parent_id=options.get("parent_id") or (request.id if inside else None),
            time_limit=hard,
            soft_time_limit=soft,
            argsrepr=options.get("argsrepr"),
            kwargsrepr=options.get("kwargsrepr"),
            origin=self._origin if full else None,
            ignore_result=ignore,
            shadow=options.get("shadow"),
            reply_to=options.get("reply_to"),
            headers=dict(options.get("headers") or ()),
            **following(options),
        )

    def _changes(self, options: SendOptions) -> dict[str, Any]:
        """Return the fields of the call that options of a retry replace."""
        changes: dict[str, Any] = {name: options[name] for name in _REPLACEABLE if options.get(name) is not None}
        expires = options.get("expires")
        if expires is not None:
            changes["expires"] = self._moments.end(expires)
        headers = options.get("headers")
        if headers is not None:
            changes["headers"] = dict(headers)
        return changes

    def _priority(self, options: Mapping[str, Any], request: Context) -> int | None:
        priority = options.get("priority")
        if priority is None and self._conf.task_inherit_parent_priority and request.delivery is not None:
            return request.delivery.priority  # the store's number already
        return self._as_store_reads(self._conf.task_default_priority if priority is None else priority)

    def _as_store_reads(self, priority: int | None) -> int | None:
        """Return the user's priority in the store's order, where ``task_priority_order`` names another; None is 0."""
        order = self._conf.task_priority_order
        if order == "store" or order == _ORDER_OF[self._publisher.most_urgent]:
            return priority
        return max(0, _HIGHEST_PRIORITY - (priority or 0))

    def policy(self, options: SendOptions) -> PublishPolicy | None:
        """Return how the sending is tried again as the options of a call want it; None for the usual way."""
        if options.get("retry") is None and options.get("retry_policy") is None:
            return None
        return self._publisher.policy(retry=options.get("retry"), changes=options.get("retry_policy"))

    def _check_size(self, name: str, message: Message) -> None:
        most = self._conf.task_message_max_bytes
        if most is not None and len(message.body) > most:
            raise EncodeError(
                f"The arguments of {name} take {len(message.body)} bytes; task_message_max_bytes allows {most}."
                " Store the data elsewhere and send a reference to it, or raise the setting."
            )

    def _sent(self, call: Call, outgoing: Outgoing) -> AsyncResult[Any]:
        headers = outgoing.message.headers
        result: AsyncResult[Any] = AsyncResult(
            headers["id"], self._reader, ignored=bool(headers.get("ignore_result")), name=call.name
        )
        request = running.get()
        if not request.called_directly:
            wanted = call.options.get("add_to_parent", True) and (call.task is None or call.task.trail)
            if wanted:
                request.children.append(result)
        if signals.after_task_publish.receivers:
            _tell(signals.after_task_publish, call, outgoing)
        return result


def _with_own(options: SendOptions, task: SendDefaults | None) -> Mapping[str, Any]:
    """Return the options with the task's own where the call says nothing."""
    if task is None:
        return options
    own = {name: value for name in OPTIONS_OF_TASKS if (value := getattr(task, name)) is not None}
    return {**own, **options} if own else options


def _tell(signal: signals.Signal, call: Call, outgoing: Outgoing) -> None:
    signal.send(
        sender=call.name,
        body=(call.args, call.kwargs, {}),
        exchange=outgoing.route.exchange,
        routing_key=outgoing.route.routing_key,
        headers=outgoing.message.headers,
        properties={"correlation_id": outgoing.message.correlation_id, "priority": outgoing.priority},
        declare=(),
        retry_policy=None,
    )


def _partly_sent(error: BrokerError, *, start: int, chunk: int, total: int) -> BrokerError:
    """Return the error of a bulk send whose chunk at `start` failed, with every position that was not sent."""
    if not start and not isinstance(error, SendIncomplete):
        return error
    failed = error.unsent if isinstance(error, SendIncomplete) else range(chunk)
    return SendIncomplete(str(error), unsent=[*(start + position for position in failed), *range(start + chunk, total)])
