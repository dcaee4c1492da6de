"""``start.py TOOL ARGUMENT...``: runs a tool in a process group of its own, watched by watch/sitecustomize.py.

tests/tool_server.py runs it in a fork that has the libraries already.
"""

import atexit
import importlib
import os
import runpy
import sys
import threading
import traceback
from pathlib import Path


def run(file: str) -> int:
    """Runs a Python file as a program; its exit code."""
    try:
        runpy.run_path(file, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


os.setsid()
os.environ['KILL_GROUP'] = str(os.getpgrp())
sys.path.insert(0, str(Path(__file__).parent / 'watch'))
# The interpreter has one of its own, or none.
sys.modules.pop('sitecustomize', None)
importlib.import_module('sitecustomize')
del sys.path[0]
sys.argv = sys.argv[1:]
sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
code = run(sys.argv[0])
# What an interpreter does at its end, but for freeing the memory of all libraries, which takes longer than most tools.
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
