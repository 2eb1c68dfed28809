#!/bin/sh
# Work Queue: 20 tasks of one package on a real worker. With the Python module ndcctools.work_queue, a manager in Python (tasks.py) sends
# functions; else Makeflow is the manager, which Debian has. See ../prepare.sh for what else it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing_cctools() {
    printf 'missing: %s\nhint: on Debian: apt-get install coop-computing-tools openmpi-bin; or ndcctools from conda-forge\n' "$1" >&2
    exit 77
}
command -v work_queue_worker >/dev/null || missing_cctools work_queue_worker
if "${PYTHON:-python3}" -c 'import ndcctools.work_queue, cloudpickle' 2>/dev/null; then
    manager=python
elif command -v makeflow >/dev/null; then
    manager=makeflow
else
    missing_cctools "both the Python module ndcctools.work_queue (with cloudpickle) and makeflow"
fi
# shellcheck source-path=SCRIPTDIR source=../prepare.sh
. "$here/../prepare.sh"
# No catalogue is told; the store is the worker's own; and the manager listens on every interface, so it wants a password.
CATALOG_HOST=127.0.0.1 CATALOG_PORT=9
export CATALOG_HOST CATALOG_PORT
unset PONCHO_STORE
(umask 077 && "$python" -c 'import secrets; print(secrets.token_hex())' >password)

cp "$here/task.py" .
if [ "$manager" = python ]; then spec_for_pickles; else poncho analyze task.py spec.json; fi
make_package spec.json

started=
trap 'kill $started 2>/dev/null || true' EXIT INT TERM
mkdir scratch
if [ "$manager" = python ]; then
    say "The manager: Python"
    "$python" "$here/tasks.py" >results &
else
    say "The manager: Makeflow"
    cp "$(command -v poncho_package_run)" .
    {
        for index in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
            printf 'result.%s: poncho_package_run env.tar.gz task.py\n' "$index"
            printf '\t./poncho_package_run -e env.tar.gz -- python task.py %s > result.%s\n\n' "$index" "$index"
        done
    } >tasks.makeflow
    makeflow -T wq --port=0 --port-file=port --password=password tasks.makeflow >makeflow.log 2>&1 &
fi
pid=$!
started=$pid
await port "$pid"

say "One worker with two cores; no Python of ours on its PATH"
env -i PATH="$(dirname "$(command -v work_queue_worker)"):/usr/bin:/bin" HOME="$work" TMPDIR="$work/scratch" \
    ${LD_LIBRARY_PATH:+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"} \
    work_queue_worker --password password --cores 2 --timeout 30 --workdir "$work/scratch" \
    127.0.0.1 "$(cat port)" >worker.log 2>&1 &
worker=$!
started="$pid $worker"
wait "$pid" || fail "the manager failed" "see $work"
[ "$manager" = python ] || cat result.* >results
kill "$worker" 2>/dev/null || true
wait "$worker" 2>/dev/null || true

cat results
say "$(grep -c '"task"' results) tasks done; packages unpacked: $(grep -o '[^"]*/poncho-[0-9]*/[0-9a-f]*\|[^"]*-env/' results | sort -u | wc -l)"
[ "$(grep -c '"task"' results)" -eq 20 ]
