#!/bin/sh
# TaskVine: 20 Python tasks with one package on a real worker. See ../prepare.sh for what else it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing_cctools() {
    printf 'missing: %s\nhint: %s\n' "$1" "neither Debian 12 nor the Python package index has TaskVine: install ndcctools from conda-forge, and name its Python by PYTHON" >&2
    exit 77
}
command -v vine_worker >/dev/null || missing_cctools vine_worker
"${PYTHON:-python3}" -c 'import ndcctools.taskvine, cloudpickle' 2>/dev/null ||
    missing_cctools "the Python module ndcctools.taskvine, or cloudpickle"
# shellcheck source-path=SCRIPTDIR source=../prepare.sh
. "$here/../prepare.sh"
# No catalogue is told; the manager listens on every interface, so it wants a password.
CATALOG_HOST=127.0.0.1 CATALOG_PORT=9
export CATALOG_HOST CATALOG_PORT
(umask 077 && "$python" -c 'import secrets; print(secrets.token_hex())' >password)

spec_for_pickles
make_package spec.json

say "The manager"
started=
trap 'kill $started 2>/dev/null || true' EXIT INT TERM
"$python" "$here/tasks.py" >results &
pid=$!
started=$pid
await port "$pid"

say "One worker with two cores; no Python of ours on its PATH"
mkdir scratch
env -i PATH="$(dirname "$(command -v vine_worker)"):/usr/bin:/bin" HOME="$work" TMPDIR="$work/scratch" \
    vine_worker --password password --cores 2 --memory 2000 --disk 8000 --timeout 30 --workdir "$work/scratch" \
    localhost "$(cat port)" >worker.log 2>&1 &
worker=$!
started="$pid $worker"
wait "$pid" || fail "the manager failed" "see $work"
kill "$worker" 2>/dev/null || true
wait "$worker" 2>/dev/null || true

cat results
say "$(grep -c '"task"' results) tasks done"
[ "$(grep -c '"task"' results)" -eq 20 ]
