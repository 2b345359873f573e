# Sets itself up: each target makes the virtual environment where it is missing or out of date.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export RAY_AUTH_MODE := disabled
.DEFAULT_GOAL := demo

.PHONY: help demo test test-under-load benchmark-suite test-unit test-long lint lint-deploy chart-schema image audit format benchmark benchmark-accuracy benchmark-robustness benchmark-search \
	benchmark-ablation benchmark-labeling benchmark-selection benchmark-ingest benchmark-train benchmark-reconcile \
	benchmark-plan benchmark-trust benchmark-load benchmark-inputs soak label-faults fault-test model-catalog clean \
	test-lowest-pyarrow coverage mutants docs

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z -]*:.*## / { split($$1, names, " "); for (i = 1; i in names; i++) printf "%-22s %s\n", names[i], $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## one teacher and three students on real digits, over REST, on this machine
	@$(BIN)/noisy-student demo

# Three processes: two wait for a real stack each (the end-to-end tests) while one runs the rest. In random order, whose
# seed is printed; ORDER=N repeats one.
ORDER ?= default
test: $(READY) ## the whole suite in a random order, whose seed is printed; ORDER=SEED repeats one
	$(BIN)/python -m pytest -n 3 --durations=20 --randomly-seed=$(ORDER)

# Beside two busy loops, three times in a row, each in another order: before a change is called done. About an hour.
test-under-load: $(READY) ## the suite three times beside two busy loops: about an hour
	$(BIN)/python -m benchmarks.house.suite under-load

# The suite's seconds beside those of a fixed loop.
benchmark-suite: $(READY) ## the suite's seconds beside those of a fixed loop
	$(BIN)/python -m benchmarks.house.suite seconds

test-unit: $(READY) ## the suite without the tests that start a Ray cluster
	$(BIN)/python -m pytest -n 2 -m "not end_to_end and not long"

# The same tests, slower for being watched. build/coverage/html shows the lines that none of them runs.
COVERAGE := build/coverage
coverage: $(READY) ## the unit tests with what they cover of the code, and its floor
	$(BIN)/python -m pytest -n 2 -m "not end_to_end and not long" --cov --cov-report=html:$(COVERAGE)/html \
		--cov-report=json:$(COVERAGE)/coverage.json --cov-report=term:skip-covered
	$(BIN)/python -m benchmarks.house.coverage

# Changes the code of the pure decisions in some 1,500 places, one at a time, and runs their tests: half an hour.
mutants: $(READY) ## whether tests notice changes in the pure decisions: half an hour
	$(BIN)/python -m benchmarks.house.mutants

# Needs no network. The first page is build/site/index.html.
docs: $(READY) ## the documentation site, in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Kills, lost nodes, pauses, a run in a bucket, a run posted again from its lineage: some ten minutes more.
test-long: $(READY) ## the tests that take minutes each: kills, lost nodes, a run in a bucket
	$(BIN)/python -m pytest -m long

# What is written to and read from Parquet, by the lowest pyarrow that pyproject.toml allows, in an environment of its own.
LOWEST := build/lowest-pyarrow
test-lowest-pyarrow: ## the label files with the lowest pyarrow that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install -q "$$(sed -n 's/.*"\(pyarrow\)>=\([0-9.]*\)".*/\1==\2.*/p' pyproject.toml)" numpy pydantic pytest
	$(LOWEST)/bin/python -m pytest --noconftest -q tests/workers/labeling/test_label_files.py

lint: $(READY) ## style, types, arrows between packages, spelling, unsafe calls, what is deployed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/bandit -q -c pyproject.toml -r api noisy_student service workers
	$(MAKE) lint-deploy

# Without a network but for Helm, which is fetched once. KUBERAY_CRDS=FOLDER has KubeRay's definitions.
lint-deploy: $(READY) ## the chart, the images and the alert rules; KUBERAY_CRDS=FOLDER
	$(BIN)/python -m pytest -q tests/deploy

chart-schema: $(READY) ## writes the settings in the chart's values.schema.json anew
	$(BIN)/python -m tests.deploy.values_schema

# Needs root, buildah and mmdebstrap, Debian's mirror and a package index: some five minutes.
image: $(READY) ## builds the control plane's image without Docker, runs its API, and measures it
	$(BIN)/python -m benchmarks.house.image

# Asks PyPI's advisory database about every pinned package: needs the network.
audit: $(READY) ## pip-audit: asks PyPI's advisory database about every pinned version
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

format: $(READY) ## formats the code, and mends what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The data plane beside its rivals, and a plan beside its run: about an hour. IMAGES=FOLDER takes JPEG files of yours.
benchmark: benchmark-labeling benchmark-selection benchmark-ingest benchmark-train benchmark-plan ## the data plane and the plan, beside their rivals: about an hour

