#!/bin/sh
# Job scripts for LSF and for PBS: written, read by the shell, and each element of the array run with the variables that the batch
# system sets for it. See ../prepare.sh for what it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../prepare.sh
. "$here/../prepare.sh"

cp "$here/task.py" .
poncho analyze task.py spec.json
make_package spec.json

say "poncho submit lsf, poncho submit pbs"
poncho submit lsf -e env.tar.gz --tasks 8 --memory 1G --time 10m --name masses -- python task.py '{index}'
poncho submit pbs -e env.tar.gz --tasks 8 --memory 1G --time 10m --name masses -- python task.py '{index}'
head -n 20 masses-lsf/job.bsub masses-pbs/job.pbs

say "LSF (bsub reads the script on standard input, and counts from 1)"
for index in 1 2 3 4 5 6 7 8; do
    (cd masses-lsf && LSB_JOBINDEX=$index sh <job.bsub)
done | tee lsf.out
say "PBS (counts from 0)"
for index in 0 1 2 3 4 5 6 7; do
    (cd masses-pbs && PBS_ARRAY_INDEX=$index sh job.pbs)
done | tee pbs.out
cmp lsf.out pbs.out
say "$(grep -c '^{"task"' pbs.out) tasks done by each"
[ "$(grep -c '^{"task"' pbs.out)" -eq 8 ]
