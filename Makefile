# Every command sets everything up by itself: all it needs is Python 3.11 or later with its venv module.
PYTHON ?= python3
VENV ?= .venv
# A file's tests share what is expensive, so a file is one process's. In the order of the folders: the slow ones first.
PYTEST = $(VENV)/bin/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test lint format docs bench coverage clean

demo: $(VENV)/installed
	$(VENV)/bin/boneage-node replay sample_dicom/

test: lint
	$(PYTEST)

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/installed-test
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

# What is written by the program. Tests fail where a document is not what would be written.
docs: $(VENV)/installed
	$(VENV)/bin/python -m boneage_node.settings.table > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
	PYTHONPATH=tools $(VENV)/bin/python -m conformance > docs/conformance.md.new
	mv docs/conformance.md.new docs/conformance.md

# The receiver is measured with DCMTK's storescu. RSNA=folder also measures what is refused.
bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/receive.py
	$(VENV)/bin/python benchmarks/turnaround.py
	$(VENV)/bin/python benchmarks/assess.py
	$(if $(RSNA),$(VENV)/bin/python benchmarks/non_hands.py $(RSNA))

coverage: $(VENV)/installed-test
	$(PYTEST) --cov --cov-report term:skip-covered --cov-report html

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: name it, as in  make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist replay-out test-output htmlcov .coverage .coverage.*
