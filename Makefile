# Everything a contributor or a machine runs goes through here. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLD_CLIENT := .cache/old-client/.installed
FRAMEWORKS := .cache/frameworks/.installed
JS_CLIENTS := $(patsubst %,tests/%/js/node_modules/.package-lock.json,seeds clients dashboard)
ROUNDS ?= 200
SEEDS ?= 2000
SEED ?=
SHARE ?= 5
PARTS ?= recall startup
DATA ?=
ARGS ?=
N ?= 3
PORT ?= 6333
CLEAN ?=
CLUSTER ?=
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)".*/\1/p' vecraft/__init__.py)
IMAGE ?= vecraft:$(VERSION)
BUILDER ?= docker build
BASE ?=
BUILD_ARGS ?=
PYTEST := $(BIN)/python -m pytest
# Where what a module sets up costs much: a file's tests stay together.
BY_FILE := $(PYTEST) -q -n 2 --dist loadfile

.PHONY: help install tools fmt lint types types-js imports protos docs chart generated test-unit check test demo cluster crash faults reshard play sim steps fuzz congruence image image-test screenshots bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-11s %s\n", $$1, $$2}'

install: $(STAMP) ## Create .venv with the locked packages (nothing to do when it is fresh)

$(STAMP): pyproject.toml requirements.lock vecraft/__init__.py $(wildcard node/index/*.c node/index/*.h node/storage/*.c)
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $@

# program:package
TOOLS := node:nodejs npm:npm chromium:chromium mount:mount ip:iproute2 tc:iproute2 nft:nftables promtool:prometheus prometheus:prometheus

tools: ## Check the programs that tests need beside Python, and install what is missing (Debian)
	@missing=(); for tool in $(TOOLS); do \
	  command -v "$${tool%%:*}" >/dev/null || missing+=("$${tool##*:}"); \
	done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; apt-get update -qq && apt-get install -y -qq "$${missing[@]}" >/dev/null; \
	fi; \
	for tool in $(TOOLS); do \
	  command -v "$${tool%%:*}" >/dev/null || { echo "$${tool%%:*} is missing and could not be installed" >&2; exit 1; }; \
	done

fmt: install ## Format the code and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install ## Formatting and lint rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install ## mypy, strict
	$(BIN)/mypy

imports: install ## The floors of the architecture: who may import whom
	$(BIN)/lint-imports

test-unit: install ## Fast tests
	$(PYTEST) -q -m "not slow" -n 2 tests --ignore=tests/congruence --ignore=tests/clients --ignore=tests/seeds

protos: install ## Generate the code of the .proto files
	$(BIN)/python -m tools.generate_protos

docs: install ## Write docs/CLI.md from the parsers
	$(BIN)/python -m tools.document_commands

chart: install ## Write the schema of the chart's values, and what its profiles render to
	$(BIN)/python -m tools.chart_schema
	$(BIN)/python -m tests.deploy.golden

generated: install ## Are the generated code, the chart's schema and docs/CLI.md fresh?
	$(BIN)/python -m tools.generate_protos --check
	$(BIN)/python -m tools.chart_schema --check
	$(BIN)/python -m tools.document_commands --check

check: lint imports types generated test-unit ## What to run before every commit

# The documentation's older snippets are run with the client of their time, kept apart from ours.
$(OLD_CLIENT): tests/seeds/old-client.lock
	python3 -m venv .cache/old-client
	.cache/old-client/bin/python -m pip install --quiet --no-deps -r tests/seeds/old-client.lock
	touch $@

# What is built on the clients brings packages that ours are not to be chosen by.
$(FRAMEWORKS): tests/clients/frameworks.lock | install
	python3 -m venv .cache/frameworks
	$(BIN)/uv pip sync --quiet --python .cache/frameworks/bin/python $<
	touch $@

$(JS_CLIENTS): %/node_modules/.package-lock.json: %/package.json %/package-lock.json | tools
	cd $* && npm ci --legacy-peer-deps --silent --no-audit --no-fund
	touch $@

types-js: tests/dashboard/js/node_modules/.package-lock.json ## The types that the dashboard's modules state, checked
	tests/dashboard/js/node_modules/.bin/tsc -p tests/dashboard/js

test: tools check types-js $(OLD_CLIENT) $(FRAMEWORKS) $(JS_CLIENTS) ## Everything: slow tests, congruence, clients, documentation snippets, crashes
	$(PYTEST) -q -n 2 -m slow tests --ignore=tests/congruence --ignore=tests/clients --ignore=tests/seeds
	$(BY_FILE) tests/congruence tests/clients tests/seeds tests_cluster --ignore-glob='*/test_cluster_*' --ignore-glob='*/test_kubernetes_*'
	CONGRUENCE_NODES=3 CONGRUENCE_SHARE=0.1 $(BY_FILE) tests/congruence
	$(BY_FILE) tests_cluster/test_cluster_*.py tests_cluster/test_kubernetes_*.py

demo: install ## Start a node, load real data, search it, and leave it running; CLUSTER=1 uses that of `make cluster`
	$(BIN)/python -m vecraft.demo $(if $(CLUSTER),--url http://127.0.0.1:$(PORT)) $(ARGS)

cluster: install ## N nodes (3) as one cluster until Ctrl-C, with their status; CLEAN=1 begins anew, PORT=7333 elsewhere
	$(BIN)/python -m vecraft.cluster --nodes $(N) --port $(PORT) $(if $(CLEAN),--clean) $(ARGS)

crash: install ## Kill a node under load ROUNDS times (200) and look for lost writes; SEED=n repeats one
	CRASH_ROUNDS=$(ROUNDS) CRASH_SEED=$(SEED) $(PYTEST) -q -s --timeout=0 tests_cluster/test_crash.py -k acknowledged

faults: install ## Fail nodes of a cluster of three under load, ROUNDS times (20) at random; SEED=n repeats one
	FAULTS_ROUNDS=$(if $(filter file,$(origin ROUNDS)),20,$(ROUNDS)) FAULTS_SEED=$(SEED) \
	  $(PYTEST) -q -s --timeout=0 tests_cluster/test_cluster_faults.py

play: install tools ## Play the chart's pods as processes: ROUNDS steps (20) at random under load, and every upgrade; SEED=n repeats one
	PLAY_ROUNDS=$(if $(filter file,$(origin ROUNDS)),20,$(ROUNDS)) PLAY_SEED=$(SEED) \
	  $(PYTEST) -q -s --timeout=0 tests_cluster/test_kubernetes_*.py

reshard: install ## Reshard a collection of a cluster of three under load and kills, ROUNDS times (20) at random; SEED=n repeats one
	RESHARD_ROUNDS=$(if $(filter file,$(origin ROUNDS)),20,$(ROUNDS)) RESHARD_SEED=$(SEED) \
	  $(PYTEST) -q -s --timeout=0 tests_cluster/test_cluster_resharding.py -k any_sequence

steps: install ## Kill a node at every step of every snapshot and backup (ten minutes)
	VECRAFT_ALL_STEPS=1 $(PYTEST) -q -s --timeout=0 tests_cluster/test_snapshot_steps.py

sim: install ## The simulations at full size: SEEDS schedules (2000) of the metadata log, the controller, a shard's replicas and reshardings
	$(BIN)/python -m tests.sim.raft --seeds $(SEEDS)
	$(BIN)/python -m tests.sim.controller --seeds $(SEEDS)
	$(BIN)/python -m tests.sim.replication --seeds $(SEEDS)
	$(BIN)/python -m tests.sim.resharding --seeds $(SEEDS)

fuzz: install ## Property tests and congruence with examples nobody has seen, SHARE times (5) as many of requests; ARGS for pytest
	HYPOTHESIS_PROFILE=fuzz CONGRUENCE_SHARE=$(SHARE) $(PYTEST) -q -n 2 --timeout=0 tests $(ARGS)

congruence: install ## All of congruence with Qdrant asked of a cluster of N nodes (3), SHARE times the examples (1)
	CONGRUENCE_NODES=$(N) CONGRUENCE_SHARE=$(if $(filter file,$(origin SHARE)),1,$(SHARE)) $(BY_FILE) --timeout=0 tests/congruence

image: ## Build the image IMAGE (vecraft:<version>); BASE=<image>, BUILDER="buildah bud" and BUILD_ARGS if need be
	$(BUILDER) $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || true) $(BUILD_ARGS) --tag $(IMAGE) .

image-test: install ## Build the image with buildah on BASE (Debian with Python, apt reachable), run it, measure it
	command -v buildah >/dev/null || { apt-get update -qq && apt-get install -y -qq buildah >/dev/null; }
	test -n "$(BASE)" || { echo "BASE=<image> is missing, such as python:3.11-slim-bookworm" >&2; exit 1; }
	IMAGE_BASE=$(BASE) $(PYTEST) -q -s --timeout=0 tests/deploy/test_image.py

screenshots: install tools ## The pictures of the dashboard in docs/dashboard, anew
	$(BIN)/python -m tests.dashboard.screenshots

bench: install ## Benchmarks: PARTS="recall startup sizes engine filters tenants mixed overhead serve sparse cluster", DATA=<folder> for the full set, ARGS for a part's options
	for part in $(PARTS); do DATA="$(DATA)" $(BIN)/python -m vecraft.bench $$part $(ARGS); done

clean: ## Remove what can be made again
	rm -rf $(VENV) .cache .cluster .demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/*/js/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
