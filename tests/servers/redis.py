"""A redis-server of one's own: on a free port, in a temporary directory, and gone at the end.

``REDIS_SERVER`` names another program to run, as in ``REDIS_SERVER=valkey-server``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import Self

import redis

from tests.servers.certificates import ServerMissing, make_certificates
from tests.servers.ports import free_port
from tests.servers.process import ServerProcess

STARTING = 10.0
"""Seconds that a server may take to answer after its start."""


def program() -> str:
    """Return the path of the server's program. Raises `ServerMissing`."""
    name = os.environ.get("REDIS_SERVER", "redis-server")
    found = shutil.which(name)
    if found is None:
        raise ServerMissing(f"{name} is not installed; on Debian: apt-get install redis-server")
    return found


class RedisServer(ServerProcess):
    """A server process. Its data survives `kill` and `restart` when `durable`.

    `user` and `password` make an ACL user and close the default one; `tls` makes the port speak TLS, with a
    certificate from a CA of its own (`ca_file`). `options` are added to the command line, as in
    ``{"maxmemory": "1mb"}``.
    """

    def __init__(
        self,
        *,
        user: str | None = None,
        password: str | None = None,
        tls: bool = False,
        durable: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        self._program = program()
        super().__init__("redis")
        self.port = free_port()
        self.user, self.password, self.tls = user, password, tls
        self.ca_file = self.folder / "ca.crt"
        self.socket_path = self.folder / "redis.sock"
        self._durable = durable
        self._options = dict(options or {})
        if tls:
            make_certificates(self.folder)

    def url_at(self, port: int) -> str:
        scheme = "rediss" if self.tls else "redis"
        who = f"{self.user or ''}:{self.password}@" if self.password else ""
        return f"{scheme}://{who}127.0.0.1:{port}/0"

    def client(self) -> redis.Redis:
        """Return redis-py's own client, for looking at the server from outside."""
        tls = {"ssl": True, "ssl_ca_certs": str(self.ca_file)} if self.tls else {}
        return redis.Redis(port=self.port, host="127.0.0.1", username=self.user, password=self.password, **tls)

    def start(self) -> Self:
        self._spawn(self._command())
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.ConnectionError), self.client() as client:
                client.ping()
                return self
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"redis-server did not start: {self.log}")

    def close_connections(self) -> None:
        with self.client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def _command(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "unixsocket": str(self.socket_path),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always" if self._durable else "no",
            ("tls-port" if self.tls else "port"): str(self.port),
        }
        if self.tls:
            options |= {
                "port": "0",
                "tls-ca-cert-file": str(self.ca_file),
                "tls-cert-file": str(self.folder / "server.crt"),
                "tls-key-file": str(self.folder / "server.key"),
                "tls-auth-clients": "optional",
            }
        options |= self._options
        command = [self._program]
        for name, value in options.items():
            command += [f"--{name}", value]
        if self.user:
            command += ["--user", self.user, "on", f">{self.password}", "~*", "&*", "+@all"]
            command += ["--user", "default", "off"]
        elif self.password:
            command += ["--requirepass", self.password]
        return command


class OldRedisServer(RedisServer):
    """A server that speaks no RESP3, as some proxies do not."""

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, host="127.0.0.1", protocol=2)

    def _command(self) -> list[str]:
        return [*super()._command(), "--rename-command", "HELLO", ""]


class Sentinels:
    """A primary, its replicas, and Sentinels that watch them under the name `name` and fail over in a second.

    Most of the Sentinels must agree that the primary is away. `options` are the primary's.
    """

    name = "mymaster"

    def __init__(self, *, replicas: int = 1, sentinels: int = 1, options: dict[str, str] | None = None) -> None:
        at_once = {"repl-diskless-sync-delay": "0"}
        self.primary = RedisServer(options=at_once | (options or {}))
        follow = at_once | {"replicaof": f"127.0.0.1 {self.primary.port}"}
        self.replicas = [RedisServer(options=follow) for _ in range(replicas)]
        self.ports = [free_port() for _ in range(sentinels)]
        self._quorum = sentinels // 2 + 1
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.primary.start()
        for replica in self.replicas:
            replica.start()
        _wait_for(lambda: all(map(_is_in_step, self.replicas)))
        for port in self.ports:
            self._start_sentinel(port)
        _wait_for(lambda: all(map(self._is_ready, self.ports)))
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait(STARTING)
        for server in (self.primary, *self.replicas):
            server.remove()

    @property
    def url(self) -> str:
        return ";".join(f"sentinel://127.0.0.1:{port}/0" for port in self.ports)

    def fail_over(self) -> None:
        """Have a replica promoted while all are well."""
        with redis.Redis(port=self.ports[0], host="127.0.0.1") as client:
            client.execute_command("SENTINEL", "FAILOVER", self.name)

    def promoted(self) -> RedisServer | None:
        """Return the replica that a Sentinel names as the primary; None while none does."""
        for port in self.ports:
            with redis.Redis(port=port, host="127.0.0.1") as client:
                _, named = client.sentinel_get_master_addr_by_name(self.name)
            if named != self.primary.port:
                return next(replica for replica in self.replicas if replica.port == named)
        return None

    def _start_sentinel(self, port: int) -> None:
        file = self.primary.folder / f"sentinel-{port}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.primary.folder}\n"
            f"sentinel monitor {self.name} 127.0.0.1 {self.primary.port} {self._quorum}\n"
            f"sentinel down-after-milliseconds {self.name} 500\nsentinel failover-timeout {self.name} 2000\n"
        )
        command = [program(), str(file), "--sentinel"]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _is_ready(self, port: int) -> bool:
        with redis.Redis(port=port, host="127.0.0.1") as client:
            known = client.sentinel_master(self.name)
        return (known["num-slaves"], known["num-other-sentinels"]) == (len(self.replicas), len(self.ports) - 1)


def _is_in_step(replica: RedisServer) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        time.sleep(0.02)
    raise RuntimeError("The servers did not find each other in time.")
