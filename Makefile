# Each target creates the virtual environment if it is missing or out of date.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export RAY_AUTH_MODE := disabled
.DEFAULT_GOAL := demo

.PHONY: help demo test test-under-load benchmark-suite test-unit test-long lint lint-deploy chart-schema image audit format benchmark benchmark-accuracy benchmark-robustness benchmark-search \
	benchmark-ablation benchmark-labeling benchmark-growth benchmark-predict benchmark-selection benchmark-ingest benchmark-train benchmark-reconcile \
	benchmark-plan benchmark-method benchmark-trust benchmark-load benchmark-inputs benchmark-two-workers soak label-faults \
	fault-test model-catalog clean test-lowest-pyarrow coverage mutants docs benchmark-autoscale benchmark-one-line

help: ## prints this list
	@awk -F ':.*## ' '/^[a-z][a-z -]*:.*## / { split($$1, names, " "); for (i = 1; i in names; i++) printf "%-22s %s\n", names[i], $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## trains one teacher and three students on real digits, on this machine
	@$(BIN)/noisy-student demo

# Three processes: two run the end-to-end tests, each waiting for a real stack, while one runs the rest. The order is
# random and its seed is printed; ORDER=N repeats it.
ORDER ?= default
test: $(READY) ## the whole suite in a random order; prints the seed; ORDER=SEED repeats it
	$(BIN)/python -m pytest -n 3 --durations=20 --randomly-seed=$(ORDER)

# Runs the suite three times in different orders, next to two busy loops, before a change counts as done. About an hour.
test-under-load: $(READY) ## the suite three times next to two busy loops: about an hour
	$(BIN)/python -m benchmarks.house.suite under-load

# Times the suite, next to a fixed loop.
benchmark-suite: $(READY) ## times the suite, next to a fixed loop
	$(BIN)/python -m benchmarks.house.suite seconds

test-unit: $(READY) ## the tests that start no Ray cluster
	$(BIN)/python -m pytest -n 2 -m "not end_to_end and not long"

# The same tests, slower because of coverage. build/coverage/html shows the lines that no test runs.
COVERAGE := build/coverage
coverage: $(READY) ## the unit tests with coverage, which must reach a minimum
	$(BIN)/python -m pytest -n 2 -m "not end_to_end and not long" --cov --cov-report=html:$(COVERAGE)/html \
		--cov-report=json:$(COVERAGE)/coverage.json --cov-report=term:skip-covered
	$(BIN)/python -m benchmarks.house.coverage

# Mutates the pure decisions in about 1,500 places, one at a time, and runs their tests: half an hour.
mutants: $(READY) ## mutation tests of the pure decisions: half an hour
	$(BIN)/python -m benchmarks.house.mutants

# Needs no network. The first page is build/site/index.html.
docs: $(READY) ## builds the documentation site in build/site; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Kills, lost nodes, pauses, a run in a bucket, a run repeated from its lineage: about ten minutes more.
test-long: $(READY) ## the tests that take minutes each: kills, lost nodes, a run in a bucket
	$(BIN)/python -m pytest -m long

# Tests Parquet files with the oldest pyarrow that pyproject.toml allows, in a separate environment.
LOWEST := build/lowest-pyarrow
test-lowest-pyarrow: ## the label files with the oldest pyarrow that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install -q "$$(sed -n 's/.*"\(pyarrow\)>=\([0-9.]*\)".*/\1==\2.*/p' pyproject.toml)" numpy pydantic pytest
	$(LOWEST)/bin/python -m pytest --noconftest -q tests/workers/labeling/test_label_files.py

lint: $(READY) ## style, types, imports between packages, spelling, unsafe calls, deployment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/bandit -q -c pyproject.toml -r api noisy_student service workers
	$(MAKE) lint-deploy

# Needs the network only once, to fetch Helm. KUBERAY_CRDS=FOLDER names KubeRay's definitions.
lint-deploy: $(READY) ## the chart, the images and the alert rules; KUBERAY_CRDS=FOLDER
	$(BIN)/python -m pytest -q tests/deploy

chart-schema: $(READY) ## regenerates the settings in the chart's values.schema.json
	$(BIN)/python -m tests.deploy.values_schema

# Needs root, buildah, mmdebstrap, Debian's mirror and a package index: about five minutes.
image: $(READY) ## builds the control plane's image without Docker, runs and measures it
	$(BIN)/python -m benchmarks.house.image

# Checks every pinned package against PyPI's advisory database; needs the network.
audit: $(READY) ## checks every pinned version against PyPI's advisory database
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

format: $(READY) ## formats the code and applies ruff's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Compares the data plane with rivals and a plan with its run: about an hour. IMAGES=FOLDER uses your own JPEG files.
benchmark: benchmark-labeling benchmark-selection benchmark-ingest benchmark-train benchmark-plan ## compares the data plane and the plan with rivals: about an hour

# Labels photographs with a heavy and a light model; compares with the ceiling, Ray Data's pipeline and a DataLoader.
benchmark-labeling: $(READY) ## labels photographs; rivals: Ray Data's documented pipeline, a DataLoader
	$(BIN)/python -m benchmarks.data_plane.labeling

# Predicts the labeling benchmark's photographs with its light model; compares with the label stage.
benchmark-predict: $(READY) ## times the predict stage; rival: the label stage
	$(BIN)/python -m benchmarks.data_plane.prediction

# Labels a pool that has grown by a fifth, with the labels of what it was; rival: the whole pool anew. ROUNDS=1 is short.
benchmark-growth: $(READY) ## labels a pool that grew by a fifth; rival: labeling it anew; ROUNDS=
	$(BIN)/python -m benchmarks.data_plane.growth

