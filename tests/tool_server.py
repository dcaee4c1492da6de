"""Runs command-line tools in forks of one interpreter that has imported the large libraries.

The fixture ``run`` of conftest.py starts it: each fork saves the seconds that the libraries take to import. A fork runs
a tool as ``python TOOL ARGUMENT...`` does, with no module of the project imported before.

Its arguments name the modules to import. Protocol: one JSON line ``{"argv": [...], "cwd": ..., "environment": {...},
"output": FILE}`` per run on standard input, one line with the exit code on standard output.
"""

import importlib
import json
import os
import runpy
import sys

# Some of the libraries print while they are imported.
answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)

for library in sys.argv[1:]:
    importlib.import_module(library)


def wait_for_run() -> dict:
    """Serves requests; returns in each fork, with its request."""
    for line in sys.stdin:
        if os.fork() == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.wait()[1]), file=answers, flush=True)
    sys.exit()


request = wait_for_run()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
output = os.open(request['output'], os.O_WRONLY | os.O_CREAT)
os.dup2(output, 1)
os.dup2(output, 2)
os.chdir(request['cwd'])
os.environ.clear()
os.environ.update(request['environment'])
sys.argv = request['argv']
sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name='__main__')
