"""Make ready what a `make` target needs, and say so; do nothing where all is up to date.

    python scripts/bootstrap.py PART...

    package   .venv with celeriac itself from this checkout, and what it needs for Redis
    develop   .venv with all extras, the test tools, the checkers and the profiler
    interop   .venv-interop with stock Celery, the other side of the interoperability tests
    bench     .venv-bench-NAME for each task queue that the benchmarks measure, besides stock Celery
    redis     a redis-server that tests can start; through the system's package manager where that is allowed
    rabbitmq  the same for a rabbitmq-server with its Erlang

Needs Python 3.11 and its standard library. What the environments hold is read from pyproject.toml, so that an
installer that does not know dependency groups will do. A part that CELERIAC_REQUIRE names (for example
``CELERIAC_REQUIRE=redis``) is an error when it cannot be had; otherwise the tests that need it are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PEERS = ("dramatiq", "huey")
REDIS_SERVERS = ("redis-server", "valkey-server")
RABBITMQ_PLACES = (
    "/usr/lib/rabbitmq/lib",
    "/opt/rabbitmq",
    "/usr/local/opt/rabbitmq",
    "/opt/homebrew/opt/rabbitmq",
)


def main(parts: list[str]) -> None:
    """Make the named parts ready, in order."""
    steps = {
        "package": package,
        "develop": develop,
        "interop": interop,
        "bench": bench,
        "redis": redis,
        "rabbitmq": rabbitmq,
    }
    unknown = [part for part in parts if part not in steps]
    if unknown or not parts:
        raise SystemExit(f"usage: bootstrap.py PART...; parts: {', '.join(steps)}")
    for part in parts:
        steps[part]()


def package() -> None:
    """Put celeriac and its Redis client into .venv; an environment that holds more will do."""
    if not is_current(ROOT / ".venv", develop_requirements()):
        ensure_environment(ROOT / ".venv", ["-e", f"{ROOT}[redis]"])


def develop() -> None:
    """Put celeriac, its extras, the test tools and the checkers into .venv."""
    ensure_environment(ROOT / ".venv", develop_requirements())


def interop() -> None:
    """Put stock Celery into an environment of its own: ours and theirs may want different versions of a library."""
    ensure_environment(ROOT / ".venv-interop", group("interop"))


def bench() -> None:
    """Put the task queues that are measured into an environment each, celeriac too: as users have it, with no tools."""
    ensure_environment(ROOT / ".venv-bench-celeriac", ["-e", f"{ROOT}[redis]"])
    for name in PEERS:
        ensure_environment(ROOT / f".venv-bench-{name}", group(f"bench-{name}"))


def redis() -> None:
    """Find a redis-server, or install one."""
    if find_redis():
        return
    packages = {"apt-get": "redis-server", "brew": "redis", "dnf": "redis"}
    if install_system_package(packages, why="the tests against Redis") and find_redis():
        return
    say("redis-server is missing and could not be installed from here.")
    say("  Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; Fedora: dnf install redis")
    if "redis" in os.environ.get("CELERIAC_REQUIRE", "").split(","):
        raise SystemExit("bootstrap: CELERIAC_REQUIRE names redis, so this is an error.")
    say("Left out: all tests marked `redis` or `interop`. The rest of the suite runs.")


def rabbitmq() -> None:
    """Find a rabbitmq-server, or install one."""
    if find_rabbitmq():
        return
    packages = {"apt-get": "rabbitmq-server", "brew": "rabbitmq", "dnf": "rabbitmq-server"}
    if install_system_package(packages, why="the tests against RabbitMQ") and find_rabbitmq():
        return
    say("rabbitmq-server is missing and could not be installed from here.")
    say("  Debian and Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq")
    if "rabbitmq" in os.environ.get("CELERIAC_REQUIRE", "").split(","):
        raise SystemExit("bootstrap: CELERIAC_REQUIRE names rabbitmq, so this is an error.")
    say("Left out: all tests against RabbitMQ. The rest of the suite runs.")


def find_rabbitmq() -> bool:
    """Tell whether RabbitMQ's scripts and Erlang's port mapper are here; tests/servers/rabbitmq.py looks alike."""
    given = os.environ.get("RABBITMQ_HOME")
    places = [given] if given else RABBITMQ_PLACES
    return bool(shutil.which("epmd")) and any(any(Path(place).glob("**/sbin/rabbitmq-server")) for place in places)


def find_redis() -> bool:
    """Tell whether a Redis or Valkey server is in PATH."""
    return any(shutil.which(name) for name in REDIS_SERVERS)


def develop_requirements() -> list[str]:
    """Return what .venv holds for development."""
    extras = ",".join(PROJECT["project"]["optional-dependencies"])
    return ["-e", f"{ROOT}[{extras}]", *group("test"), *group("check"), *group("bench")]


def group(name: str) -> list[str]:
    """Return the requirements of one dependency group of pyproject.toml."""
    requirements: list[str] = PROJECT["dependency-groups"][name]
    return requirements


def ensure_environment(where: Path, requirements: list[str]) -> None:
    """Make the environment hold `requirements`; a stamp inside it tells that it does."""
    if is_current(where, requirements):
        return
    python = make_environment(where)
    say(f"installing into {where.name}: {' '.join(requirements)}")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(f"bootstrap: installing into {where.name} failed; see above. Is the package index reachable?")
    stamp_of(where).write_text(fingerprint(requirements), encoding="utf-8")


def make_environment(where: Path) -> Path:
    """Return the environment's Python; make the environment if it is missing, broken, or moved here."""
    python = where / "bin" / "python"
    if lives_here(where) and works(python):
        return python
    say(f"making {where.name} with Python {sys.version.split()[0]} ({base_python()})")
    shutil.rmtree(where, ignore_errors=True)
    command = [base_python(), "-m", "venv", str(where)]
    if subprocess.run(command, check=False).returncode == 0:
        return python
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    install_system_package({"apt-get": f"python{version}-venv"}, why="python -m venv")
    shutil.rmtree(where, ignore_errors=True)
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(
            "bootstrap: this Python cannot make virtual environments. Debian and Ubuntu: apt-get install python3-venv"
        )
    return python