# Kills actors, drivers and Ray heads at random while the label stage runs, and compares the files with undisturbed ones.
SEED ?= 1
KILLS ?= 20
label-faults: $(READY) ## kills actors, drivers and Ray heads while the label stage runs; SEED=, KILLS=
	$(BIN)/python -m benchmarks.data_plane.label_faults --seed $(SEED) --kills $(KILLS)

# Selects among 300 million synthetic predictions (7 GB in build/). MILLIONS=30 makes fewer.
MILLIONS ?= 300
benchmark-selection: $(READY) ## selects among 300 million synthetic predictions; MILLIONS=
	MILLIONS=$(MILLIONS) $(BIN)/python -m benchmarks.data_plane.selection

# Feeds a student; compares with a plain DataLoader and timm's loader.
benchmark-ingest: $(READY) ## feeds a student; rivals: a plain DataLoader and timm's loader
	$(BIN)/python -m benchmarks.data_plane.ingest

# Compares a step of the train stage with a plain torch loop.
benchmark-train: $(READY) ## compares a training step with a plain torch loop
	$(BIN)/python -m benchmarks.data_plane.train_step

# Times the reconciler's tick over 1,000 running stages, on SQLite and PostgreSQL: about two minutes.
benchmark-reconcile: $(READY) ## times the reconciler's tick over 1,000 running stages
	$(BIN)/python -m benchmarks.control_plane.reconcile

# 50 requests a second with 100,000 finished and 1,000 active runs, on PostgreSQL and SQLite: a quarter of an hour.
benchmark-load: $(READY) ## 50 requests a second with 100,000 finished and 1,000 active runs
	$(BIN)/python -m benchmarks.load latency

# The same load on PostgreSQL for an hour after five minutes of warm-up; reports the memory growth.
SOAK_SECONDS ?= 3600
soak: $(READY) ## the same load for SOAK_SECONDS; reports memory growth
	$(BIN)/python -m benchmarks.load soak $(SOAK_SECONDS)

# Injects faults into small real runs on a real stack at random moments; about two minutes per round. Stops by itself.
SEED ?= 0
ROUNDS ?= 20
fault-test: $(READY) ## injects faults into small real runs at random; SEED=, ROUNDS=
	$(BIN)/python -m benchmarks.faults --seed $(SEED) --rounds $(ROUNDS)

# Plans the demo, then runs it: about 8 minutes per seed. Continues where it was interrupted.
PLAN_SEEDS ?= 0 1 2
benchmark-plan: $(READY) ## plans the demo, runs it, and compares the two; PLAN_SEEDS=
	$(BIN)/python -m benchmarks.control_plane.plan $(PLAN_SEEDS)

# From enter to the first training step of noisy-student run, with a service and without: about five minutes.
RUNS ?= 3
benchmark-one-line: $(READY) ## times noisy-student run to its first training step; needs port 8000; RUNS=
	$(BIN)/python -m benchmarks.control_plane.one_line $(RUNS)

# Lists the local stack's ports, their addresses, and their answers without a token: about a minute.
benchmark-trust: $(READY) ## probes the local stack's ports without a token
	$(BIN)/python -m benchmarks.control_plane.open_doors

# Five seeds of teacher, students, students without noise, and the labeled-only rival of equal compute.
# About an hour on two cores; continues where it was interrupted. SEEDS="0 1" runs fewer.
SEEDS ?= 0 1 2 3 4
benchmark-accuracy: $(READY) ## teachers, students and a rival of equal compute, five seeds; SEEDS=
	$(BIN)/python -m benchmarks.method.accuracy $(SEEDS)

# Measure the noise on the demo's digits; they share their runs, and continue where they were interrupted.
benchmark-robustness benchmark-search benchmark-ablation: $(READY) ## measures the noise's benefit on the demo's digits
	$(BIN)/python -m benchmarks.method.studies $(@:benchmark-%=%)

# Two training processes of a gloo group, of unequal shares, next to one process: a minute or two.
benchmark-two-workers: $(READY) ## compares two training processes of unequal shares with one
	$(BIN)/python -m benchmarks.method.two_workers

# A rehearsal on this machine, with Ray's own autoscaler and nodes that are processes. Needs root; about a quarter of an hour.
benchmark-autoscale: $(READY) ## rehearses a cluster that grows from zero, and its faults: up to half an hour
	$(BIN)/python -m benchmarks.house.autoscale

# Files, folders, lists and bodies as other people produce them, each with a predetermined outcome.
benchmark-inputs: $(READY) ## tries files, folders, lists and bodies as other people produce them
	$(BIN)/python -m benchmarks.inputs

# RandAugment on the authors' scale and on torchvision's. SHARE is that of the demo's steps; all of it takes hours.
# Fashion-MNIST is Debian's package dataset-fashion-mnist. Continues where it was interrupted.
DATA ?= digits fashion
SHARE ?= 1.0
STUDENTS ?= 3
benchmark-method: $(READY) ## RandAugment on the authors' scale and torchvision's; DATA=, SHARE=, STUDENTS=
	$(BIN)/python -m benchmarks.method.scales --data $(DATA) --share $(SHARE) --students $(STUDENTS)

model-catalog: $(READY) ## regenerates timm's catalog after an upgrade: half an hour
	$(BIN)/python -m service.model_catalog.generate

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): about 5.5 GB with torch, a few minutes ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,demo,dev]"
	@touch $@

clean: ## removes the virtual environment, build/ and mutants/
	rm -rf build mutants $(VENV)
