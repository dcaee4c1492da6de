# Each target first completes the set-up; `make help` lists them.
# PYTHON=python3.11 names the Python of a first set-up; ARGS="..." is passed on to the command.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast fuzz kill-test bench lint audit check setup ready

# `python` and `torchrun` are those of the project, whatever environment is activated.
IN_ENV := PATH="$(CURDIR)/.venv/bin:$$PATH"
# Tests run in parallel, each file in one process with one thread, in the order of tests/conftest.py: one process more than
# there are cores, as some tests wait for tools, but more than four would need much memory.
IN_PARALLEL := OMP_NUM_THREADS=1 python -m pytest --numprocesses=$$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F ': ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: ready ## synthetic images, two small models, fusion, submission, score; without download or GPU
	@$(IN_ENV) python tools/demo.py $(ARGS)

test: ready ## all tests
	@$(IN_ENV) $(IN_PARALLEL) $(ARGS)

# Whatever it lists as slower than 3 s should be marked slow.
test-fast: ready ## the tests that take about 3 s at most
	@$(IN_ENV) $(IN_PARALLEL) -m 'not slow' --durations=10 --durations-min=3 $(ARGS)

# Equal seeds give equal cases; before a release: ARGS="--files 10000 --arrays 25000", about seven minutes.
fuzz: ready ## hostile files through every reader, hostile arrays through the numeric core
	@$(IN_ENV) OMP_NUM_THREADS=1 python tests/fuzz/run_fuzz.py $(ARGS)

# ARGS="power", ARGS="disk" (as root) and ARGS="soak" try the other ways to end; ARGS="--only predict --points 500 --seed 0".
kill-test: ready ## kill every tool that writes at every moment, and look at what is left
	@$(IN_ENV) OMP_NUM_THREADS=1 python tests/kill/run_kill.py $(ARGS)

bench: ready ## time and memory against what a user would otherwise run, side by side
	@$(IN_ENV) python benchmarks/run.py $(ARGS)

lint: ready ## style of the code
	@$(IN_ENV) ruff check . && $(IN_ENV) ruff format --check .

audit: ready ## known vulnerabilities of the locked packages, as far as an advisory service answers
	@$(IN_ENV) python -m tools.setup.audit $(ARGS)

check: ready ## versions, devices, compiled ops, and what to do about what does not work
	@$(IN_ENV) python -m sartorius.check_env $(ARGS)

setup: ## run all steps of the set-up again, to fix it
	@PYTHON="$(PYTHON)" sh tools/setup/setup_env.sh --again

ready:
	@PYTHON="$(PYTHON)" sh tools/setup/setup_env.sh
