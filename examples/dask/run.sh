#!/bin/sh
# A Dask cluster on this machine that knows nothing of numpy and scipy gets a package that has them, while it runs.
#
#   sh examples/dask/run.sh [WORK]      WORK: a directory to work in (default: examples/dask/work, made new)
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

say "1. PONCHO and Dask in a virtual environment; no numpy, no scipy"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "${root}[dask]"

PATH=$work/venv/bin:$PATH
for module in numpy scipy; do
    ! python -c "import $module" 2>/dev/null || fail "the new environment has $module" "unset PYTHONPATH"
done

say "2. A running cluster: a scheduler and two workers with their nannies, outside of any package"
cp "$here/z_mass.py" "$work/"
cd "$work"
export PONCHO_CACHE_DIR="${PONCHO_CACHE_DIR:-$work/cache}" PONCHO_STORE="$work/store"
running=
# shellcheck disable=SC2086  # $running is words
trap 'kill $running 2>/dev/null || true; wait' EXIT
dask scheduler --host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0 --scheduler-file scheduler.json >scheduler.log 2>&1 &
running=$!
dask worker --scheduler-file scheduler.json --nworkers 2 --nthreads 1 --no-dashboard --local-directory "$work" >worker.log 2>&1 &
running="$running $!"
tries=0
until [ -s scheduler.json ]; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || fail "the scheduler does not start" "see $work/scheduler.log"
    sleep 0.5
done
scheduler=$(python -c 'import json; print(json.load(open("scheduler.json"))["address"])')
python -c 'import sys; from dask.distributed import Client; Client(sys.argv[1]).wait_for_workers(2, timeout=60)' "$scheduler"

say "3. The package is built from the functions' imports, sent to the scheduler, and the workers restart inside"
python z_mass.py "$scheduler"

say "4. The same on a cluster of its own: workers in the package from the start"
python - <<'PYTHON'
import poncho
from dask.distributed import Client
from poncho.integrations.dask import PackagedCluster
from z_mass import fitted, selected_masses, summed

if __name__ == "__main__":
    spec = poncho.analyze([selected_masses, summed, fitted]).spec
    with PackagedCluster(spec, n_workers=2) as cluster, Client(cluster) as client:
        print("prefix of the workers:", *set(client.run(lambda: __import__("sys").prefix).values()))
PYTHON

say "Done. The logs: $work/scheduler.log, $work/worker.log"
