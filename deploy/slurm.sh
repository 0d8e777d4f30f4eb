#!/bin/bash
# A study on a SLURM allocation: one Ray node per machine, the launch on the first one.
# Fill in: the lines marked with <- ; see deploy/README.md.
#SBATCH --job-name=untuned
#SBATCH --nodes=2                     # <- machines
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16            # <- processors of each
#SBATCH --time=24:00:00               # <- a study that does not finish in time goes on in the next job
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120           # two minutes before the end: leave checkpoints, and stop
# #SBATCH --gpus-per-node=4           # <- then also --gpus-per-trial below

set -euo pipefail

STUDY=${STUDY:-digits}                # <- a ready study's name, or a YAML file
STORAGE=${STORAGE:-$HOME/studies/$STUDY}  # <- a directory that all machines share, or s3://bucket/prefix
OPTIONS=${OPTIONS:-}                  # <- of `launch`, such as "--gpus-per-trial 0.5"
PORT=${PORT:-6379}                    # of Ray's head; free on the first machine
# source /path/to/venv/bin/activate   # <- the same environment on every machine

# Ray's own token, the same on all nodes, readable by this user only; removed at the end.
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=$HOME/.untuned-token-$SLURM_JOB_ID
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$RAY_AUTH_TOKEN_PATH")

mapfile -t HOSTS < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
HEAD=${HOSTS[0]}
ADDRESS=$(srun --nodes=1 --ntasks=1 -w "$HEAD" hostname --ip-address | awk '{print $1}'):$PORT
CPUS=${SLURM_CPUS_PER_TASK:-1}
NODES=()

finish() {
    [ ${#NODES[@]} -eq 0 ] || kill "${NODES[@]}" 2>/dev/null || true
    wait || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap finish EXIT

srun --nodes=1 --ntasks=1 -w "$HEAD" \
    ray start --head --node-ip-address="${ADDRESS%:*}" --port="$PORT" --num-cpus="$CPUS" --include-dashboard=false --block &
NODES+=($!)
until ray status --address "$ADDRESS" > /dev/null 2>&1; do
    kill -0 "${NODES[0]}"             # the head ended: so does the job, with its message above
    sleep 2
done
for HOST in "${HOSTS[@]:1}"; do
    srun --nodes=1 --ntasks=1 -w "$HOST" \
        ray start --address="$ADDRESS" --num-cpus="$CPUS" --block &
    NODES+=($!)
done

# shellcheck disable=SC2086  # OPTIONS are words
${LAUNCH:-python run_sweep.py} launch "$STUDY" --storage "$STORAGE" --address "$ADDRESS" $OPTIONS &
LAUNCHED=$!
trap 'kill -USR1 $LAUNCHED' USR1 TERM
# `wait` also returns when a signal was trapped; the launch then still needs some seconds.
while kill -0 $LAUNCHED 2>/dev/null; do wait $LAUNCHED || true; done
STATUS=0
wait $LAUNCHED || STATUS=$?

# 138: stopped by USR1 with work left. The next run of this job goes on from there.
[ "$STATUS" -ne 138 ] || scontrol requeue "$SLURM_JOB_ID"
exit "$STATUS"
