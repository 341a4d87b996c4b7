"""Connections: how they are made, secured, lost, and made again."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from celeriac.drivers.rabbitmq.transport import Transport
from celeriac.exceptions import BrokerUnavailable, ImproperlyConfigured
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.testing.conformance.samples import (
    DEADLINE,
    drain,
    eventually,
    in_thread,
    leases,
    names,
    receive,
    send,
    until_it_passes,
)
from celeriac.wire.message import Message
from tests.servers.ports import free_port

HERE = "127.0.0.1"


def tls_of(node, **more):
    return {"ca_certs": str(node.ca_file), **more}


def test_a_verified_certificate_lets_messages_through(node, open_store):
    broker = open_store(node.tls_url, tls=tls_of(node)).broker
    send(broker, 1, queue="by-tls")
    large = Message({"n": "large"}, bytes(range(256)) * 4000)
    broker.send([Outgoing(Route("by-tls"), large)])
    assert names(receive(broker, "by-tls", limit=1)) == [1]
    assert receive(broker, "by-tls")[0].message == large
    assert broker.location == f"amqps://localhost:{node.tls_port}/"


def test_a_certificate_that_nobody_vouches_for_is_refused(node, open_store):
    with pytest.raises(BrokerUnavailable, match="TLS with localhost failed"):
        open_store(node.tls_url).broker.connect()


def test_a_certificate_for_another_name_is_refused(node, open_store):
    with pytest.raises(BrokerUnavailable, match="TLS with localhost failed"):
        open_store(node.tls_url, tls=tls_of(node, server_hostname="elsewhere")).broker.connect()


def test_a_client_may_log_in_by_its_certificate(node, open_store):
    files = {"certfile": str(node.folder / "client.crt"), "keyfile": str(node.folder / "client.key")}
    url = node.tls_url.replace("guest:guest", "nobody:wrong")
    broker = open_store(url, tls=tls_of(node, **files), login_method="EXTERNAL").broker
    send(broker, 1, queue="by-certificate")
    assert drain(broker, "by-certificate") == [1]
    with pytest.raises(BrokerUnavailable, match="user, password and virtual host"):
        open_store(url, tls=tls_of(node, **files)).broker.connect()


@pytest.mark.parametrize("change", [("guest:guest", "guest:wrong"), ("/celeriac-none", "/celeriac-none")])
def test_a_login_that_is_refused_says_so_without_the_password(node, open_store, change):
    url = node.url.rstrip("/") + "/celeriac-none" if "none" in change[0] else node.url.replace(*change)
    with pytest.raises(BrokerUnavailable, match="user, password and virtual host in the URL right") as caught:
        open_store(url).broker.connect()
    assert "wrong" not in str(caught.value)


def test_a_port_where_nobody_listens_is_an_error_at_once(open_store):
    with pytest.raises(BrokerUnavailable, match="Is the server running"):
        open_store(f"amqp://{HERE}:{free_port()}//").broker.connect()


def test_the_second_server_stands_in_for_the_first(node, url, open_store):
    broker = open_store(f"amqp://{HERE}:{free_port()}//;{url}").broker
    send(broker, 1)
    assert drain(broker) == [1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqp://host:port//", "no number"),
        ("amqp://host//?heartbeat=often", "must be a number of seconds"),
        ("amqp://host//?ssl_cacert=x", "unknown name"),
    ],
)
def test_a_url_that_cannot_be_is_refused_before_anything_is_tried(open_store, url, told):
    with pytest.raises(ImproperlyConfigured, match=told):
        open_store(url)


@pytest.mark.timeout(60)
def test_what_was_sent_outlives_a_restart_and_a_crash(own_node, open_store):
    broker = open_store(own_node.url, socket_timeout=4.0).broker
    send(broker, 1, 2)
    held = leases(receive(broker, limit=1))
    own_node.restart()
    assert list(broker.extend(held, lease=1.0)) == held
    until_it_passes(lambda: send(broker, 3))
    own_node.kill()
    own_node.start()
    taken = until_it_passes(lambda: receive(broker, wait=1.0))
    assert names(taken) == [1, 2, 3]
    assert taken[0].redelivered is True


def test_a_wait_goes_on_after_every_connection_was_closed(node, url, broker):
    send(broker, "warm")
    assert drain(broker) == ["warm"]

    def wait():
        return until_it_passes(lambda: receive(broker, wait=DEADLINE))

    with in_thread(wait) as received:
        close_all(node)
        until_it_passes(lambda: send(broker, 1))
        assert names(received.result(DEADLINE)) == [1]


def test_what_was_held_on_a_closed_connection_is_lost_and_comes_back(node, url, broker):
    send(broker, 1)
    held = leases(receive(broker))
    close_all(node)
    (again,) = until_it_passes(lambda: receive(broker, wait=5.0))
    assert list(broker.ack(held)) == held
    assert again.redelivered is True
    assert list(broker.ack([again.lease])) == []


def test_an_alarm_is_an_error_at_sending_and_lets_workers_go_on(own_node, open_store):
    broker = open_store(own_node.url, socket_timeout=3.0).broker
    send(broker, 1, 2)
    own_node.call("vm_memory_monitor", "set_vm_memory_high_watermark", "0.00001")
    started = time.monotonic()
    assert "it takes no messages for now" in eventually(lambda: refusal(broker))
    assert time.monotonic() - started < DEADLINE
    first, second = receive(broker, wait=5.0)
    assert list(broker.ack([first.lease, second.lease])) == []
    own_node.call("vm_memory_monitor", "set_vm_memory_high_watermark", "0.4")
    until_it_passes(lambda: send(broker, 4))
    assert 4 in until_it_passes(lambda: drain(broker))


def test_a_frozen_server_is_an_error_in_time_and_is_used_again_when_it_thaws(own_node, open_store):
    broker = open_store(own_node.url, socket_timeout=1.0, connect_timeout=1.0).broker
    send(broker, 1)
    own_node.pause()
    try:
        started = time.monotonic()
        for _ in range(2):
            with pytest.raises(BrokerUnavailable):
                send(broker, 2)
        assert time.monotonic() - started < 10.0
    finally:
        own_node.resume()
    until_it_passes(lambda: send(broker, 3))
    assert {1, 3} <= set(until_it_passes(lambda: drain(broker)))


def test_a_silent_server_is_noticed_by_its_missing_heartbeat(own_node, open_store):
    broker = open_store(f"{own_node.url}?heartbeat=1").broker
    broker.connect()
    with in_thread(lambda: receive(broker, wait=60.0)) as received:
        own_node.pause()
        try:
            with pytest.raises(BrokerUnavailable):
                received.result(DEADLINE)
        finally:
            own_node.resume()


def test_threads_of_many_senders_share_a_connection(broker, node, url):
    failures: list[BaseException] = []

    def work(number):
        try:
            for nth in range(20):
                send(broker, f"{number}-{nth}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not failures
    assert node.connections(url.rpartition("/")[2], at_most=1) == 1
    assert len(drain(broker)) == 240


def refusal(broker):
    """Return what a send is refused with; nothing when it was done."""
    try:
        send(broker, 3)
    except BrokerUnavailable as error:
        return str(error)
    return ""


def close_all(node):
    node.control("close_all_connections", "--global", "a test")


def test_a_connection_that_is_closed_twice_closes_nothing_of_others():
    near, far = socket.socketpair()
    with far:
        transport = Transport(near)
        transport.close()
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        transport.close()
        transport.wake()
        for each in others:
            os.close(each)  # which raises where it is closed already
