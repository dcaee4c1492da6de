#!/usr/bin/env bash
# Trains on several GPUs, or on several CPU processes where there is no GPU.
#   tools/dist_train.sh CONFIG GPUS [options of train.py]
# Several nodes: run it on each with NNODES, NODE_RANK and MASTER_ADDR set (docs/training.md has the Slurm script).
set -euo pipefail
if [ "$#" -lt 2 ]; then
    echo "usage: tools/dist_train.sh CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
exec "$(dirname "$0")/launch.sh" "$gpus" train.py "$config" "$@"
