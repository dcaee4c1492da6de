#!/usr/bin/env bash
# For maintainers: resolves requirements/ to requirements/lock.txt. Needs uv (pip install uv) and a network.
# Keeps locked versions that still fit; options are passed on to `uv pip compile`, such as --upgrade or
# --upgrade-package pandas. Run `make setup` and `make test` before committing a new lock.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
groups=(requirements/{torch,build,mmcv,core,mmdet,workflow,tests}.txt)

resolve() { # resolve PYTHON OUTPUT [OPTION...]
    uv pip compile --quiet --python-version "$1" --python-platform linux --no-header --annotation-style line \
        --output-file "$2" "${@:3}" "${groups[@]}"
    # Which CUDA packages torch needs depends on the build of torch that a user chooses.
    sed -i -E '/^(nvidia-|cuda-|triton=)/d' "$2"
}

cp requirements/lock.txt "$scratch/3.11.txt"
resolve 3.11 "$scratch/3.11.txt" "$@"
for python in 3.12 3.13; do
    resolve "$python" "$scratch/$python.txt" --constraint "$scratch/3.11.txt"
    diff <(cut -d ' ' -f 1 "$scratch/3.11.txt") <(cut -d ' ' -f 1 "$scratch/$python.txt") ||
        { echo "error: Python $python needs other packages than Python 3.11" >&2 && exit 1; }
done
{
    echo '# Every package that the set-up installs, at the version that was tested; used as a pip constraint in each step.'
    echo "# Written by tools/setup/lock.sh from the other files of this folder. torch's CUDA packages are left to torch."
    cat "$scratch/3.11.txt"
} >requirements/lock.txt
echo "$(grep -c == requirements/lock.txt) packages in requirements/lock.txt"
