# What runs around the program. Everything happens in .venv, which is made from constraints.txt's exact versions.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE  # a dozen programs start here, and none should compile its libraries anew
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo test proof bench ui clean

# TORCH_INDEX: where PyTorch is taken from, if not from pip's own index; its Get Started page names that of the CPU builds
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	$(if $(TORCH_INDEX),pip install --quiet --disable-pip-version-check -c constraints.txt torch --index-url '$(TORCH_INDEX)')
	pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/ready

demo: .venv/ready  ## the whole pipeline on a simulated cohort, a prediction, two runs to compare
	dvc repro
	lmtcnn simulate --seed 3 --cages 1 --out .demo/cohort
	lmtcnn predict .demo/cohort
	dvc exp run --temp -S histograms.tiles=10
	lmtcnn track --compare 2
	echo "The report is data/report/index.html. make ui serves the address above, which compares the two runs."

test: .venv/ready  ## all checks and tests
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pytest -n 2

proof: .venv/ready  ## damaged files, kills, a new installation, statistics, controls, doubt, explanations, a real server (PostgreSQL, S3) in full; the results belong into docs/proof.md
	python proof/fuzz.py --cases 4000
	python proof/kills.py --kills 50
	python proof/numerics.py
	python proof/permutations.py
	python proof/install.py
	python proof/cohorts.py
	python proof/controls.py
	python proof/doubt.py
	python proof/explanations.py
	pip install --quiet -c constraints.txt -e '.[server]' 'moto[server]'
	python proof/server.py

# LMT_ANALYSIS: a clone of fdechaumont/lmt-analysis; LMT_ANALYSIS_PYTHON: an interpreter with what that needs
bench: .venv/ready  ## reading a 72 h recording (8.5 GB, and its copy) against SQLite, training against plain PyTorch
	test -f .demo/long.sqlite || lmtcnn simulate --full-length .demo/long.sqlite
	python benchmarks/reading.py .demo/long.sqlite $(if $(LMT_ANALYSIS),--lmt-analysis '$(LMT_ANALYSIS)') \
	$(if $(LMT_ANALYSIS_PYTHON),--lmt-analysis-python '$(LMT_ANALYSIS_PYTHON)')
	python benchmarks/training.py

ui: .venv/ready  ## MLflow's pages of the runs, on this machine only
	python -c 'from lmtcnn.tracking import tracking; print("compare runs:", tracking.view_url())'
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true \
	mlflow ui --workers 1 --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

clean:  ## the environment and the demo's leftovers; never data
	rm -rf .venv .demo
