#!/bin/sh
# One element of a Slurm array explains one shard of a data set. Everything behind the file's name goes to `foveate run`:
#
#   sbatch --array=0-7 deploy/slurm-array.sh --data Questions.csv --images . --model llava-1.5-7b --out /shared/mmvp
#   sbatch --dependency=afterany:JOB --wrap "foveate merge /shared/mmvp --out /shared/mmvp-whole"
#
# An element that was cancelled, ran out of time or lost its node goes on where it ended when it is submitted again. To submit
# only some of them again, say how many there are in all:
#
#   sbatch --array=3,5 deploy/slurm-array.sh --shards 8 --data ...
#
# An array with gaps is refused without --shards: Slurm does not say which element of how many such a one is.
#
#SBATCH --job-name=foveate
#SBATCH --gpus-per-task=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=foveate-%A-%a.log

foveate run "$@"
code=$?
# 3: every sample has a record, some of them an error. The element is done; `foveate merge` and the records say which.
if [ "$code" -eq 3 ]; then exit 0; fi
exit "$code"
