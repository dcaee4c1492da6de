#!/bin/sh
# Finds a Python 3.11 to 3.13 and runs the set-up with it (tools/setup/setup_env.py, options passed on).
# PYTHON names one; otherwise that of an earlier set-up is kept, else the first suitable one on the PATH is taken.
cd "$(dirname "$0")/../.." || exit 1

set_up_if_suitable() {
    python=$1
    shift
    # A command of that name may exist and not run (pyenv's are such), so ask it.
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
        exec "$python" -m tools.setup.setup_env "$@"
    fi
}

if [ -n "$PYTHON" ]; then
    set_up_if_suitable "$PYTHON" "$@"
    found="PYTHON=$PYTHON is $("$PYTHON" --version 2>/dev/null || echo 'not a command that runs')"
else
    for candidate in .venv/bin/python python3 python3.11 python3.12 python3.13; do
        set_up_if_suitable "$candidate" "$@"
    done
    found="python3 is $(python3 --version 2>/dev/null || echo missing) and no other was found"
fi
echo "error: Python 3.11, 3.12 or 3.13 is needed, but $found: install one (for example apt-get install python3.11" \
    "python3.11-venv python3.11-dev) and name it, as in PYTHON=python3.11 make demo" >&2
exit 1