# Labels photographs with a heavy and a light model, beside the ceiling, Ray Data's documented pipeline, a DataLoader.
benchmark-labeling: $(READY) ## labels photographs beside Ray Data's documented pipeline and a DataLoader
	$(BIN)/python -m benchmarks.data_plane.labeling

# Kills actors, drivers and Ray heads at random while the label stage runs, and compares its files with undisturbed ones.
SEED ?= 1
KILLS ?= 20
label-faults: $(READY) ## kills actors, drivers and Ray heads while the label stage runs; SEED=, KILLS=
	$(BIN)/python -m benchmarks.data_plane.label_faults --seed $(SEED) --kills $(KILLS)

# Selects among 300 million made predictions (7 GB in build/). MILLIONS=30 makes fewer.
MILLIONS ?= 300
benchmark-selection: $(READY) ## selects among 300 million made predictions; MILLIONS=
	MILLIONS=$(MILLIONS) $(BIN)/python -m benchmarks.data_plane.selection

# What a student is fed with, beside a plain DataLoader and timm's own.
benchmark-ingest: $(READY) ## feeds a student, beside a plain DataLoader and timm's own
	$(BIN)/python -m benchmarks.data_plane.ingest

# A step of the train stage beside a plain torch loop's.
benchmark-train: $(READY) ## a step of the train stage beside a plain torch loop's
	$(BIN)/python -m benchmarks.data_plane.train_step

# The reconciler's tick over 1,000 running stages, on SQLite and PostgreSQL: about two minutes.
benchmark-reconcile: $(READY) ## the reconciler's tick over 1,000 running stages
	$(BIN)/python -m benchmarks.control_plane.reconcile

# 50 requests a second beside 100,000 finished and 1,000 active runs, on PostgreSQL and SQLite: a quarter of an hour.
benchmark-load: $(READY) ## 50 requests a second beside 100,000 finished and 1,000 active runs
	$(BIN)/python -m benchmarks.load latency

# The same load on PostgreSQL for an hour after five minutes of warm-up, and what memory API and reconciler gain.
SOAK_SECONDS ?= 3600
soak: $(READY) ## the same load for SOAK_SECONDS, and the memory that is gained meanwhile
	$(BIN)/python -m benchmarks.load soak $(SOAK_SECONDS)

# Small real runs on a real stack, hurt at random moments; some two minutes a round, and it stops by itself.
SEED ?= 0
ROUNDS ?= 20
fault-test: $(READY) ## small real runs that are hurt at random moments; SEED=, ROUNDS=
	$(BIN)/python -m benchmarks.faults --seed $(SEED) --rounds $(ROUNDS)

# Plans the demo, then runs it: some 8 minutes a seed. Goes on where it was interrupted.
PLAN_SEEDS ?= 0 1 2
benchmark-plan: $(READY) ## plans the demo, then runs it, and compares the two; PLAN_SEEDS=
	$(BIN)/python -m benchmarks.control_plane.plan $(PLAN_SEEDS)

# Which ports of the local stack listen, where, and what they answer without a token: about a minute.
benchmark-trust: $(READY) ## the ports of the local stack, and what they answer without a token
	$(BIN)/python -m benchmarks.control_plane.open_doors

# Five seeds of teacher, students, students without noise, and the labeled-only rival of equal compute.
# About an hour on two cores; goes on where it was interrupted. SEEDS="0 1" runs fewer.
SEEDS ?= 0 1 2 3 4
benchmark-accuracy: $(READY) ## teachers, students and the rival of equal compute over five seeds; SEEDS=
	$(BIN)/python -m benchmarks.method.accuracy $(SEEDS)

# What the noise is worth, on the demo's digits; they share their runs, and go on where they were interrupted.
benchmark-robustness benchmark-search benchmark-ablation: $(READY) ## what the noise is worth, on the demo's digits
	$(BIN)/python -m benchmarks.method.studies $(@:benchmark-%=%)

# Some hundred files, folders, lists and bodies as strangers have them, each with what should come decided beforehand.
benchmark-inputs: $(READY) ## files, folders, lists and bodies as strangers have them, judged one by one
	$(BIN)/python -m benchmarks.inputs

model-catalog: $(READY) ## writes timm's catalogue anew, after an upgrade of timm: some twenty minutes
	$(BIN)/python -m service.model_catalog.generate

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some 5.5 GB with torch, a few minutes ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,demo,dev]"
	@touch $@

clean: ## removes the virtual environment, build/ and mutants/
	rm -rf build mutants $(VENV)
