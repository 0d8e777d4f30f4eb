#!/bin/bash
# A study on a SLURM allocation: one Ray node per machine, the launch on the first one.
#
#     sbatch [OPTIONS OF SBATCH] deploy/slurm.sh STUDY [OPTIONS OF LAUNCH]
#     sbatch --array=0-2 [...] deploy/slurm.sh STUDY STUDY STUDY [...]     one task for each
#     sbatch --dependency=after:JOB [...] deploy/slurm.sh --join JOB       more machines for a job
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
JOIN='' STUDIES=()
if [ "$1" = --join ]; then
    JOIN=$2
elif [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    # The studies of an array are the words before the first option, its tasks' numbers from 0.
    while [ $# -gt 0 ] && [[ $1 != -* ]]; do STUDIES+=("$1") && shift; done
    if [ -z "${STUDIES[SLURM_ARRAY_TASK_ID]:-}" ]; then
        echo "error: --array: there is no study for task $SLURM_ARRAY_TASK_ID," \
            "of ${#STUDIES[@]} that are numbered from 0" >&2
        exit 2
    fi
    set -- "${STUDIES[SLURM_ARRAY_TASK_ID]}" "$@"
fi
MOST_RESTARTS=5                        # of a job whose Ray was lost

export RAY_USAGE_STATS_ENABLED=0
export RAY_raylet_start_wait_time_s=120   # a cold environment on a shared disk takes its time
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(random 32)
# Ray's files on each machine: a folder that nobody else has, and short, as paths of sockets must be.
FILES=/tmp/untuned-$SLURM_JOB_ID-$(random 4)
export FILES JOIN
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

# Of jobs that SLURM has killed with all their processes: what they left on this machine.
clear_up() {
    local LEFT=(/tmp/untuned-[0-9]*-????????-[0-9]*) FOLDER ID MINE   # before SLURM is asked who runs
    MINE=$(squeue --noheader --user="$(id -un)" --format=%A 2> /dev/null)
    grep -qx "$SLURM_JOB_ID" <<< "$MINE" || return 0   # this job runs: an answer without it is none
    for FOLDER in "${LEFT[@]}"; do
        ID=${FOLDER#/tmp/untuned-} ID=${ID%%-*}
        [ ! -O "$FOLDER" ] || grep -qx "$ID" <<< "$MINE" || rm -rf "$FOLDER"
    done
}

# On each machine: a Ray node, for as long as this script holds the standard input of all open.
# What comes there beside the head's address is the wish to leave in order.
node() {
    FILES+=-$SLURM_NODEID
    clear_up
    umask 077
    mkdir "$FILES" || exit
    # Ports that are free, since another job may be on this machine.
    # Ray opens its own folder to everybody; the one around it stays closed.
    OPTIONS=(--block --temp-dir="$FILES/ray" --num-cpus="$CPUS")
    OPTIONS+=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
    if [ "$MEMORY" -gt 0 ]; then
        TENTH=$((MEMORY * 1024 * 1024 / 10))
        OPTIONS+=(--memory=$((9 * TENTH)) --object-store-memory="$TENTH")
    fi
    if [ "$SLURM_PROCID$JOIN" = 0 ]; then
        # Ray's password; it goes with the folder. `admit` reads it.
        echo "$RAY_AUTH_TOKEN" > "$FILES/token"
        METRICS=$(free_port)
        OPTIONS+=(--head --node-ip-address="$HEAD" --port=0 --metrics-export-port="$METRICS")
        OPTIONS+=(--include-dashboard=false --ray-client-server-port="$(free_port)")
        if "${RUN[@]}" python -c 'import aiohttp_cors' 2> /dev/null; then   # of ray[default]
            echo "Prometheus: http://$HEAD:$METRICS/metrics"
        fi
    else
        read -r ADDRESS || { rmdir "$FILES"; exit; }
        OPTIONS+=(--address="$ADDRESS" ${JOIN:+--labels=untuned-joined=yes})
    fi
    shielded ray start "${OPTIONS[@]}" > "$FILES/said" &
    RAY=$!
    (trap '' TERM && exec cat > "$FILES/wish") <&0 &
    HELD=$!
    # A preemption with a grace time is told to the nodes alone; the first one passes it on.
    if [ "$SLURM_PROCID" -eq 0 ]; then trap 'kill -USR1 "$SCRIPT"' TERM; else trap '' TERM; fi
    while kill -0 "$RAY" && kill -0 "$HELD"; do wait -n; done 2> /dev/null
    if kill -0 "$HELD" 2> /dev/null; then
        # Without the first one there is no cluster: the script is told.
        [ "$SLURM_PROCID$JOIN" != 0 ] || kill -USR2 "$SCRIPT"
        echo "Ray ended on $(hostname): $(tail -n 5 "$FILES/said")" >&2
    elif [ -s "$FILES/wish" ]; then
        drain
    fi
    exec 2> /dev/null
    kill -KILL "$RAY" "$HELD"   # what Ray started goes with it
    wait
    rm -rf "$FILES" || { sleep 2; rm -rf "$FILES"; }
}

# On a machine that leaves: its trials leave checkpoints, and go on elsewhere; then Ray ends.
drain() {
    NODE=$(cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\0' '\n' |
        sed -n "\\|^--raylet_socket_name=$FILES/ray/|,/^--node_id=/s/^--node_id=//p")
    "${RUN[@]}" timeout --signal=KILL 20 ray drain-node --address "$ADDRESS" --node-id "$NODE" \
        --reason DRAIN_NODE_REASON_PREEMPTION --reason-message "its job ends" \
        --deadline-remaining-seconds 20 >> "$FILES/said" 2>&1 || return 0
    for _ in {1..40}; do
        kill -0 "$RAY" 2> /dev/null || break
        sleep 0.5
    done
}

# On the first machine of the job that is joined, as a step of that job, which SLURM lets nobody
# make but its owner: tells where Ray is, and lasts as long as that and whoever joined.
admit() {
    local FILES='' FOUND
    trap '' TERM
    until [ -s "$FILES/ray/ray_current_cluster" ]; do
        sleep 0.5
        for FOUND in /tmp/untuned-"$1"-*-0; do   # one that failed may have left its own
            if [ -O "$FOUND" ] && [ "$FOUND" -nt "$FILES" ]; then FILES=$FOUND; fi
        done
    done
    echo "join $(cat "$FILES/ray/ray_current_cluster") $(cat "$FILES/token")"
    while [ -d "$FILES" ]; do read -r -t 1 || [ $? -gt 128 ] || break; done
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
start_nodes() {
    exec {HOLD}> >(exec "${STEP[@]}" --nodes="${#HOSTS[@]}" --ntasks="${#HOSTS[@]}" \
        --ntasks-per-node=1 bash -c "$(declare -p RUN); $(declare -f shielded free_port clear_up drain node); node")
    NODES=$!
    trap end_nodes EXIT
}
end_nodes() {
    trap - EXIT
    exec {HOLD}>&-
    await "$NODES" || true
}

# The study of this job. Sets STATUS.
launch() {
    # This machine's address as the others see it.
    HEAD=$("${STEP[@]}" --nodes=1 --ntasks=1 -w "${HOSTS[-1]}" printenv SLURM_LAUNCH_NODE_IPADDR)
    export HEAD
    start_nodes
    until [ -n "$STOP$LOST" ] || [ -s "$FILES-0/ray/ray_current_cluster" ]; do
        kill -0 "$NODES" 2> /dev/null || LOST=yes
        sleep 0.5
    done
    if [ -z "$STOP$LOST" ]; then
        ADDRESS=$(cat "$FILES-0/ray/ray_current_cluster")
        echo "$ADDRESS" >&"$HOLD"
        shielded untuned launch "$@" --address "$ADDRESS" {HOLD}>&- &
        LAUNCH=$! STATUS=0
        [ -z "$STOP" ] || stop
        await "$LAUNCH" || STATUS=$?
    fi
    end_nodes
    # Before there was a launch, or by `lost`.
    [ "${STATUS:-137}" -ne 137 ] || [ -z "$LOST" ] || STATUS=4
    STATUS=${STATUS:-138}
}

# More machines for the study of the job $JOIN, for as long as that runs. Sets STATUS.
join() {
    local OTHERWISE=2
    if enter; then
        OTHERWISE=4
        start_nodes
        echo "$ADDRESS" >&"$HOLD"
        while [ -z "$STOP" ] && kill -0 "$ADMITTED" && kill -0 "$NODES"; do
            sleep 1 || true
        done 2> /dev/null
        [ -z "$STOP" ] || echo leave >&"$HOLD"
        end_nodes
    fi
    STATUS=138
    [ -n "$STOP" ] || await_end "$OTHERWISE"
}
# Number, state and first machine of the job $JOIN; nothing once it has ended.
joined() { squeue --noheader --jobs="$JOIN" --format='%A %T %B' 2> /dev/null; }
# Ask it for ADDRESS and password of its Ray; fails where nothing is to be had.
enter() {
    local ID STATE FIRST WORD TOKEN ANSWER
    read -r ID STATE FIRST < <(joined) && [ "$STATE" = RUNNING ] || return 1
    coproc ADMIT {
        # What this job has is no matter of a step of that one.
        # shellcheck disable=SC2046
        unset $(compgen -v SLURM_ | grep -vx SLURM_CONF)
        exec srun --jobid="$ID" --overlap --nodes=1 --ntasks=1 --cpus-per-task=1 --nodelist="$FIRST" \
            bash -c "$(declare -f admit); admit $ID" 2>&1
    }
    ADMITTED=$ADMIT_PID
    exec {ANSWERS}<&"${ADMIT[0]}"
    while [ -z "$STOP" ]; do
        ANSWER=0
        read -r -t 1 WORD ADDRESS TOKEN <&"$ANSWERS" || ANSWER=$?
        if [ "$ANSWER" -eq 0 ] && [ "$WORD" = join ]; then
            RAY_AUTH_TOKEN=$TOKEN
            return 0
        elif [ "$ANSWER" -eq 0 ]; then
            echo "$WORD $ADDRESS $TOKEN" >&2   # srun says why not
        elif [ "$ANSWER" -le 128 ]; then       # and has ended
            return 1
        fi
    done
    return 1
}
# If the job $JOIN is about to end, or to be queued again, this one does so, too. Sets STATUS; $1:
# to what if the other goes on.
await_end() {
    local STATE LOOKS=0
    while [ "$LOOKS" -lt 30 ]; do
        read -r _ STATE _ < <(joined) || { STATUS=0 && return; }
        case "$STATE" in
            RUNNING) LOOKS=$((LOOKS + 1)) ;;
            COMPLETING) ;;   # and then queued, or gone
            PENDING | CONFIGURING | SUSPENDED) return 0 ;;
            *) STATUS=0 && return ;;
        esac
        sleep 1 || true
    done
    STATUS=$1
}

if [ -n "$JOIN" ]; then join; else launch "$@"; fi

# 138: stopped by USR1 with work left; 4: Ray was lost, or did not start. Whatever terminates a job
# decides itself whether it is queued again; a mistake, 2, would only be repeated.
if [ -z "$TERMINATED" ] && { [ "$STATUS" -eq 138 ] ||
    { [ "$STATUS" -eq 4 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_RESTARTS" ]; }; }; then
    (trap '' TERM   # that comes with it
    scontrol requeue "$SLURM_JOB_ID" && [ -n "$JOIN" ] &&
        scontrol update JobId="$SLURM_JOB_ID" Dependency="after:$JOIN") || true
fi
exit "$STATUS"
