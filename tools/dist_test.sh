#!/usr/bin/env bash
# Predicts on several GPUs, or on several CPU processes where there is no GPU.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
set -euo pipefail
if [ "$#" -lt 3 ]; then
    echo "usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
exec "$(dirname "$0")/launch.sh" "$gpus" test.py "$config" "$checkpoint" "$@"
