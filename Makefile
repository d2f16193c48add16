# The virtual environment .venv is made on first use, from requirements.lock.
# PYTHON=... chooses its interpreter; ARGS=... is passed on to the demo or to pytest.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
PYTHON_NAMES := python3.12 python3.11 python3 python
PROBE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test lint format venv clean
.DEFAULT_GOAL := help

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Compress and restore a photograph with the shipped models.
	$(BIN)/python -m diffcomp.demo $(ARGS)

test: $(VENV)/.installed ## Run the tests.
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.installed ## Check the style of the sources; change nothing.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed ## Format the sources and fix what ruff can fix.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(VENV)/.installed ## Make the virtual environment in .venv.

clean: ## Remove the virtual environment, caches and build output.
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache build dist *.egg-info
	find configs diffcomp launch tests -type d -name __pycache__ -prune -exec rm -rf {} +

# `pip check` fails if setup.cfg asks for something that the lock does not have.
$(VENV)/.installed: $(VENV)/.locked setup.cfg pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

# Starts from an empty folder, so that an interrupted installation cannot leave a broken one.
# `type -ap` gives every match on PATH: behind a version manager's stub that cannot run there may
# be a Python that can. Setuptools comes first: it builds the packages that have no wheel, so that
# nothing is fetched but what the lock names.
$(VENV)/.locked: requirements.lock
	@for candidate in $$(type -ap $(or $(PYTHON),$(PYTHON_NAMES))); do \
	  if "$$candidate" -c '$(PROBE)' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No usable Python: tried $(or $(PYTHON),$(PYTHON_NAMES))." >&2; \
	  echo "Python 3.11 or 3.12 with the venv module is needed;" \
	    "name one with: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	fi; \
	echo "Installing requirements.lock into $(VENV) with $$python (3 GB, some minutes)"; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install --quiet $$(grep -E '^(setuptools|wheel)==' requirements.lock)
	@$(PIP) install --quiet --no-deps --no-build-isolation --requirement requirements.lock
	@touch $@
