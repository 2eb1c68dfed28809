#!/bin/sh
# Parsl on this machine, with workers in packages: the program's Python has no numpy and no scipy, its apps need both.
#
#   sh examples/parsl/run.sh [WORK]      WORK: a directory to work in (default: examples/parsl/work, made new)
#
# Needs: Python >= 3.10 with venv, and the Python package index.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:-$here/work}
python=${PYTHON:-python3}

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$python is missing or older than 3.10" "install Python >= 3.10, or name one: PYTHON=python3.12 sh $0"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module" "on Debian: apt-get install python3-venv"

rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)

say "1. PONCHO and Parsl in a virtual environment; no numpy, no scipy"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "${root}[parsl]"
# As "activate" does: Parsl finds its own programs on PATH.
PATH=$work/venv/bin:$PATH
for module in numpy scipy; do
    ! python -c "import $module" 2>/dev/null || fail "the new environment has $module" "unset PYTHONPATH"
done

say "2. The analysis: packages are built from the apps' imports, workers start inside them"
cp "$here/z_mass.py" "$work/"
cd "$work"
export PONCHO_CACHE_DIR="${PONCHO_CACHE_DIR:-$work/cache}" PONCHO_STORE="$work/store"
python z_mass.py

say "3. Again: nothing changed, so nothing is built"
python z_mass.py

say "Done. What was unpacked: $(find "$work/store" -mindepth 1 -maxdepth 1 -type d ! -name '.*' | wc -l) environments in $work/store"
