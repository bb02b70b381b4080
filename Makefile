# make demo: trains a model on two nodes of this machine.  make test: runs the tests.  Both set up what they need.

SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)/.uv/bin/uv)
TORCH := torch==2.13.0

.PHONY: setup setup-e2e demo test test-unit test-e2e test-sessions test-kubernetes check format bench clean

setup: $(VENV)/.ready

setup-e2e: $(VENV)/.ready-e2e

$(VENV)/.uv/bin/uv:
	python3 -m venv $(VENV)/.uv
	$(VENV)/.uv/bin/python -m pip install --quiet uv

$(VENV)/.ready: pyproject.toml uv.lock | $(if $(filter $(VENV)/%,$(UV)),$(UV))
	$(UV) sync --quiet --frozen --inexact
	@touch $@

# PyTorch is not in the lock: which build fits depends on the machine. Folders that pip is told to look in are used here, too.
$(VENV)/.ready-e2e: $(VENV)/.ready
	$(UV) sync --quiet --frozen --inexact --group e2e
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" $(UV) pip install --quiet --python $(PYTHON) $(TORCH)
	@touch $@

demo: setup-e2e
	$(PYTHON) examples/demo.py

test: setup-e2e
	$(PYTHON) -m pytest

test-unit: setup
	$(PYTHON) -m pytest tests/unit tests/property tests/conformance tests/golden

test-e2e: setup-e2e
	$(PYTHON) -m pytest tests/e2e

# exec, attach, port-forward and cp by real kubectls. Apart from `make test`: it has hung once under load.
test-sessions: setup-e2e
	$(PYTHON) -m pytest -o addopts="-q --strict-markers --import-mode=importlib" tests/e2e/test_sessions.py

# Against a real API server: make test-kubernetes KUBECONFIG=…
test-kubernetes: setup-e2e
	@test -n "$(KUBECONFIG)" || { echo "name the cluster: make test-kubernetes KUBECONFIG=…" >&2; exit 2; }
	$(PYTHON) -m pytest tests/kubernetes --kubeconfig "$(KUBECONFIG)"

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) tools/sizes.py

format: setup
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: setup-e2e
	@for file in bench/*.py; do echo "== $$file"; $(PYTHON) $$file || exit 1; done

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
