# Everything a developer runs. Each target sets up what it needs, in .venv and in build/, and can be
# run on a machine that has only Python 3.11 or newer: `make run`, `make test`, `make check`.

VENV ?= .venv
RUN_IN_VENV = $(VENV)/bin/python -m

# The first Python that is new enough; `make PYTHON=/path/to/python` chooses another.
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' \
	2>/dev/null && break; done)
endif

.PHONY: help run test lint format docs bench compat check clean python

help:
	@echo 'make run     start a server on localhost:8025 that prints the mail it gets'
	@echo 'make test    run the tests'
	@echo 'make lint    check style and types'
	@echo 'make format  put the code into its style'
	@echo 'make docs    build the documentation into docs/_build/html'
	@echo 'make bench   compare with 1.4.6 and other servers (ARGS=--quick: half a minute)'
	@echo 'make compat  run the tests of aiosmtpd 1.4.6 against this tree'
	@echo 'make check   all checks'
	@echo 'make clean   remove what the other targets made'

python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed; found none on PATH' >&2; exit 1; }

# The package needs nothing but the standard library, so there is nothing to set up.
run: python
	@echo 'Listening on localhost:8025 until you press Ctrl-C; what arrives is printed here.'
	@PYTHONPATH=src $(PYTHON) -u -m aiosmtpd -n

test: $(VENV)/.test
	$(RUN_IN_VENV) pytest -n auto

lint: $(VENV)/.test $(VENV)/.lint
	$(RUN_IN_VENV) ruff check .
	$(RUN_IN_VENV) ruff format --check .
	$(RUN_IN_VENV) mypy src tests bench
	$(VENV)/bin/python tests/test_architecture.py

format: $(VENV)/.lint
	$(RUN_IN_VENV) ruff check --fix .
	$(RUN_IN_VENV) ruff format .

docs: $(VENV)/.docs
	$(RUN_IN_VENV) sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.bench
	$(RUN_IN_VENV) bench $(ARGS)

compat: $(VENV)/.compat
	$(VENV)/bin/python tests/compat/run.py

check: lint test docs compat

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp for each dependency group of pyproject.toml that is installed; groups need pip 25.1.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/pip
	$(RUN_IN_VENV) pip install -qq 'pip>=25.1'
	$(RUN_IN_VENV) pip install -qq --editable . --group $*
	@touch $@

# Debian keeps what `venv` needs in a package of its own.
$(VENV)/bin/pip: | python
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		rm -rf $(VENV); \
		as_root=$$(test "$$(id -u)" = 0 || echo sudo -n); \
		echo '$(PYTHON) cannot make a virtual environment: installing python3-venv'; \
		{ $$as_root apt-get -qq update && $$as_root apt-get -qq install -y python3-venv >/dev/null \
		&& $(PYTHON) -m venv $(VENV); } || { rm -rf $(VENV); \
		echo 'install the venv module of $(PYTHON) (Debian: python3-venv) and try again' >&2; exit 1; }; }
