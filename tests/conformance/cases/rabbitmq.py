"""`amqp://`: the namespace is a virtual host on a node that the suite starts once for all its cases."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celeriac.drivers import load
from celeriac.drivers.rabbitmq.address import parse
from celeriac.drivers.rabbitmq.connecting import Connector
from celeriac.drivers.rabbitmq.contents import NO_PROPERTIES, write_properties
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.publishing import Post, publish
from celeriac.interfaces.store import StoreOptions
from celeriac.routing.queues import QueueSpec
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case
from tests.servers.rabbitmq import RabbitServer

_NO_LEASES = "a delivery lives as long as its connection, and is settled on it alone"
_SERVERS_CLOCK = "delays run on the server's clock: tests/integration/rabbitmq has tests that wait"

LEAVES_OUT = {
    "test_coordinator": "RabbitMQ has no locks and counters",
    "test_results": "RabbitMQ keeps no results, it sends them: tests/integration/rabbitmq/test_rpc.py",
    "test_results_through_faults": "as test_results",
    "test_listening": "as test_results",
    "test_revocations": "RabbitMQ keeps nothing: what is revoked is kept with the results",
    "test_groups": "RabbitMQ counts nothing: chords need another result_backend",
    "test_through_lost_connections_results_are_whole_and_no_state_steps_back": "as test_results",
    "test_results_are_stored_with_the_acknowledgement": "as test_results",
    "test_results_of_lost_leases_are_stored_and_none_takes_the_place_of_a_more_final_one": "as test_results",
    "test_results_without_acknowledgements_are_stored_too": "as test_results",
    "test_who_waits_for_a_result_that_goes_with_an_acknowledgement_is_told": "as test_results",
    "test_more_results_go_with_acknowledgements_than_one_batch_holds": "as test_results",
    "test_upkeep_counts_what_it_took_back_and_keeps_to_its_limit": _NO_LEASES,
    "test_upkeep_tells_when_the_next_lease_runs_out": _NO_LEASES,
    "test_extending_keeps_the_message": _NO_LEASES,
    "test_stats_never_miss_a_message_that_changes_hands": "RabbitMQ does not tell what is held",
    "test_a_lease_may_be_extended_and_settled_by_another_process": _NO_LEASES,
    "test_a_lease_that_ran_out_but_was_not_taken_back_harms_nobody": _NO_LEASES,
    "test_in_one_batch_only_the_lost_are_reported": _NO_LEASES,
    "test_follow_ups_of_a_lost_lease_are_not_sent": _NO_LEASES,
    "test_a_delayed_message_is_not_received_early": _SERVERS_CLOCK,
    "test_delayed_messages_become_ready_in_the_order_they_are_due": _SERVERS_CLOCK,
    "test_a_delayed_message_keeps_its_priority": _SERVERS_CLOCK,
    "test_upkeep_promotes_no_more_than_its_limit": _SERVERS_CLOCK,
    "test_upkeep_tells_when_the_next_thing_is_due": _SERVERS_CLOCK,
    "test_a_message_given_back_with_a_delay_waits": _SERVERS_CLOCK,
    "test_a_follow_up_may_be_delayed_and_have_a_priority": _SERVERS_CLOCK,
    "test_a_wait_ends_when_upkeep_makes_a_message_ready": _SERVERS_CLOCK,
    "test_purging_removes_what_is_ready_or_delayed_and_never_what_is_leased": "delayed messages wait in shared queues",
}
"""Modules and tests of the suite that this store cannot pass, and why."""

_BEHIND = "a quorum queue of RabbitMQ 3.10 puts what is given back at its end"
QUORUM_LEAVES_OUT = LEAVES_OUT | {
    "test_a_message_given_back_is_first_in_line_and_not_marked": _BEHIND,
    "test_a_message_of_a_dead_holder_is_marked_and_keeps_the_mark": _BEHIND,
}

CLASSIC = {"x-max-priority": 9}
QUORUM = {"x-queue-type": "quorum"}


@functools.cache
def server() -> RabbitServer:
    return RabbitServer().start()


def make_classic(_workspace: Path, clock: FakeClock) -> Case:
    return make("rabbitmq", clock, CLASSIC, priorities=10)


def make_quorum(_workspace: Path, clock: FakeClock) -> Case:
    return make("rabbitmq-quorum", clock, QUORUM, priorities=1)


def make(name: str, clock: FakeClock, arguments: Mapping[str, Any], *, priorities: int) -> Case:
    node = server()
    vhost = uuid.uuid4().hex
    url = node.new_vhost(vhost)
    kind = arguments.get("x-queue-type", "classic")
    options = StoreOptions(
        clock=clock,
        client_name=vhost,
        transport_options={"dead_letter_queue_type": kind},
        delayed_queue_type=kind,
        find_queue=lambda queue: QueueSpec(queue, arguments=arguments),
        priorities=priorities,
    )
    return Case(
        name=name,
        open=lambda: load(url, options),
        inject_raw=lambda queue, raw: inject_raw(url, options, queue, raw),
        expires_by_clock=False,
        find_leaks=lambda: find_leaks(node, vhost),
    )


def inject_raw(url: str, options: StoreOptions, queue: str, raw: bytes) -> None:
    """Publish bytes with no headers and no content type."""
    broker = load(url, options).broker
    assert broker is not None
    broker.declare([options.find_queue(queue)])
    broker.close()
    links = Links(Connector(parse(url, options), options), purpose="injecting")
    publish(links, [Post("", queue, write_properties(NO_PROPERTIES), raw)])
    links.close()


def find_leaks(node: RabbitServer, vhost: str) -> list[str]:
    """Return connections that are open still, and drop the virtual host."""
    count = node.connections(vhost)
    node.drop_vhost(vhost)
    return [f"{count} connections to {vhost}"] if count else []
