#!/bin/sh
# A Slurm of your own, for as long as a command runs: controller and one node on this machine, on loopback only.
#
#   sh personal_slurm.sh DIR COMMAND [ARGUMENT]...
#
# PERSONAL_SLURM_CPUS: how many the node says it has, which may be more than there are. DIR is made, and keeps the logs. In COMMAND, SLURM_CONF
# names this Slurm, so sbatch, srun and squeue talk to it. Exit status: the command's; 77 where Slurm is missing.
# On Debian: apt-get install slurmctld slurmd slurm-client munge
set -u
[ $# -gt 1 ] || { echo "usage: sh $0 DIR COMMAND [ARGUMENT]..." >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
export PATH
for program in munged slurmctld slurmd sbatch scontrol; do
    command -v "$program" >/dev/null || {
        echo "slurm: $program is missing; on Debian: apt-get install slurmctld slurmd slurm-client munge" >&2
        exit 77
    }
done
mkdir -p "$1" || exit 1
# Its own paths may hold anything; Slurm's configuration may not, nor may a socket's path be long.
slurm=$(mktemp -d /tmp/personal-slurm.XXXXXX) || exit 1
logs=$(cd "$1" && pwd) || exit 1
shift
mkdir "$slurm/state" "$slurm/spool" "$slurm/run" && chmod 755 "$slurm" "$slurm/run"

started=
# shellcheck disable=SC2317  # the trap calls it
stop() {
    for pid in $started; do kill "$pid" 2>/dev/null; done
    for pid in $started; do wait "$pid" 2>/dev/null; done
    cp "$slurm"/*.log "$slurm/slurm.conf" "$logs" 2>/dev/null
    rm -rf "$slurm"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ports=$(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[s.getsockname()[1] for s in held])') || exit 1
host=$(hostname -s)
memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
cat >"$slurm/slurm.conf" <<END
ClusterName=personal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$slurm/run/munge.socket
CredType=cred/munge
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/run/slurmctld.pid
SlurmdPidFile=$slurm/run/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,sched_min_interval=10000,batch_sched_delay=0,bf_interval=1
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=${PERSONAL_SLURM_CPUS:-$(nproc)} RealMemory=$memory TmpDisk=10000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
SLURM_CONF=$slurm/slurm.conf
export SLURM_CONF

(umask 077 && head -c 1024 /dev/urandom >"$slurm/munge.key")
munged --foreground --force --key-file="$slurm/munge.key" --socket="$slurm/run/munge.socket" --num-threads=2 \
    --pid-file="$slurm/run/munge.pid" --log-file="$slurm/munged.log" --seed-file="$slurm/run/seed" >"$slurm/munged.out.log" 2>&1 &
started=$!
tries=0
until [ -S "$slurm/run/munge.socket" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "slurm: munged does not start:" >&2; cat "$slurm"/munged*.log >&2; exit 1; }
    sleep 0.1
done
slurmctld -D >/dev/null 2>&1 &
started="$! $started"
slurmd -D >/dev/null 2>&1 &
started="$! $started"
tries=0
until sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle$'; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || { echo "slurm: the node does not come up:" >&2; tail -n 5 "$slurm"/slurm*.log >&2; exit 1; }
    sleep 0.2
done
"$@"
