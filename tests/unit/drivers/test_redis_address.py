"""URLs and TLS settings of Redis, in the forms that Celery users write."""

from __future__ import annotations

import ssl

import pytest

from celeriac.drivers.redis.address import Node, parse
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import StoreOptions

PLAIN = StoreOptions()


@pytest.mark.parametrize(
    ("url", "node", "db"),
    [
        ("redis://", Node("localhost", 6379), 0),
        ("redis://cache.example:6380/3", Node("cache.example", 6380), 3),
        ("valkey://:p%40ss@h/1", Node("h", 6379, None, None, "p@ss"), 1),
        ("redis://user:pw@h?db=4", Node("h", 6379, None, "user", "pw"), 4),
        ("redis://[::1]:7000/0", Node("::1", 7000), 0),
        ("redis+socket:///run/redis.sock?virtual_host=5", Node(path="/run/redis.sock"), 5),
        ("redis+socket:///run/redis.sock?password=pw", Node(path="/run/redis.sock", password="pw"), 0),
    ],
)
def test_a_url_names_a_server_and_a_database(url: str, node: Node, db: int) -> None:
    address = parse(url, PLAIN)
    assert (address.nodes, address.db, address.tls) == ((node,), db, None)


@pytest.mark.parametrize(
    "url", ["redis://u:secret@h:1/2", "rediss://:secret@h/2", "sentinel://:secret@a;sentinel://b/2"]
)
def test_the_location_has_no_password(url: str) -> None:
    options = StoreOptions(transport_options={"master_name": "m"})
    assert "secret" not in parse(url, options).location


def test_sentinels_stand_side_by_side() -> None:
    options = StoreOptions(transport_options={"master_name": "m", "sentinel_kwargs": {"password": "x"}})
    address = parse("sentinel://:pw@a:26379;sentinel://b/2", options)
    assert [(node.host, node.port) for node in address.nodes] == [("a", 26379), ("b", 26379)]
    assert (address.db, address.sentinel_name, address.sentinel_options) == (2, "m", {"password": "x"})


def test_sentinel_without_a_name_says_which_setting_is_missing() -> None:
    with pytest.raises(ImproperlyConfigured, match="master_name"):
        parse("sentinel://a", PLAIN)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:notaport/0",
        "redis://h:70000/0",
        "redis://u:secret@h/zero",
        "redis://h/-1",
        "redis://[::1",
        "redis://u:secret@[::1",
        "redis://u:sec[ret@h",
        "redis://u:secret/@h/0",
        "redis://u:/secret@h/0",
        "redis://u:secret#@h/0",
        "redis://u:secret?@h/0",
        "redis://h\u2100/0",
        "redis://h;[::1",
    ],
)
def test_what_is_wrong_in_a_url_is_said_without_the_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        parse(url, PLAIN)
    assert "secret" not in str(refused.value)


def test_tls_is_verified_unless_told_otherwise() -> None:
    assert parse("rediss://h", PLAIN).tls == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    assert parse("redis://h", StoreOptions(tls=True)).tls == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


@pytest.mark.parametrize("value", [ssl.CERT_NONE, 0, None, "none", "CERT_NONE"])
def test_verification_is_switched_off_in_every_form_that_celery_knows(value: object) -> None:
    tls = parse("rediss://h", StoreOptions(tls={"ssl_cert_reqs": value})).tls
    assert tls == {"ssl_cert_reqs": "none", "ssl_check_hostname": False}


def test_tls_settings_of_the_url_win_over_the_setting() -> None:
    tls = parse("rediss://h?ssl_ca_certs=/url", StoreOptions(tls={"ca_certs": "/setting", "certfile": "/c"})).tls
    assert tls is not None
    assert (tls["ssl_ca_certs"], tls["ssl_certfile"]) == ("/url", "/c")


def test_an_unknown_tls_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"ssl_cacerts.*ssl_ca_certs"):
        parse("rediss://h", StoreOptions(tls={"ssl_cacerts": "/x"}))
