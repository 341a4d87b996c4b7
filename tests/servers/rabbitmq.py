"""RabbitMQ nodes of one's own: free ports, an epmd, a cookie and a data directory of their own, gone at the end.

``RABBITMQ_HOME`` names the directory that has the server's ``sbin``, where that is not found by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.servers.certificates import ServerMissing, make_certificates
from tests.servers.ports import free_port
from tests.servers.process import ServerProcess

STARTING = 60.0
"""Seconds that a node may take to answer after its start."""
LOOKED_IN = ("/usr/lib/rabbitmq/lib", "/opt/rabbitmq", "/usr/local/opt/rabbitmq", "/opt/homebrew/opt/rabbitmq")


def home() -> Path:
    """Return the directory of the server's scripts. Raises `ServerMissing`."""
    given = os.environ.get("RABBITMQ_HOME")
    for place in [given] if given else LOOKED_IN:
        # The scripts in PATH of some systems insist on a user of their own, so the server's are taken.
        for found in sorted(Path(place).glob("**/sbin/rabbitmq-server"), reverse=True):
            if shutil.which("epmd"):
                return found.parent
    raise ServerMissing("rabbitmq-server is not installed; on Debian: apt-get install rabbitmq-server")


class Epmd:
    """The port mapper of the nodes of one test run, apart from the machine's own."""

    def __init__(self) -> None:
        program = shutil.which("epmd")
        if program is None:
            raise ServerMissing("epmd, a part of Erlang, is not installed")
        self.port = free_port()
        command = [program, "-port", str(self.port), "-address", "127.0.0.1"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.stop)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)
        atexit.unregister(self.stop)


