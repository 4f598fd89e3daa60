#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, its files in the folder $1: munged, slurmctld and slurmd. Its config is $1/slurm.conf.
# The node has GPUs in name only, so that scripts which ask for some run. The time limits suit a machine that does other work.
set -euo pipefail
dir=$(realpath "$1")
host=$(hostname -s)
mkdir -p "$dir"/{state,spool,munge}
chmod 700 "$dir/munge"
head -c 128 /dev/urandom > "$dir/munge/key"
chmod 400 "$dir/munge/key"
touch "$dir"/gpu{0..7}
echo "Name=gpu File=$dir/gpu[0-7]" > "$dir/gres.conf"
cat > "$dir/slurm.conf" <<CONF
ClusterName=foveate
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MpiDefault=none
ReturnToService=2
MessageTimeout=60
BatchStartTimeout=300
SlurmdTimeout=0
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=262144 Gres=gpu:8 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
export SLURM_CONF=$dir/slurm.conf
slurmctld
slurmd
for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T)" = idle ] && exit 0
    sleep 1
done
echo "the node is not idle after a minute:" >&2
tail -n 20 "$dir/slurmctld.log" "$dir/slurmd.log" >&2
exit 1
