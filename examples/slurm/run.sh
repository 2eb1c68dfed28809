#!/bin/sh
# 50 tasks of one package as an array of Slurm, on a Slurm of this machine's own. See ../prepare.sh for what it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || {
        printf 'missing: %s\nhint: on Debian: apt-get install slurmctld slurmd slurm-client munge\n' "$program" >&2
        exit 77
    }
done
# shellcheck source-path=SCRIPTDIR source=../prepare.sh
. "$here/../prepare.sh"

cp "$here/task.py" .
poncho analyze task.py spec.json
make_package spec.json

say "poncho submit slurm: the files of an array of 50"
poncho submit slurm -e env.tar.gz --tasks 50 --name masses --time 10m -- python task.py '{index}'
cat masses-slurm/job.sbatch

say "Slurm itself reads them, and runs the 50 tasks"
# -d of the runner: the outputs say who unpacked.
export PONCHO_PACKAGE_RUN_DEBUG=yes
export PERSONAL_SLURM_CPUS=8
sh "$here/personal_slurm.sh" "$work/logs" sh -euc 'cd masses-slurm; sbatch --test-only job.sbatch; sbatch --wait job.sbatch'

done=$(cat masses-slurm/*.out | grep -c '^{"task"')
unpacked=$(grep -l 's  unpacking ' -r masses-slurm --include='*.out' | wc -l)
say "$done tasks done, unpacked $((unpacked)) time(s)"
[ "$done" -eq 50 ] && [ "$unpacked" -eq 1 ]
