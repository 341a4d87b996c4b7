#!/bin/sh
# Find a Python that can run celeriac, and hand over to bootstrap.py.
# usage: sh scripts/bootstrap.sh PART...    (parts: see bootstrap.py)
set -eu
cd "$(dirname "$0")/.."

# A candidate is run, not only looked up: version managers leave names in PATH that start nothing.
works() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

for python in "${CELERIAC_PYTHON:-}" .venv/bin/python python3.13 python3.12 python3.11 python3.14 python3 python; do
    if [ -n "$python" ] && works "$python"; then
        exec "$python" scripts/bootstrap.py "$@"
    fi
done

printf '%s\n' >&2 \
    'bootstrap: no Python 3.11 or later was found (looked for python3.13, .12, .11, .14, python3 and python).' \
    'Install one (Debian and Ubuntu: apt-get install python3 python3-venv; macOS: brew install python), or name it:' \
    '    CELERIAC_PYTHON=/path/to/python3 make test'
exit 1
