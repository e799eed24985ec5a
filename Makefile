# Everything here works from a fresh clone: Python 3.11 or newer and make are all it needs.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
SEEDS ?= 1

.PHONY: help demo pictures test check lint types imports docs site gallery bench bench-full bench-report bench-speed reliability fuzz clean

help:            ## Show what can be made.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	@touch $@

demo: $(BIN)/.ready  ## Train, score, evaluate and inspect the sample logs.
	BIN=$(BIN) DEMO=$(DEMO) sh sample_data/demo.sh

pictures: demo  ## Take the pictures of the HTML report in docs/figures; needs Chromium.
	$(BIN)/python -m tests.report.pictures $(DEMO) docs/figures

test: $(BIN)/.ready  ## Run every test, the slow ones too.
	$(BIN)/python -m pytest -n 2 --dist loadscope -q

check: lint types imports docs site test  ## All that CI asks.

lint: $(BIN)/.ready  ## Style and spelling.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell aster_cli tests docs sample_data benchmarks README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md

types: $(BIN)/.ready  ## Static types.
	$(BIN)/mypy

imports: $(BIN)/.ready  ## The import contract.
	$(BIN)/lint-imports

docs: $(BIN)/.ready  ## The command reference equals the commands.
	$(BIN)/python -m cogapp --check docs/commands.md

$(BIN)/.docs-ready: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	@touch $@

site: $(BIN)/.docs-ready  ## Build the documentation as a site that opens from disk: site/index.html.
	$(BIN)/python -m sphinx -W --keep-going --quiet -E -b html docs site

gallery: $(BIN)/.ready  ## Take the gallery's pictures of terminal screens anew.
	$(BIN)/python docs/screens.py $(DEMO)

$(BIN)/.bench-ready: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet -c constraints.txt --group bench
	$(BIN)/aster backbone fetch
	@touch $@

bench: $(BIN)/.bench-ready  ## Run aster and its peers on the core of the real logs, and report.
	$(BIN)/python -m benchmarks.detection run --entities core --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.detection report

bench-full: $(BIN)/.bench-ready  ## The same on every real log.
	$(BIN)/python -m benchmarks.detection run --entities full --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.detection report

bench-report: $(BIN)/.ready  ## Report what has been run so far.
	$(BIN)/python -m benchmarks.detection report

bench-speed: $(BIN)/.bench-ready  ## What training and scoring cost, beside a plain loop and the peers.
	$(BIN)/python -m benchmarks.speed

reliability: $(BIN)/.ready  ## Kill, fill disks, soak and crowd, at full length: hours on two cores.
	$(BIN)/python -m benchmarks.reliability kills
	$(BIN)/python -m benchmarks.reliability places
	$(BIN)/python -m benchmarks.reliability soak
	$(BIN)/python -m benchmarks.reliability machines

fuzz: $(BIN)/.ready  ## Spoil files for every reader and loader, for two hours.
	$(BIN)/python -m benchmarks.reliability fuzz --minutes 60
	$(BIN)/python -m benchmarks.reliability guided --minutes 60

clean:           ## Remove what was made here.
	rm -rf $(VENV) $(DEMO) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
