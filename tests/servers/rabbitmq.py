"""RabbitMQ nodes of one's own: free ports, an epmd, a cookie and a data directory of their own, gone at the end.

``RABBITMQ_HOME`` names the directory that has the server's ``sbin``, where that is not found by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.servers.certificates import ServerMissing, make_certificates
from tests.servers.ports import free_port

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
        command = ["erl", "-noshell", "-sname", name, "-eval", self._LOOP]
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


class RabbitServer:
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
        self.folder = Path(tempfile.mkdtemp(prefix="celeriac-rabbitmq-"))
        self.port, self.tls_port, self._dist_port = free_port(), free_port(), free_port()
        self.name = f"rabbit-{self.port}@localhost"
        self.ca_file = self.folder / "ca.crt"
        self._process: subprocess.Popen[bytes] | None = None
        self._remote: Remote | None = None
        if tls:
            make_certificates(self.folder, client="guest")
        self._write_files(dict(config or {}), advanced, plugins, cookie, tls=tls)
        atexit.register(self.remove)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def tls_url(self) -> str:
        return f"amqps://guest:guest@localhost:{self.tls_port}//"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        return self.launch().wait()

    def launch(self) -> Self:
        """Start the node and do not wait until it serves."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._sbin / "rabbitmq-server")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )
        return self

    def wait(self) -> Self:
        """Wait until the node serves."""
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if answers(self.port):
                return self
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"rabbitmq-server did not start: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Shut the node down cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End the node and delete its directory."""
        self.kill()
        if self._own_epmd:
            self._epmd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

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
        (self.folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        (self.folder / "advanced.config").write_text(f"[{advanced}].\n")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        if number == signal.SIGTERM:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                self.control("shutdown", "--timeout", "20")
        self._signal(signal.SIGKILL)
        self._process.wait(STARTING)
        self._process = None


def answers(port: int) -> bool:
    """Tell whether an AMQP server greets on the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connected:
            connected.settimeout(5.0)
            connected.sendall(b"AMQP\x00\x00\x09\x01")
            return connected.recv(1) == b"\x01"
    except OSError:
        return False
