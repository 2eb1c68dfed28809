#!/bin/sh
# Run the tests on a machine that has nothing but Python >= 3.10, git and the Python package index.
#
#   sh tests/run.sh [PYTEST ARGUMENTS]
#
# Makes a virtual environment (PONCHO_TEST_VENV, default .venv-test), installs PONCHO and what the tests need, checks the code's form and
# floors, and runs the tests: in memory, where /dev/shm and the machine have plenty of it and TMPDIR is not set. As root on
# Debian it also installs the small programs that some tests want; without them those skip.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=${PONCHO_TEST_VENV:-.venv-test}

# program:package, where they differ
wanted="git git-lfs gcc busybox:busybox-static zsh shellcheck strace zstd mksquashfs:squashfs-tools squashfuse_ll:squashfuse fusermount3:fuse3 bwrap:bubblewrap chromium sshd:openssh-server"
wanted="$wanted slurmctld slurmd sbatch:slurm-client munged:munge gnome-keyring-daemon:gnome-keyring dbus-daemon secret-tool:libsecret-tools"
missing=
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "tests: installing$missing"
    # shellcheck disable=SC2086  # words on purpose
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

# Most of the time goes into environments that are made and deleted: in memory, where there is plenty, that is half of it.
at_least() { [ "${1:-0}" -ge "$2" ]; }
if [ -z "${TMPDIR:-}" ] && [ -z "${PONCHO_TEST_FULL:-}" ] &&
    at_least "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" 12000000 &&
    at_least "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" 16000000 &&
    fast=$(mktemp -d /dev/shm/poncho-tests.XXXXXX); then
    trap 'rm -rf "$fast"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 755 "$fast" # some tests are other users
    printf '#!/bin/sh\n' >"$fast/try" && chmod +x "$fast/try"
    if "$fast/try" 2>/dev/null; then export TMPDIR="$fast"; fi
fi
"$venv/bin/python" -m pytest -n "${PONCHO_TEST_JOBS:-2}" --dist worksteal "$@"
