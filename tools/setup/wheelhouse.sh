#!/usr/bin/env bash
# Carries the environment to a machine without network: packs every wheel it needs, or installs from them.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: tools/setup/wheelhouse.sh pack DIR             collect every wheel in DIR, after the set-up if it is missing
       tools/setup/wheelhouse.sh install DIR [VENV]   set up VENV (default: .venv in the checkout) from DIR, without network

The machine that installs needs the Python version, and at least the Linux, of the one that packed; no compiler.
TEXT
}

# What the compiled ops of mmcv are made of: in a wheel file, or as installed.
ops_checksum() {
    "$python" - "$@" <<'CODE'
import hashlib, importlib.util, sys, zipfile
from pathlib import Path
if sys.argv[1:]:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        ops = [wheel.read(name) for name in wheel.namelist() if name.startswith('mmcv/_ext.')]
else:
    ops = [path.read_bytes() for path in Path(importlib.util.find_spec('mmcv').origin).parent.glob('_ext.*')]
print([hashlib.sha256(content).hexdigest() for content in ops])
CODE
}

pack() {
    sh "$checkout/tools/setup/setup_env.sh"
    python=$checkout/.venv/bin/python
    mkdir -p "$house"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT

    # Exactly the versions that are installed and work. --no-build-isolation: mmcv compiles against torch.
    "$python" -m pip list --format=freeze --exclude-editable >"$scratch/installed.txt"
    echo "collecting the wheels of $(wc -l <"$scratch/installed.txt") packages"
    MMCV_WITH_OPS=1 "$python" -m pip wheel -qq --no-build-isolation --wheel-dir "$house" -r "$scratch/installed.txt"
    # From a copy, as setuptools leaves a build folder where it works.
    (cd "$checkout" && cp -r sartorius configs tools requirements setup.py pyproject.toml LICENSE README.md "$scratch")
    "$python" -m pip wheel -qq --no-build-isolation --no-deps --wheel-dir "$house" "$scratch"

    if [[ $(ops_checksum "$house"/onedl_mmcv-*.whl) != "$(ops_checksum)" ]]; then
        echo "error: $house: the mmcv wheel that pip had kept is not the one that was tested here: run" \
            "\`pip cache remove onedl_mmcv\`, delete that wheel, and pack again" >&2
        exit 1
    fi
    echo "$(find "$house" -name '*.whl' | wc -l) wheels, $(du -sh "$house" | cut -f 1), in $house"
}

command=${1:-} house=${2:-}
if [[ $command == --help || $command == -h ]]; then
    usage
    exit 0
fi
if [[ $command != pack && $command != install || -z $house || $# -gt 3 || ($command == pack && $# -gt 2) ]]; then
    usage >&2
    exit 2
fi
checkout=$(cd "$(dirname "$0")/../.." && pwd)
house=$(realpath -m "$house")
if [[ $command == pack ]]; then
    pack
else
    sh "$checkout/tools/setup/setup_env.sh" --wheelhouse "$house" --venv "$(realpath -m -s "${3:-$checkout/.venv}")"
fi