def base_python() -> str:
    """Return the Python to build environments with, also when this runs inside one of them."""
    return str(getattr(sys, "_base_executable", sys.executable))


def lives_here(where: Path) -> bool:
    """Tell whether the environment was made at this path: its scripts hold the path they were made at."""
    pip = where / "bin" / "pip"
    return pip.exists() and str(where) in pip.read_text(encoding="utf-8").splitlines()[0]


def works(python: Path) -> bool:
    """Tell whether the environment's Python starts (its base may have gone) and has pip."""
    try:
        return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def is_current(where: Path, requirements: list[str]) -> bool:
    """Tell whether the environment's stamp says that it holds `requirements`."""
    stamp = stamp_of(where)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint(requirements)


def stamp_of(where: Path) -> Path:
    """Return the file that says what the environment holds."""
    return where / "celeriac-bootstrap.stamp"


def fingerprint(requirements: list[str]) -> str:
    """Return what tells one set of requirements, of this project at this path, from another."""
    project = PROJECT["project"]
    facts = [requirements, project["dependencies"], project["optional-dependencies"], project["scripts"]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def install_system_package(packages: dict[str, str], *, why: str) -> bool:
    """Install a package with the first package manager that is here and allowed; tell whether it worked."""
    for manager, name in packages.items():
        prefix = allowed_to_run(manager)
        if prefix is None:
            continue
        say(f"installing {name} with {manager}, for {why}")
        if manager == "apt-get":
            run_quietly([*prefix, manager, "update"])
        return run_quietly([*prefix, manager, "install", *([] if manager == "brew" else ["-y"]), name])
    return False


def allowed_to_run(manager: str) -> list[str] | None:
    """Return what to put before the package manager's name; None where it is missing or needs a password."""
    if not shutil.which(manager):
        return None
    if manager == "brew" or os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0:
        return sudo
    return None


def run_quietly(command: list[str]) -> bool:
    """Run a package manager that shall ask nothing and print errors only; tell whether it worked."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    quiet = subprocess.DEVNULL
    return subprocess.run(command, check=False, env=environment, stdin=quiet, stdout=quiet).returncode == 0


def say(text: str) -> None:
    """Tell the user what happens."""
    print(f"bootstrap: {text}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
