# `make` lists the targets. Everything they install stays in this folder, but for Debian packages.
.DEFAULT_GOAL := help
SHELL := bash
BIN := .venv/bin
# make demo KEEP=1: leave the stack running
KEEP ?=
# make models MODELS="mask_rcnn_mg resnet50": train and export these
MODELS ?= mask_rcnn_mg mask_rcnn_us mtu_net resnet50

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## One study from C-STORE to SEG and SR in Orthanc (KEEP=1 leaves it running)
	@scripts/bootstrap.sh demo
	@$(BIN)/sentinode demo $(if $(KEEP),--keep)

.PHONY: up
up: ## The whole stack in the foreground, Ctrl-C ends it
	@scripts/bootstrap.sh demo
	@$(BIN)/sentinode up

.PHONY: down
down: ## Stop the stack that `make demo KEEP=1` left running
	@$(BIN)/sentinode down

.PHONY: test
test: ## Everything that CI runs: formatting, lint, types, import contracts, tests
	@scripts/bootstrap.sh test
	@scripts/test.sh

.PHONY: test-slow
test-slow: ## What takes long: every fault with a part away for a whole minute
	@scripts/bootstrap.sh test
	@SENTINODE_BOTH_DATABASES=1 SENTINODE_FAULT_SECONDS=60 $(BIN)/pytest tests/faults \
		tests/integration/test_priors.py tests/integration/test_replacement.py \
		tests/integration/test_combination.py

.PHONY: test-databases
test-databases: ## Every test of the database on SQLite and on PostgreSQL; CI runs each on one of them
	@scripts/bootstrap.sh test
	@SENTINODE_BOTH_DATABASES=1 $(BIN)/pytest --numprocesses 2 --dist loadfile tests/integration

.PHONY: test-browser
test-browser: ## OHIF on every sort of image: MG, US, loops, edges, spacings; 6 minutes
	@scripts/bootstrap.sh test
	@SENTINODE_BROWSER_MATRIX=1 $(BIN)/pytest --durations=0 tests/browser/test_ohif_matrix.py

# make fuzz INPUTS=20000 SEED=7: fewer inputs, those of a run that failed
INPUTS ?= 1000000
SEED ?= $(shell date +%s)

.PHONY: fuzz
fuzz: ## A million broken inputs for the DICOM listener, at low priority (INPUTS=n SEED=n)
	@scripts/bootstrap.sh test
	@nice -n 19 $(BIN)/python -m tests.fuzz.run --inputs $(INPUTS) --seed $(SEED)

.PHONY: lint
lint: ## Lint, formatting and import contracts
	@scripts/bootstrap.sh test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

.PHONY: format
format: ## Format the code and fix what can be fixed
	@scripts/bootstrap.sh test
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: typecheck
typecheck: ## mypy, strict
	@scripts/bootstrap.sh test
	@$(BIN)/mypy

.PHONY: viewer
viewer: ## Fetch the OHIF viewer, which the dashboard then serves at /viewer
	@scripts/python-packages.sh demo
	@scripts/viewer.sh

# What each model is trained on beside phantoms, in the folder DATA.
SETS_mask_rcnn_us = busi
SETS_mask_rcnn_mg = mini_mias rsna
SETS_mtu_net = mini_mias rsna
SETS_resnet50 = rsna mini_mias

.PHONY: models
models: ## Train and export the models again (MODELS="name ..." DATA=folder; without DATA on phantoms)
	@scripts/bootstrap.sh test
	@$(foreach name,$(MODELS),$(BIN)/sentinode models train $(name) --out runs/$(name) \
	  $(if $(DATA),$(foreach set,$(SETS_$(name)),--data $(DATA)/$(set))) && \
	  $(BIN)/sentinode models export $(name) --weights runs/$(name) &&) true

.PHONY: reports
reports: ## Every page under docs/models and the cards, through Triton (OPTIONS="--limit 20")
	@scripts/bootstrap.sh test
	@SENTINODE_DATA=$${SENTINODE_DATA-../shared/data} $(BIN)/sentinode models report $(OPTIONS)

.PHONY: parity
parity: ## A hundred images of each model through torch and through Triton
	@scripts/bootstrap.sh test
	@SENTINODE_PARITY_IMAGES=100 $(BIN)/pytest tests/integration/test_parity.py

# Options of the measurement, e.g. OPTIONS="--database both --rounds 3"
OPTIONS ?=

# make bench NAME=receive: one of them
NAME = receive results flatness scale

.PHONY: bench
bench: ## Every measurement below, one after the other; hours (NAME=receive: that one)
	@$(foreach name,$(NAME),$(MAKE) --no-print-directory bench-$(name) &&) true

.PHONY: bench-receive
bench-receive: ## Our receiver beside Orthanc, DCMTK and pynetdicom; writes docs/benchmarks/receive.*
	@scripts/bootstrap.sh test
	@$(BIN)/python -m benchmarks.receive $(OPTIONS)

.PHONY: bench-results
bench-results: ## What result objects cost in time and bytes; writes docs/benchmarks/results.*
	@scripts/bootstrap.sh test
	@$(BIN)/python -m benchmarks.results $(OPTIONS)

.PHONY: bench-flatness
bench-flatness: ## What a million stored instances cost; writes docs/benchmarks/flatness.*
	@scripts/bootstrap.sh test
	@$(BIN)/python -m benchmarks.flatness $(OPTIONS)

.PHONY: bench-scale
bench-scale: ## Studies per hour with 1, 2, 4 workers, measured and simulated; writes docs/benchmarks/scale.*
	@scripts/bootstrap.sh test
	@$(BIN)/python -m benchmarks.scale $(OPTIONS)

.PHONY: chart-cluster
chart-cluster: ## The chart on a real Kubernetes node, built at first (root, Docker images; OPTIONS=--write)
	@scripts/bootstrap.sh test
	@tests/cluster/run.sh $(OPTIONS)

.PHONY: images
images: ## Build every image with Docker (STANDINS=1: from stand-ins of their bases, needs root)
	@$(if $(STANDINS),tests/containers/base.sh && tests/containers/standins.sh)
	@scripts/images.sh

.PHONY: image-locks
image-locks: ## Lock the packages of the images by version and hash (docker/locks)
	@scripts/bootstrap.sh test
	@docker/lock.sh

.PHONY: compose-test
compose-test: ## The Compose stack for real: demo, kill -9 of each container, counted (root, Docker)
	@scripts/bootstrap.sh test
	@$(BIN)/python -m tests.containers.killing $(OPTIONS)

.PHONY: compose-backup
compose-backup: ## Backup and restore of the Compose stack by the commands of its page (root, Docker)
	@scripts/bootstrap.sh test
	@$(BIN)/python -m tests.containers.backup $(OPTIONS)

.PHONY: edge-test
edge-test: ## The profile jetson in 3 GB and on one core: demo, uplink down, memory (root, Docker)
	@scripts/bootstrap.sh test
	@$(BIN)/python -m tests.containers.edge $(OPTIONS)

.PHONY: configuration
configuration: ## Write docs/configuration.md, .env.example, Compose's and the chart's settings
	@$(BIN)/python -m scripts.write_configuration
	@$(BIN)/python -m scripts.write_compose
	@$(BIN)/python -m scripts.write_chart

.PHONY: clean
clean: ## Stop the stack; remove its state, runs, caches
	@[ ! -x $(BIN)/sentinode ] || $(BIN)/sentinode down --quiet
	rm -rf state runs build dist demo/findings.png
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## The same, and what was installed here
	rm -rf .venv .ohif *.egg-info
