#!/bin/bash
# A study on a SLURM allocation: one Ray node per machine, the launch on the first one.
#
#     sbatch [OPTIONS OF SBATCH] deploy/slurm.sh STUDY [OPTIONS OF LAUNCH]
#
# What is marked with <- is to be filled in, or given to sbatch; see deploy/README.md.
#SBATCH --job-name=untuned
#SBATCH --nodes=1                # <- machines
#SBATCH --ntasks-per-node=1      # one Ray node on each
#SBATCH --cpus-per-task=4        # <- processors of each
#SBATCH --time=24:00:00          # <- a study that needs longer goes on in the same job, requeued
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120      # two minutes before the end: leave checkpoints, and stop
##SBATCH --gpus-per-node=4       # <- and --gpus-per-trial, of launch

# shellcheck disable=SC2317  # functions that are called by signals, and on other machines
set -euo pipefail

# source /path/to/.venv/bin/activate   # <- the same environment on every machine
RUN=()                                 # <- (apptainer exec untuned.sif): what programs run in
[ $# -gt 0 ] || set -- digits
MOST_RESTARTS=5                        # of a job whose Ray was lost

export RAY_USAGE_STATS_ENABLED=0
export RAY_raylet_start_wait_time_s=120   # a cold environment on a shared disk takes its time
# Ray's password is in no file, so that none is left behind.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
RAY_AUTH_TOKEN=$(random 32)
# Ray's files on each machine: a folder that nobody else has, and short, as paths of sockets must be.
FILES=/tmp/untuned-$SLURM_JOB_ID-$(random 4)
export FILES
export CPUS=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE} SCRIPT=$$
# The job's share in MiB, not the machine's memory; 0 where it has none of its own.
export MEMORY=${SLURM_MEM_PER_NODE:-$((${SLURM_MEM_PER_CPU:-0} * CPUS))}
ulimit -n "$(ulimit -Hn)"              # Ray opens many files

# Become a program that SIGTERM does not reach. SLURM sends it to all processes of a job at once,
# and trials can leave checkpoints only as long as Ray lives: it is this script that takes it.
shielded() {
    exec "${RUN[@]}" python -c '
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

free_port() {
    "${RUN[@]}" python -c 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])'
}

# On each machine: a Ray node, for as long as this script holds the standard input of all open.
node() {
    FILES+=-$SLURM_NODEID
    umask 077
    mkdir "$FILES" || exit
    # Ports that are free, since another job may be on this machine.
    OPTIONS=(--block --temp-dir="$FILES" --num-cpus="$CPUS")
    OPTIONS+=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
    if [ "$MEMORY" -gt 0 ]; then
        TENTH=$((MEMORY * 1024 * 1024 / 10))
        OPTIONS+=(--memory=$((9 * TENTH)) --object-store-memory="$TENTH")
    fi
    if [ "$SLURM_PROCID" -eq 0 ]; then
        OPTIONS+=(--head --node-ip-address="$HEAD" --port=0)
        OPTIONS+=(--include-dashboard=false --ray-client-server-port="$(free_port)")
    else
        read -r ADDRESS || { rmdir "$FILES"; exit; }
        OPTIONS+=(--address="$ADDRESS")
    fi
    shielded ray start "${OPTIONS[@]}" > "$FILES/said" &
    RAY=$!
    (trap '' TERM && exec cat > /dev/null) <&0 &
    HELD=$!
    # A preemption with a grace time is told to the nodes alone; the first one passes it on.
    if [ "$SLURM_PROCID" -eq 0 ]; then trap 'kill -USR1 "$SCRIPT"' TERM; else trap '' TERM; fi
    while kill -0 "$RAY" && kill -0 "$HELD"; do wait -n; done 2> /dev/null
    if kill -0 "$HELD" 2> /dev/null; then
        # Without the first one there is no cluster: the script is told.
        [ "$SLURM_PROCID" -ne 0 ] || kill -USR2 "$SCRIPT"
        echo "Ray ended on $(hostname): $(tail -n 5 "$FILES/said")" >&2
    fi
    exec 2> /dev/null
    kill -KILL "$RAY" "$HELD"   # what Ray started goes with it
    wait
    rm -rf "$FILES" || { sleep 2; rm -rf "$FILES"; }
}

STOP='' TERMINATED='' LOST='' LAUNCH='' TOLD='' STATUS=''
stop() {
    STOP=yes
    if [ -n "$LAUNCH" ] && [ -z "$TOLD" ]; then   # once: a second signal ends a launch at once
        TOLD=yes
        kill -USR1 "$LAUNCH" || true
    fi
}
# Ray ended on the first machine. A launch sees that itself, unless it is still connecting.
lost() {
    LOST=yes
    [ -z "$LAUNCH" ] || (sleep 60 && kill -KILL "$LAUNCH") 2> /dev/null &
}
trap stop USR1
trap lost USR2
trap 'TERMINATED=yes; stop' TERM
# `wait` returns for a signal that is trapped, too.
await() { while kill -0 "$1" 2> /dev/null; do wait "$1" || true; done; wait "$1"; }

mapfile -t HOSTS < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
STEP=(srun --export=ALL --overlap --cpus-per-task="$CPUS")
# This machine's address as the others see it.
HEAD=$("${STEP[@]}" --nodes=1 --ntasks=1 -w "${HOSTS[-1]}" printenv SLURM_LAUNCH_NODE_IPADDR)
export HEAD
exec {HOLD}> >(exec "${STEP[@]}" --nodes="${#HOSTS[@]}" --ntasks="${#HOSTS[@]}" \
    --ntasks-per-node=1 bash -c "$(declare -p RUN); $(declare -f shielded free_port node); node")
NODES=$!
finish() {
    exec {HOLD}>&-
    await "$NODES" || true
}
trap finish EXIT

until [ -n "$STOP$LOST" ] || [ -s "$FILES-0/ray_current_cluster" ]; do
    kill -0 "$NODES" 2> /dev/null || LOST=yes
    sleep 0.5
done
if [ -z "$STOP$LOST" ]; then
    ADDRESS=$(cat "$FILES-0/ray_current_cluster")
    echo "$ADDRESS" >&"$HOLD"
    shielded untuned launch "$@" --address "$ADDRESS" {HOLD}>&- &
    LAUNCH=$! STATUS=0
    [ -z "$STOP" ] || stop
    await "$LAUNCH" || STATUS=$?
fi
trap - EXIT
finish
# Before there was a launch, or by `lost`.
[ "${STATUS:-137}" -ne 137 ] || [ -z "$LOST" ] || STATUS=4
STATUS=${STATUS:-138}

# 138: stopped by USR1 with work left; 4: Ray was lost, or did not start. Whatever terminates a job
# decides itself whether it is queued again; a mistake, 2, would only be repeated.
if [ -z "$TERMINATED" ] && { [ "$STATUS" -eq 138 ] ||
    { [ "$STATUS" -eq 4 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_RESTARTS" ]; }; }; then
    scontrol requeue "$SLURM_JOB_ID" || true
fi
exit "$STATUS"
