#!/usr/bin/env bash
# deploy/slurm-array.sh on a real Slurm (Debian's slurm-wlm and munge, as root): one element of an array is requeued while it works,
# another killed and submitted again, and the merged shards are byte by byte the run of one process.
#
#   cargo build --release && tests/slurm/test.sh target/release
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$(realpath "$1"):/usr/sbin:$PATH"
for program in foveate munged slurmctld slurmd sbatch; do
    command -v "$program" > /dev/null || { echo "$program: expected on the PATH, found nothing" >&2; exit 1; }
done
work=$(mktemp -d)
stop() {
    for file in "$work"/{slurmd,slurmctld}.pid "$work/munge/pid"; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2> /dev/null || continue
        # Until it has ended, it writes to its folder.
        for _ in $(seq 100); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
    done
    rm -rf "$work"
}
trap stop EXIT
tests/slurm/cluster.sh "$work"
export SLURM_CONF=$work/slurm.conf

# Twenty-four questions about the demo's scenes.
python3 - > "$work/questions.jsonl" << 'PYTHON'
import itertools, json
scenes = json.load(open("assets/demo/scenes/scenes.json"))
asked = [(scene["picture"], q) for scene in scenes for q in scene["questions"]]
for number, (picture, q) in zip(range(24), itertools.cycle(asked)):
    print(json.dumps({"id": f"q{number}", "image": picture, "question": q["question"], "answer": q["answer"]}))
PYTHON
options=(--data "$work/questions.jsonl" --images assets/demo/scenes --device cpu --threads 1 --iterations 3 --steps 10)
foveate run "${options[@]}" --out "$work/whole" > "$work/whole.log" 2>&1

records() {
    cat "$work/shards/shard-$1-of-3/records.jsonl" 2> /dev/null | wc -l
}
finished() {
    for _ in $(seq 300); do
        [ -z "$(squeue --noheader --jobs="$1" 2> /dev/null)" ] && return
        # Slurm lets a requeued element wait two minutes; nothing here needs that.
        scontrol update JobId="${1}_1" StartTime=now 2> /dev/null || true
        sleep 1
    done
    squeue >&2
    echo "job $1: expected an end within five minutes" >&2
    exit 1
}
job=$(sbatch --parsable --array=0-2 --output="$work/log-%a" deploy/slurm-array.sh "${options[@]}" --out "$work/shards")
until [ "$(records 1)" -ge 2 ] && [ "$(records 2)" -ge 2 ]; do sleep 0.1; done
scontrol requeue "${job}_1"
scancel --signal=KILL --batch "${job}_2"
finished "$job"
for shard in 1 2; do
    echo "shard $shard: $(records $shard) of 8 records, $(grep -c . "$work/shards/shard-$shard-of-3/timings.jsonl") lines of timings"
done
if [ "$(records 2)" -eq 8 ]; then
    echo "the killed element had finished before: expected it to be cut off" >&2
    exit 1
fi
if foveate merge "$work/shards" --out "$work/merged" 2> "$work/refusal"; then
    echo "merge: expected a refusal, for shard 2 is not whole" >&2
    exit 1
fi
cat "$work/refusal"
again=$(sbatch --parsable --array=2 --output="$work/log-%a" deploy/slurm-array.sh --shards 3 "${options[@]}" --out "$work/shards")
finished "$again"
foveate merge "$work/shards" --out "$work/merged"
for file in run.json records.jsonl masks-00000.f32; do
    cmp "$work/whole/$file" "$work/merged/$file"
done
echo "the merged shards are the run of one process, byte by byte"
