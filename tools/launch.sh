#!/usr/bin/env bash
# Starts a tool in several processes with torchrun; dist_train.sh and dist_test.sh call it.
#   tools/launch.sh PROCESSES TOOL [arguments of the tool]
# PORT is taken if set, otherwise any free port, so that two runs on one machine do not meet.
set -euo pipefail
processes=$1 tool=$2
shift 2
if ! [[ "$processes" =~ ^[1-9][0-9]*$ ]]; then
    echo "error: the number of GPUs must be a whole number above 0, not '$processes'" >&2
    exit 2
fi
nodes=${NNODES:-1}
if [ "$nodes" -gt 1 ]; then
    rendezvous=(--nnodes "$nodes" --node_rank "${NODE_RANK:?set NODE_RANK to the number of this node}"
        --master_addr "${MASTER_ADDR:?set MASTER_ADDR to the first node}" --master_port "${PORT:-29500}")
elif [ -n "${PORT:-}" ]; then
    rendezvous=(--nnodes 1 --master_addr 127.0.0.1 --master_port "$PORT")
else
    rendezvous=(--standalone)
fi
# Processes on one CPU share its cores; on GPUs a few threads each are enough for loading.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(nproc) + processes - 1) / processes))}
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=python
if [ -z "${VIRTUAL_ENV:-}" ] && [ -x "$tools/../.venv/bin/python" ]; then
    python=$tools/../.venv/bin/python
fi
exec "$python" -m sartorius.engine.launch "${rendezvous[@]}" --nproc_per_node "$processes" "$tools/$tool" "$@"
