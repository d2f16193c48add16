# Five virtual environments are made on first use: .venv from requirements.lock (today's releases),
# .venv-tfc from requirements-tfc.lock (TensorFlow 2.17 with the reference range coder, JAX 0.5.3),
# .venv-colab from requirements-colab.lock (what Google Colab has, JAX 0.7.2), .venv-web from
# requirements-web.lock (Gradio, which forbids Pillow 13), .venv-docs from requirements-docs.lock.
# PYTHON=... chooses their interpreter; ARGS=... is passed on to the demo or to pytest.

SHELL := /bin/bash
VENV := .venv
VENV_TFC := .venv-tfc
VENV_COLAB := .venv-colab
VENV_WEB := .venv-web
VENV_DOCS := .venv-docs
BIN := $(VENV)/bin
PYTHON ?=
PYTHON_NAMES := python3.14 python3.13 python3.12 python3.11 python3 python
# TensorFlow 2.17 has no wheels for Python 3.13, and Colab's NumPy none for 3.14.
$(VENV)/.installed $(VENV)/.locked: LAST := 14
$(VENV_TFC)/.installed $(VENV_TFC)/.locked: LAST := 12
$(VENV_COLAB)/.installed $(VENV_COLAB)/.locked: LAST := 13
$(VENV_WEB)/.installed $(VENV_WEB)/.locked: LAST := 14
$(VENV_DOCS)/.locked: LAST := 14
PROBE = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(LAST)))
# Files go to the processes in the order of tests/conftest.py, dearest first; xdist would sort them by
# the number of their tests.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# To import the files of all tests, of which few have this mark, takes ten seconds of each process.
MARKED = $$(grep -l 'mark\.$(1)\b' tests/test_*.py)

.PHONY: help demo test test-all test-tfc test-colab notebooks serve test-web docs fuzz kill lint typecheck format venv clean
.DEFAULT_GOAL := help

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Compress and restore a photograph with the shipped models.
	$(BIN)/python -m diffcomp.demo $(ARGS)

test: $(VENV)/.installed ## Run the tests on today's releases, but for the slow ones.
	$(BIN)/python $(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/.installed ## Run all of them.
	$(BIN)/python $(PYTEST) $(ARGS)

test-tfc: $(VENV_TFC)/.installed ## Run those that need TensorFlow or the oldest JAX.
	$(VENV_TFC)/bin/python $(PYTEST) -m tfc $(ARGS)

test-colab: $(VENV_COLAB)/.installed ## Run those that must hold on Google Colab's releases.
	$(VENV_COLAB)/bin/python $(PYTEST) -m colab $(ARGS) \
	  $(if $(findstring tests/,$(ARGS)),,$(call MARKED,colab))

notebooks: $(VENV_COLAB)/.installed ## Run the notebooks there, without a browser, and check results.
	$(VENV_COLAB)/bin/python $(PYTEST) tests/test_notebooks.py $(ARGS)

test-web: $(VENV_WEB)/.installed ## Run the tests of the page, in Chromium.
	$(VENV_WEB)/bin/python -m pytest tests/test_web_jobs.py tests/test_web_page.py $(ARGS)

serve: $(VENV_WEB)/.installed ## Show the page on which to try the codec.
	$(VENV_WEB)/bin/python -m diffcomp serve $(ARGS)

docs: $(VENV_DOCS)/.locked ## Build the documentation in build/docs; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build --quiet --strict $(ARGS)

fuzz: $(VENV)/.installed ## Try damaged and forged files; MINUTES=10 says for how long.
	$(BIN)/python tests/fuzz_files.py --minutes $(or $(MINUTES),1) $(ARGS)

kill: $(VENV)/.installed ## Kill work at random times; ROUNDS=200 says how often.
	$(BIN)/python tests/kill_jobs.py --rounds $(or $(ROUNDS),10) $(ARGS)

lint: $(VENV)/.installed ## Check the style of the sources; change nothing.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed ## Check the types of what `import diffcomp` gives.
	$(BIN)/mypy

format: $(VENV)/.installed ## Format the sources and fix what ruff can fix.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(VENV)/.installed ## Make the virtual environment in .venv.

clean: ## Remove the virtual environments, caches and build output.
	rm -rf $(VENV) $(VENV_TFC) $(VENV_COLAB) $(VENV_WEB) $(VENV_DOCS)
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf build dist *.egg-info
	find configs diffcomp launch tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.locked: requirements.lock
$(VENV_TFC)/.locked: requirements-tfc.lock
$(VENV_COLAB)/.locked: requirements-colab.lock
$(VENV_WEB)/.locked: requirements-web.lock
$(VENV_DOCS)/.locked: requirements-docs.lock

# `pip check` fails if setup.cfg asks for something that the lock does not have.
%/.installed: %/.locked setup.cfg pyproject.toml
	@$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
	  --no-build-isolation --editable .
	@$*/bin/python -m pip --disable-pip-version-check check
	@touch $@

# Starts from an empty folder, so that an interrupted installation cannot leave a broken one.
# `type -ap` gives every match on PATH: behind a version manager's stub that cannot run there may
# be a Python that can. Setuptools comes first: it builds the packages that have no wheel, so that
# nothing is fetched but what the lock names. Python compiles a module when it is first imported;
# for pip to compile all of them would take longer than the rest of the installation.
%/.locked:
	@for candidate in $$(type -ap $(or $(PYTHON),$(PYTHON_NAMES))); do \
	  if "$$candidate" -c '$(PROBE)' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No usable Python: tried $(or $(PYTHON),$(PYTHON_NAMES))." >&2; \
	  echo "Python 3.11 to 3.$(LAST) with the venv module is needed;" \
	    "name one with: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	fi; \
	echo "Installing $< into $* with $$python (some minutes)"; \
	"$$python" -m venv --clear $*
	@$*/bin/python -m pip --disable-pip-version-check install --quiet --no-compile \
	  $$(sed -nE 's,^((setuptools|wheel)==[^ ;]+).*,\1,p' $<)
	@$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-compile \
	  --no-build-isolation --requirement $<
	@touch $@

.PRECIOUS: %/.locked
