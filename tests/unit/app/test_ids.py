import os
import threading
import uuid

import pytest

from celeriac.app.ids import new_id

MANY = 1000


def test_an_id_is_a_random_uuid_in_its_usual_form():
    for _ in range(MANY):
        text = new_id()
        read = uuid.UUID(text)
        assert (read.version, read.variant, str(read)) == (4, uuid.RFC_4122, text)


def test_no_id_is_given_twice_to_any_thread():
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append([new_id() for _ in range(MANY)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({text for own in found for text in own}) == 8 * MANY


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_gives_other_ids_than_its_parent():
    new_id()  # fills the stock that a child would inherit
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(new_id() for _ in range(64)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 64 * 36).decode()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 64 * 36
    assert not [text for _ in range(64) if (text := new_id()) in theirs]
