#!/bin/sh
# Run the tests on a machine that has nothing but Python >= 3.10, git and the Python package index.
#
#   sh tests/run.sh [PYTEST ARGUMENTS]
#
# Makes a virtual environment (PONCHO_TEST_VENV, default .venv-test), installs PONCHO and what the tests need, checks the code's form and
# floors, and runs the tests. As root on Debian it also installs the small programs that some tests want; without them those skip.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=${PONCHO_TEST_VENV:-.venv-test}

wanted="git gcc busybox zsh shellcheck strace zstd squashfs-tools"
missing=
for package in $wanted; do
    program=$package
    case $package in squashfs-tools) program=mksquashfs ;; esac
    command -v "$program" >/dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "tests: installing$missing"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >/dev/null 2>&1 ||
        echo "tests: could not install$missing: the tests that need them will skip"
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" ||
    { echo "error: $python has no venv module" >&2; echo "hint: on Debian: apt-get install python3-venv" >&2; exit 1; }
"$venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
"$venv/bin/python" -m pip install --quiet --editable . --group test --group lint

if [ $# -eq 0 ]; then
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/lint-imports"
fi
exec "$venv/bin/python" -m pytest -n "${PONCHO_TEST_JOBS:-2}" --dist worksteal "$@"
