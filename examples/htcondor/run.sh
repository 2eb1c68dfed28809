#!/bin/sh
# 20 tasks as 5 jobs of HTCondor with file transfer. HTCondor's own parser reads the submit file; where there is a pool, it runs it, else
# starter.py does what a machine of a pool does with each job. See ../prepare.sh for what it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../prepare.sh
. "$here/../prepare.sh"

say "HTCondor's Python bindings, for its parser"
{ "$python" -m venv "$work/condor" && "$work/condor/bin/pip" install --quiet --disable-pip-version-check htcondor; } ||
    missing "the distribution htcondor for this Python" "name another: PYTHON=python3.12 sh $0"

cp "$here/task.py" .
poncho analyze task.py spec.json
make_package spec.json
unset PONCHO_STORE

say "poncho submit htcondor: 20 tasks in 5 jobs"
poncho submit htcondor -e env.tar.gz --tasks 20 --jobs 5 --memory 1G --name masses -- python task.py '{index}'
cat masses-htcondor/job.sub

cd masses-htcondor
if command -v condor_submit >/dev/null && condor_status -total >/dev/null 2>&1; then
    say "The pool runs it"
    condor_submit job.sub
    condor_wait masses.log
else
    say "No pool here: parsed by HTCondor, run as one of its machines would"
    "$work/condor/bin/python" "$here/starter.py" job.sub "$work/machine"
fi
say "$(cat masses.*.out | grep -c '^{"task"') tasks done"
[ "$(cat masses.*.out | grep -c '^{"task"')" -eq 20 ]
