"""Several RabbitMQ nodes that are one cluster, to be killed, paused and cut off from each other."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from typing import Self

from tests.servers.rabbitmq import STARTING, Epmd, RabbitServer

COOKIE = "celeriac-cluster"
_NAMES = re.compile(r'queue,<<"([^"]*)">>')


class RabbitCluster:
    """Nodes that start together and find each other.

    `config` are lines of ``rabbitmq.conf``, `advanced` terms of ``advanced.config``, of every node.
    """

    def __init__(self, *, nodes: int = 3, config: Mapping[str, str] | None = None, advanced: str = "") -> None:
        self._epmd = Epmd()
        self._config = {"cluster_formation.peer_discovery_backend": "classic_config", "net_ticktime": "5"}
        self._config |= config or {}
        self.nodes = [RabbitServer(epmd=self._epmd, cookie=COOKIE, advanced=advanced) for _ in range(nodes)]

    def __enter__(self) -> Self:
        names = {f"cluster_formation.classic_config.nodes.{nth}": node.name for nth, node in enumerate(self.nodes, 1)}
        for node in self.nodes:
            node.configure(self._config | names)
            node.launch()
        for node in self.nodes:
            node.wait()
        self.until_whole()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()
        self._epmd.stop()

    @property
    def url(self) -> str:
        """One URL for all nodes."""
        return ";".join(node.url for node in self.nodes)

    def until_whole(self) -> None:
        """Return when every node sees all the others running."""
        deadline = time.monotonic() + STARTING
        while not all(self._seen_by(node) == {each.name for each in self.nodes} for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the nodes did not find each other: {[self._seen_by(node) for node in self.nodes]}")
            time.sleep(0.1)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return `RabbitServer.counts` of the virtual host ``/``: of each queue as the node tells that leads it."""
        counts: dict[str, tuple[int, int]] = {}
        for node in self.nodes:  # of a node that was cut off, what it thinks to lead is overwritten
            if node.is_running and not node.is_paused:
                with contextlib.suppress(RuntimeError):  # it has paused itself
                    led = set(_NAMES.findall(node.call("rabbit_amqqueue", "list_local_names")))
                    counts |= {name: count for name, count in node.counts("/").items() if name in led}
        return counts

    def until_missed(self, node: RabbitServer) -> None:
        """Return when the second node has noticed that this one is away."""
        deadline = time.monotonic() + STARTING
        while node.name in self._seen_by(self.nodes[1]):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{node.name} is not missed by {self.nodes[1].name}")
            time.sleep(0.05)

    def leader_of(self, queue: str) -> RabbitServer:
        """Return the node that leads a quorum queue of the virtual host ``/``."""
        answer = self.nodes[1].call("rabbit_quorum_queue", "status", f'<<"/">>, <<"{queue}">>')
        leader = answer.partition("leader")[0].rpartition("'rabbit-")[2]
        return next(node for node in self.nodes if node.name.startswith(f"rabbit-{leader.partition('@')[0]}"))

    def elect(self, queue: str) -> None:
        """Have another node lead a quorum queue of the virtual host ``/``."""
        leader = self.leader_of(queue)
        heir = next(node for node in self.nodes if node is not leader and node.is_running and not node.is_paused)
        members = [f"{{'%2F_{queue}', '{node.name}'}}" for node in (leader, heir)]
        leader.call("ra", "transfer_leadership", ", ".join(members))

    def cut_off(self, node: RabbitServer) -> None:
        """Part a node from the others; clients reach all of them."""
        for other in self.nodes:
            if other is not node:  # who has another cookie is not let in again
                node.call("erlang", "set_cookie", f"'{other.name}', 'nobody'")
                node.call("erlang", "disconnect_node", f"'{other.name}'")

    def heal(self, node: RabbitServer) -> None:
        """Let a node that was cut off find the others again."""
        for other in self.nodes:
            if other is not node:
                node.call("erlang", "set_cookie", f"'{other.name}', '{COOKIE}'")
                node.call("net_adm", "ping", f"'{other.name}'")

    @staticmethod
    def _seen_by(node: RabbitServer) -> set[str]:
        listed = node.call("rabbit_nodes", "all_running")
        return {name.strip("'[] ") for name in listed.split(",") if name.strip("'[] ")}
