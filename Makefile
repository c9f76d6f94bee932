# Nightrec: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
PY := $(VENV)/bin/python
ASSETS ?= build/assets
CONFIG ?=
RUN_DATE ?=
BENCH ?=
TRY ?=

# A process for every core, and one thread in each: threads of all of them would wait for one another.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --dist loadfile

export NIGHTREC_ASSETS := $(abspath $(ASSETS))
export PYTHONPATH := $(CURDIR)

.PHONY: profile peers bench-closed-loop bench-encode bench-experiments bench-explanations bench-features bench-generate bench-grounding bench-incremental bench-night2 bench-off-policy bench-profiles bench-ranking bench-request-volume bench-requests bench-scale bench-score benchmark help nightly tuning shadow test lint types imports unit integration up down report assets docs test-browser clean env

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

nightly: assets ## Run a night: RUN_DATE=2026-11-22 CONFIG=my.yaml (default: ML-100K)
	@$(PY) infra/local/nightly.py $(if $(CONFIG),--config "$(CONFIG)") $(if $(RUN_DATE),--run-date "$(RUN_DATE)")

tuning: assets ## Tune the generator on the last night and promote it if better: CONFIG=my.yaml
	@$(PY) infra/local/trial.py tuning $(if $(CONFIG),--config "$(CONFIG)") $(if $(RUN_DATE),--run-date "$(RUN_DATE)")

shadow: assets ## Try a prompt or model beside the night's: TRY="--challenger-item-prompt item_profile.v3"
	@$(PY) infra/local/trial.py shadow $(if $(CONFIG),--config "$(CONFIG)") $(if $(RUN_DATE),--run-date "$(RUN_DATE)") $(TRY)

benchmark: assets ## The ranking benchmark on the last night's data: TRY="--protocol both --sources ease text"
	@$(PY) infra/local/trial.py benchmark $(if $(CONFIG),--config "$(CONFIG)") $(if $(RUN_DATE),--run-date "$(RUN_DATE)") $(TRY)

# The night runs beside the unit tests: half of it waits for processes to start. Its file is begun early, in its place.
test: lint types imports assets ## Lint, types, import rules, unit tests, a whole small night
	@$(SIDE_BY_SIDE) --no-loadscope-reorder

up: assets ## Start Airflow and MLflow on 127.0.0.1, with a password
	@$(PY) infra/local/services.py up

down: env ## Stop Airflow and MLflow
	@$(PY) infra/local/services.py down

profile: env ## Flame graph of a task of the last night: TASK=candidates
	@$(PY) infra/local/profile_task.py "$(or $(TASK),candidates)" $(BENCH)

report: env ## Print the last night's summary and where its report is
	@$(PY) infra/local/nightly.py --show-last

assets: env ## Fetch and verify the default models and data
	@$(PY) infra/fetch_assets.py --to $(ASSETS)

lint: env ## Ruff: style, errors, formatting
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: env ## mypy --strict on schemas and ray_tasks
	@$(VENV)/bin/mypy

imports: env ## Import rules between the folders
	@$(VENV)/bin/lint-imports

unit: assets ## Unit tests
	@$(SIDE_BY_SIDE) -m "not night"

integration: assets ## The whole DAG on a small data set
	@$(PY) -m pytest -m night

test-browser: env ## Trigger a night from the UI in a headless browser (needs Chromium and `make up`)
	@$(PY) -m pip install -q -c constraints.txt playwright
	@$(PY) tests/browser/trigger_night.py

docs: env ## Write docs/tables.md from the schemas
	@$(PY) docs/generate_tables.py

bench-closed-loop: env ## Simulated users over ten nights, with and without their feedback
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/closed_loop.py $(BENCH)

bench-encode: assets ## Texts a second of the encoder against sentence-transformers, and in Ray: DATA=folder
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/encode.py $(if $(DATA),"$(DATA)") $(BENCH)

bench-experiments: env ## Simulated experiments: false decisions, power, the alarm for lost users, CUPED
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/experiments.py $(BENCH)

bench-explanations: env ## Grounding, faithfulness, diversity and readability of the last night's explanations
	@PYTHONPATH=$(CURDIR):infra/local:tests/integration $(PY) infra/bench/explanations.py $(BENCH)

bench-features: env ## Spark's feature preparation of 1M and 20M interactions against Spark's defaults and polars
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/feature_preparation.py $(BENCH)

bench-generate: assets ## Profiles a second of the default backend against plain model.generate
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/generate.py $(BENCH)

bench-grounding: env ## Precision and recall of the grounding check on outputs labelled by hand
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/grounding.py

bench-incremental: assets ## Tokens of a second night after 1% of the items and 5% of the users changed
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/incremental.py $(BENCH)

bench-off-policy: env ## Off-policy estimates against what simulated users truly do
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/off_policy.py $(BENCH)

bench-profiles: assets ## Labels against hidden genres and tags: ML_1M=folder STEAM_REVIEWS=folder
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/profiles.py $(BENCH)

bench-ranking: assets $(if $(findstring --no-peers,$(BENCH)),,peers) ## Nightrec against others: DATA=folder PROTOCOL=p1|p2 (BENCH=--no-peers)
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/ranking.py $(if $(DATA),"$(DATA)") --protocol $(or $(PROTOCOL),p1) $(BENCH)

bench-request-volume: assets ## Requests in plain words from 10^2 to 10^5 a night: DATA=folder
	@PYTHONPATH=$(CURDIR):infra/local:infra/bench $(PY) infra/bench/request_volume.py $(if $(DATA),"$(DATA)") $(BENCH)

bench-requests: assets ## Requests in plain words: how well they are understood and met: DATA=folder of ML-1M
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/request_parsing.py $(if $(DATA),"$(DATA)") $(BENCH)

bench-scale: assets ## Time and memory of every task at 10^5, 10^6 and 10^7 events, and their growth
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/scale.py $(BENCH)

bench-score: env peers ## Users a second of exact search against faiss, implicit and NumPy
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/score.py $(BENCH)

bench-night2: assets ## CPU of a second night with 0%, 1% and 10% of users and items changed, against a full one
	@PYTHONPATH=$(CURDIR):infra/local $(PY) infra/bench/night2.py $(BENCH)

peers: $(PEERS)/.installed ## The environment of the benchmarks' peers: faiss, implicit, LensKit, RecTools, ranx

clean: ## Remove everything that the commands above made
	rm -rf build $(VENV) $(PEERS) ray_tasks/search/_topk*.so

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard ray_tasks/search/*.[ch])
	@command -v java >/dev/null || { echo "Java 17 is needed for Spark: install a JRE and try again"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "Creating the environment in $(VENV): about 3 GB, a few minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# torch goes first: its exact version is looked for where a build for CPUs is offered.
$(PEERS)/.installed: infra/bench/peers/requirements.txt
	@echo "Creating the peers' environment in $(PEERS): about 2 GB, a few minutes"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -q --disable-pip-version-check "$$(grep '^torch==' $<)"
	@$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@