class Remote:
    """An Erlang node beside the servers', which calls functions there: rabbitmqctl takes a second each time."""

    _LOOP = (
        'Loop = fun(Loop) -> case io:get_line("") of eof -> halt(); Line -> {ok, Tokens, _} = erl_scan:string(Line),'
        " {ok, Forms} = erl_parse:parse_exprs(Tokens), {value, Value, _} = erl_eval:exprs(Forms, []),"
        ' io:format("~0p~n", [Value]), Loop(Loop) end end, Loop(Loop).'
    )

    def __init__(self, node: str, environment: Mapping[str, str]) -> None:
        self._node = node
        name = f"control-{os.getpid()}-{time.monotonic_ns()}@localhost"
        # Hidden: nodes tell each other of all that they know, and part from those whom the others do not reach.
        quiet = ["-hidden", "-kernel", "logger_level", "none"]
        command = ["erl", "-noshell", "-sname", name, *quiet, "-eval", self._LOOP]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(environment)
        )

    def call(self, module: str, function: str, arguments: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"rpc:call('{self._node}', {module}, {function}, [{arguments}]).\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer or answer.startswith("{badrpc"):
            raise RuntimeError(f"{module}:{function}({arguments}) failed in {self._node}: {answer}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class RabbitServer(ServerProcess):
    """One node. Its data survives `kill` and `restart`.

    `config` are lines of ``rabbitmq.conf``, `advanced` the terms of ``advanced.config``, `tls` adds a port that speaks
    TLS (`tls_url`), with a certificate from a CA of its own (`ca_file`), and lets clients log in by certificate.
    """

    def __init__(  # noqa: PLR0913  each is independent of the others
        self,
        *,
        config: Mapping[str, str] | None = None,
        advanced: str = "",
        tls: bool = False,
        plugins: Sequence[str] = (),
        epmd: Epmd | None = None,
        cookie: str = "celeriac-tests",
    ) -> None:
        self._sbin = home()
        self._own_epmd = epmd is None
        self._epmd = epmd or Epmd()
        super().__init__("rabbitmq")
        self.port, self.tls_port, self._dist_port = free_port(), free_port(), free_port()
        self.name = f"rabbit-{self.port}@localhost"
        self.ca_file = self.folder / "ca.crt"
        self._remote: Remote | None = None
        if tls:
            make_certificates(self.folder, client="guest")
        self._write_files(dict(config or {}), advanced, plugins, cookie, tls=tls)

    def configure(self, lines: Mapping[str, str]) -> None:
        """Add lines to ``rabbitmq.conf``, for the next start."""
        with (self.folder / "rabbitmq.conf").open("a") as file:
            file.write("".join(f"{key} = {value}\n" for key, value in lines.items()))

    def url_at(self, port: int) -> str:
        return f"amqp://guest:guest@127.0.0.1:{port}//"

    @property
    def tls_url(self) -> str:
        return f"amqps://guest:guest@localhost:{self.tls_port}//"

    def start(self) -> Self:
        return self.launch().wait()

    def launch(self) -> Self:
        """Start the node and do not wait until it serves."""
        self._spawn([str(self._sbin / "rabbitmq-server")], self._environment())
        return self

    def wait(self) -> Self:
        """Wait until the node serves."""
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if answers(self.port):
                return self
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"rabbitmq-server did not start: {self.log}")

    def remove(self) -> None:
        super().remove()
        if self._own_epmd:
            self._epmd.stop()

    def close_connections(self) -> None:
        self.control("close_all_connections", "a test wants it")

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` on this node and return what it prints."""
        command = [str(self._sbin / "rabbitmqctl"), "-n", self.name, "--quiet", *arguments]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def call(self, module: str, function: str, arguments: str = "") -> str:
        """Call an Erlang function in the node and return what it gives, as Erlang writes it; takes milliseconds."""
        if self._remote is None:
            self._remote = Remote(self.name, self._environment())
        return self._remote.call(module, function, arguments)

    def new_vhost(self, name: str) -> str:
        """Make a virtual host that guest may use; return its URL."""
        self.call("rabbit_vhost", "add", f'<<"{name}">>, <<"tests">>')
        rights = '<<"guest">>, <<"{}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>'
        self.call("rabbit_auth_backend_internal", "set_permissions", rights.format(name))
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{name}"

    def connections(self, vhost: str, *, at_most: int = 0) -> int:
        """Return how many connections to a virtual host are open; those that just ended get a moment."""
        deadline = time.monotonic() + 3.0
        while True:
            listed = self.call("rabbit_networking", "connection_info_all", "[vhost]")
            found = listed.count(f'{{vhost,<<"{vhost}">>}}')
            if found <= at_most or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def counts(self, vhost: str = "/") -> dict[str, tuple[int, int]]:
        """Return by queue of a virtual host how many messages are ready, and how many somebody holds.

        Of quorum queues this is as old as ``quorum_tick_interval`` allows.
        """
        asked = f'<<"{vhost}">>, [name, messages_ready, messages_unacknowledged]'
        return {
            name: (int(ready), int(held))
            for name, ready, held in _COUNTED.findall(self.call("rabbit_amqqueue", "info_all", asked))
        }

    def put(self, vhost: str, queue: str, body: bytes) -> None:
        """Put bytes without any properties into a queue."""
        exchange = f'{{resource,<<"{vhost}">>,exchange,<<>>}}'
        self.call("rabbit_basic", "publish", f'{exchange}, <<"{queue}">>, [], <<{",".join(map(str, body))}>>')

    def drop_vhost(self, name: str) -> None:
        self.call("rabbit_vhost", "delete", f'<<"{name}">>, <<"tests">>')

    def _environment(self) -> dict[str, str]:
        own = {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                # Without busy waiting: nodes of several test processes share few cores.
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
                # Who is cut off from one shall not part from the others as well.
                " -kernel prevent_overlapping_partitions false"
            ),
            "ERL_EPMD_PORT": str(self._epmd.port),
        }
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return inherited | own

    def _write_files(
        self, config: dict[str, str], advanced: str, plugins: Sequence[str], cookie: str, *, tls: bool
    ) -> None:
        secret = self.folder / ".erlang.cookie"
        secret.write_text(cookie)
        secret.chmod(0o400)
        lines = {"disk_free_limit.absolute": "1MB", "log.file.level": "warning", "log.console": "false"} | config
        if tls:
            lines |= {
                "listeners.ssl.default": f"127.0.0.1:{self.tls_port}",
                "ssl_options.cacertfile": str(self.ca_file),
                "ssl_options.certfile": str(self.folder / "server.crt"),
                "ssl_options.keyfile": str(self.folder / "server.key"),
                "ssl_options.verify": "verify_peer",
                "ssl_options.fail_if_no_peer_cert": "false",
                "ssl_cert_login_from": "common_name",
                "auth_mechanisms.1": "PLAIN",
                "auth_mechanisms.2": "EXTERNAL",
            }
            plugins = [*plugins, "rabbitmq_auth_mechanism_ssl"]
        self.configure(lines)
        (self.folder / "advanced.config").write_text(f"[{advanced}].\n")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")

    def _end(self, number: signal.Signals) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._process is None:
            return
        self.resume()
        if number == signal.SIGTERM:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                self.control("shutdown", "--timeout", "20")
        super()._end(signal.SIGKILL)


class VirtualHost:
    """A part of a node that others use too, which serves as a whole one would."""

    def __init__(self, node: RabbitServer) -> None:
        self._node = node
        self._name = uuid.uuid4().hex
        self.port = node.port
        node.new_vhost(self._name)

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        return self._node.url_at(port).removesuffix("/") + self._name

    def counts(self) -> dict[str, tuple[int, int]]:
        return self._node.counts(self._name)

    def remove(self) -> None:
        self._node.drop_vhost(self._name)


_COUNTED = re.compile(r'queue,<<"([^"]*)">>\}\},\{messages_ready,(\d+)\},\{messages_unacknowledged,(\d+)\}')


def answers(port: int) -> bool:
    """Tell whether an AMQP server greets on the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connected:
            connected.settimeout(5.0)
            connected.sendall(b"AMQP\x00\x00\x09\x01")
            return connected.recv(1) == b"\x01"
    except OSError:
        return False
