# Each target first does whatever set-up is missing; `make help` lists them.
# PYTHON=python3.11 names the Python of a first set-up; ARGS="..." is passed on to the command.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast bench lint check setup ready

# So that `python` and `torchrun` are those of the project, whatever is activated.
IN_ENV := PATH="$(CURDIR)/.venv/bin:$$PATH"
# On machines with many cores the threads of small operations wait for each other longer than they work.
THREADS := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-$$(n=$$(nproc); [ $$n -gt 4 ] && n=4; echo $$n)}

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F ': ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: ready ## make data, train two small models, fuse, submit, score; without download or GPU
	@$(IN_ENV) python tools/demo.py $(ARGS)

test: ready ## all tests
	@$(IN_ENV) $(THREADS) python -m pytest $(ARGS)

test-fast: ready ## the tests that take a few seconds at most
	@$(IN_ENV) $(THREADS) python -m pytest -m 'not slow' $(ARGS)

bench: ready ## time and memory against what a user would otherwise run, side by side
	@$(IN_ENV) python benchmarks/run.py $(ARGS)

lint: ready ## style of the code
	@$(IN_ENV) ruff check . && $(IN_ENV) ruff format --check .

check: ready ## versions, devices, compiled ops, and what to do about what does not work
	@$(IN_ENV) python -m sartorius.check_env $(ARGS)

setup: ## go through the whole set-up again, to mend it
	@PYTHON="$(PYTHON)" sh tools/setup_env.sh --again

ready:
	@PYTHON="$(PYTHON)" sh tools/setup_env.sh
