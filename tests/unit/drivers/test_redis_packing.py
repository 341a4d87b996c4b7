"""Commands as they go to Redis: what was written beforehand makes no difference to the server."""

from __future__ import annotations

import hiredis
import pytest

from celeriac.drivers.redis.client import beginning, call_script, with_source
from celeriac.drivers.redis.packing import NOTHING, Packed, pack, pack_all, packed, unpacked
from celeriac.drivers.redis.scripts import SETTLE

COMMANDS = [
    (packed("GET", "key"),),
    (packed("SET"), "key", b"\x00\xff\r\n", 5, 1.5),
    (packed("SET", "ключ"), "значение", packed("EX", "60"), NOTHING, ""),
    (packed("LPUSH"), "list", "x" * 5000, b"y" * 100_000),
]


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_what_was_written_beforehand_reads_as_if_it_was_not(command: tuple[object, ...]) -> None:
    plain = unpacked(command)
    assert not any(isinstance(part, Packed) for part in plain)
    wanted = hiredis.pack_command(tuple(str(part) if isinstance(part, int | float) else part for part in plain))
    assert pack(command) == wanted == pack(plain)
    assert pack_all([command, command]) == wanted * 2


@pytest.mark.parametrize("command", [(packed("SET"), "key", None), ("SET", "key", None), (packed("SET"), object())])
def test_what_redis_does_not_know_is_refused(command: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="bytes"):
        pack(command)


def test_a_script_begun_beforehand_can_be_taught_to_a_server() -> None:
    begun = (beginning(SETTLE, 2, "a"), "b", packed("1", "2"), b"raw")
    plain = call_script(SETTLE, ("a", "b"), ("1", "2", b"raw"))
    assert unpacked(begun) == plain
    assert with_source(begun) == with_source(plain) == ("EVAL", SETTLE.source, "2", "a", "b", "1", "2", b"raw")
