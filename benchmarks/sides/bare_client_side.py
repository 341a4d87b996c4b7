"""py-amqp with confirms and nothing around it; of the clients that were tried the one that publishes fastest so."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

QUEUE = "bare"


@cache
def channel() -> Any:
    address = urlsplit(os.environ["BENCHMARK_URL"])
    connection = amqp.Connection(
        f"{address.hostname}:{address.port}", virtual_host=unquote(address.path[1:]) or "/", confirm_publish=True
    )
    connection.connect()
    opened = connection.channel()
    opened.queue_declare(QUEUE, durable=True, auto_delete=False)
    return opened


def sender(task: str) -> Callable[[Any], None]:
    def send(value: Any) -> None:
        message = amqp.Message(
            json.dumps([[value], {}, {}]),
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={"lang": "py", "task": task, "id": str(uuid.uuid4())},
            delivery_mode=2,
        )
        channel().basic_publish_confirm(message, "", QUEUE, mandatory=True)

    return send


def versions() -> dict[str, str]:
    return {"amqp": version("amqp")}
