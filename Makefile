# Everything here needs Python 3.11+ and make, and nothing else: it installs into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto
# of `make install-man`: where to; DESTDIR goes before it
PREFIX ?= /usr/local
# of `make soak`: how long, which story (another one each time unless it is set), mirror.watch
SECONDS ?= 180
SEED ?=
WATCH ?= restore
# of `make sweep` and `make fuzz`: how long, and what `make sweep` tries: new things each time unless SEED
# is set, in all scenes
MINUTES ?= 30
export SWEEP_SCENES ?=
# of `make bench`: which cases (all), rounds (5), a factor for all sizes (1), SMOKE=1 for a trial, where
# the contenders write (build/), where the results go (benchmarks/), an older program beside this one (none)
export CASES ROUNDS SCALE SMOKE BENCH_DIR BENCH_OUT BEFORE

# Compiled once, not at each of a thousand starts of the program.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo fleet docs reference man install-man test collected soak sweep fuzz bench dist deb sbom lint types layers check format clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("artifact-sync needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ": make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo 'Installing into $(VENV) …'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fast,web,postgres,fleet,s3,dev,docs,servers,stores]' --config-settings editable_mode=compat
	@touch $@

install: $(VENV)/.installed ## Install into .venv, with what the tests need

demo: install ## Mirror a small organisation of the built-in simulator, and verify it
	@$(BIN)/artifact-sync demo

fleet: install ## Three workers on PostgreSQL and an object store, one killed, and the counts
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fleet-demo]' --config-settings editable_mode=compat
	@$(BIN)/python -m fleet_demo

docs: install ## The documentation site, into build/site; broken links and the like are errors
	@$(BIN)/python -m docs_site

reference: install ## Write docs/reference/ and docs/man/ anew, from the program
	@$(BIN)/python -m reference

man: reference ## Manual pages, in docs/man/

# They are part of the source, so that this needs no more than a shell.
install-man: ## Install the manual pages: PREFIX=/usr/local, DESTDIR=
	@set -e; for page in docs/man/*.[15]; do \
	  folder="$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}"; \
	  install -d "$$folder"; install -m 644 "$$page" "$$folder/"; \
	done

test: install ## Lint, types, layers and all tests
	@$(MAKE) --no-print-directory --jobs=2 check collected
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

soak: install ## A daemon, and a fleet, for SECONDS (180) with faults and kills; SEED= tells it again
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) SOAK_WATCH=$(WATCH) $(BIN)/python -m pytest -q -s -m soak tests/soak

sweep: install ## Strike at every system call for MINUTES (30): kills, errors, power cuts
	SWEEP_MINUTES=$(MINUTES) SWEEP_SEED=$(SEED) $(BIN)/python -m pytest -q -s -m sweep tests/sweep

fuzz: install ## Garbled answers, configurations and requests for MINUTES (30)
	FUZZ_MINUTES=$(MINUTES) $(BIN)/python -m pytest -q -s -m fuzz tests/fuzz

bench: install ## Speed, beside other downloaders: CASES=1,2 ROUNDS=3; SMOKE=1 is a trial
	$(BIN)/python -m benchmarks

dist: install build/tools/.installed ## Source package and wheel, into dist/
	@packaging/make-dist $(BIN)/python dist
	@build/tools/bin/twine check --strict $(WHEEL) $(SDIST)

# What makes and checks no more than releases: not everybody has to install that.
build/tools/.installed: constraints.txt
	@echo 'Installing twine and cyclonedx-bom into build/tools …'
	@$(PYTHON) -m venv build/tools
	@build/tools/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt twine cyclonedx-bom
	@touch $@

# What `make dist` makes of this version.
VERSION = $(shell sed -n 's/^VERSION = "\(.*\)"$$/\1/p' artifact_sync/version.py)
WHEEL = dist/artifact_sync-$(VERSION)-py3-none-any.whl
SDIST = dist/artifact_sync-$(VERSION).tar.gz

deb: dist ## Package for Debian, for the one that it is made on, into dist/
	@INSTALLER="$(abspath $(BIN))/python" packaging/make-deb $(WHEEL) dist

sbom: dist ## Bill of materials of the wheel with all extras (CycloneDX), into dist/
	@INSTALLER="$(abspath $(BIN))/python" packaging/make-sbom build/tools/bin/python $(WHEEL) dist

check: lint types layers ## Lint, types and layers, no tests

# Beside the checks, and once for all workers: pytest compiles what it collects.
collected: install
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || $(BIN)/python -m pytest --collect-only -q

lint: install ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy
	$(BIN)/mypy

layers: install ## import-linter
	$(BIN)/lint-imports

format: install ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what was installed and built
	rm -rf $(VENV) .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
