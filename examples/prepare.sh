# shellcheck shell=sh disable=SC2154  # $here: whoever sources this sets it
# For the examples' run.sh, which source it: PONCHO on PATH, $work to work in, and the functions below.
#
#   sh examples/ENGINE/run.sh [WORK]      WORK: a directory to work in (default: examples/ENGINE/work, made new)
#
# Needs Python >= 3.10 (PYTHON names another than python3) and the Python package index. A poncho that is on PATH is used; else one
# is installed from this checkout into $work/venv. Exit status 77: something that this example needs is missing; what, is said.

root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }
missing() { printf 'missing: %s\nhint: %s\n' "$1" "$2" >&2; exit 77; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    missing "$python, or it is older than 3.10" "install Python >= 3.10, or name one: PYTHON=python3.12 sh $0"

work=${1:-$here/work}
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$work" || exit 1

if ! command -v poncho >/dev/null; then
    say "PONCHO in a virtual environment of its own"
    "$python" -m venv "$work/venv" || missing "$python has no venv module" "on Debian: apt-get install python3-venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$root"
    PATH=$work/venv/bin:$PATH
    export PATH
fi

# The store of this example's node is its own, and goes with it.
PONCHO_STORE=$work/store
export PONCHO_STORE

make_package() { # SPEC: env.tar.gz
    say "poncho create: everything that the tasks need, in one file"
    poncho create "$1" env.tar.gz
}

# For engines that pickle functions: this Python, and the cloudpickle that the manager has.
spec_for_pickles() {
    "$python" - >spec.json <<'PYTHON'
import json, platform
from importlib.metadata import version

print(json.dumps({"python": platform.python_version(), "pip": ["numpy", "cloudpickle==" + version("cloudpickle")]}))
PYTHON
}

# Waits until a file is there; what writes it is process $2.
await() { # FILE PID
    tries=0
    until [ -s "$1" ]; do
        tries=$((tries + 1))
        if [ "$tries" -ge 300 ] || ! kill -0 "$2" 2>/dev/null; then fail "$1 does not appear" "see $work"; fi
        sleep 0.1
    done
}
