# `make demo` and `make test` are all that a fresh machine needs: Python 3.11+, make and a package index.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu); echo $$(( n < 2 ? 1 : n )))
# Which build of torch: `make setup TORCH=cpu` takes the small CPU build of PyTorch's own index, TORCH=cu130 a CUDA build;
# without it pip takes what the package index offers (on Linux x86-64 usually a CUDA build of some gigabytes).
TORCH ?=
BIN := $(VENV)/bin
PIP_TORCH := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
INSTALLED := $(VENV)/installed$(addprefix -,$(TORCH))

.PHONY: help setup demo test test-quick test-slurm check docs bench bench-gpu bench-serve demo-cost starts planning scaling aa soak fuzz mutation tiny paper results size-speed map clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(INSTALLED)  ## Create .venv and install tagdistill with the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@echo 'Installing the pinned packages into $(VENV): this takes some minutes, during which pip prints nothing.'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_TORCH) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,test,dev,cluster]'
	touch $@

demo: setup  ## Run the whole workflow on the embedded demo data; prints where the report is
	PATH="$$PWD/$(BIN):$$PATH" snakemake --cores $(CORES)

test: setup  ## Run all tests
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses $(CORES) --dist worksteal $(PYTEST_ARGS)

test-quick: setup  ## Run the tests that take seconds
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses $(CORES) --dist worksteal -m 'not slow' $(PYTEST_ARGS)

test-slurm: setup  ## Run the tests on a Slurm that is started for them (root; installs Debian's packages where there are none)
	@tests/cluster/install_slurm.sh
	PATH="$$PWD/$(BIN):$$PATH" TAGDISTILL_SLURM=1 timeout --kill-after=30 1000 $(BIN)/python -m pytest tests/cluster $(PYTEST_ARGS)

docs: setup  ## Build the documentation site in build/site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: setup  ## Lint and type-check the code and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	PATH="$$PWD/$(BIN):$$PATH" snakemake --lint

tiny: setup  ## Run the whole workflow on a few sentences and a random encoder
	PATH="$$PWD/$(BIN):$$PATH" snakemake --cores $(CORES) --configfile config/tiny.yaml

bench: build/peers/installed demo  ## Measure kernels, students and targets file beside others; rewrites docs/benchmarks.md
	OMP_NUM_THREADS=1 $(BIN)/python bench/crf_peers.py --path build/peers --json build/bench/kernels.json
	OMP_NUM_THREADS=1 $(BIN)/python bench/student_step.py --path build/peers --json build/bench/student.json
	OMP_NUM_THREADS=1 $(BIN)/python bench/cache.py --json build/bench/cache.json
	$(BIN)/python bench/tagger.py --student results/demo/students/posterior/seed-0/model --data results/demo/data \
	  --path build/peers --json build/bench/tagger.json
	$(BIN)/python bench/write_page.py --kernels build/bench/kernels.json --student build/bench/student.json \
	  --cache build/bench/cache.json --tagger build/bench/tagger.json docs/benchmarks.md

build/peers/installed: bench/peers.txt | setup
	rm -rf build/peers
	mkdir -p build/peers
	grep -v '^#' $< | while read -r peer; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/peers $$peer \
	    || echo "not installed, so not measured: $$peer"; done
	touch $@

bench-gpu: setup  ## Measure the CRF kernels on a CUDA device; rewrites docs/benchmarks-gpu.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target build/peers-gpu --upgrade --no-deps pytorch-crf==0.7.2
	$(BIN)/python bench/gpu.py --path build/peers-gpu --json build/gpu.json --page docs/benchmarks-gpu.md

bench-serve: demo  ## Load the service of the demo's student for some four minutes; rewrites a part of docs/guide/serving.md
	PATH="$$PWD/$(BIN):$$PATH" snakemake results/demo/export/posterior/seed-0 --cores $(CORES)
	$(BIN)/python bench/serve.py --model results/demo/export/posterior/seed-0 --data results/demo/data \
	  --json build/bench/serve.json
	$(BIN)/python bench/serve_page.py build/bench/serve.json docs/guide/serving.md

soak: setup  ## Kill runs and let file operations fail, for an hour or two; rewrites parts of docs/reliability.md
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python tests/soak/faults.py build/reliability/faults.json
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python tests/soak/kills.py build/reliability/kills.json
	$(BIN)/python bench/reliability.py docs/reliability.md --kills build/reliability/kills.json --faults build/reliability/faults.json

fuzz: setup  ## Give a million damaged inputs to all that reads one; rewrites a part of docs/reliability.md
	PATH="$$PWD/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py build/reliability/fuzz.json
	$(BIN)/python bench/reliability.py docs/reliability.md --fuzz build/reliability/fuzz.json

mutation: $(VENV)/mutation  ## Change the code in one place at a time (MUTANTS=600 SEED=0: a sample); rewrites a part of docs/reliability.md
	PATH="$$PWD/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/mutate.py build/reliability/mutation.json \
	  --mutants $(or $(MUTANTS),0) --seed $(or $(SEED),0)
	$(BIN)/python bench/reliability.py docs/reliability.md --mutation build/reliability/mutation.json

$(VENV)/mutation: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mutation]'
	touch $@

paper: setup  ## Rewrite docs/paper.md from the finished experiments of the paper's configs and their variants
	$(BIN)/tagdistill paper $(sort $(wildcard results/*conll* results/*wikiann* results/ud results/*-ud* results/*semeval*)) --out docs/paper.md

demo-cost: setup  ## Measure a whole small run and where its time goes; rewrites docs/demo-cost.md (BEFORE=src of an older state: beside it)
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python bench/demo_cost.py $(if $(BEFORE),--before $(BEFORE))

starts: setup  ## Measure the start of a job of each stage; rewrites docs/starts.md (BEFORE=src of an older state: beside it)
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python bench/starts.py $(if $(BEFORE),--before $(BEFORE))

planning: setup  ## Measure the plan of experiments of up to 1,000 languages; rewrites docs/planning.md
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python bench/planning.py

scaling: setup  ## Measure every stage up to a million sentences; rewrites docs/scaling.md (half an hour, 10 GB of disk)
	PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python bench/scaling.py

aa: setup  ## Measure how often a verdict is false; rewrites its section of docs/reliability.md (some ten minutes)
	$(BIN)/python bench/aa.py --page docs/reliability.md

results: setup  ## Rewrite the pages in docs/results from the finished evidence and medium experiments
	$(BIN)/tagdistill results $(sort $(filter-out results/evidence-map-%,$(wildcard results/evidence-* results/medium-*))) --objective posterior --out docs/results

size-speed: setup  ## Measure size and speed of the models of the evidence on parts of speech; rewrites docs/results/size-speed.md
	$(BIN)/python bench/size_speed.py $(addprefix results/evidence-,pos-tuned pos-layer-4 pos pos-mix) --out docs/results/size-speed

map: setup  ## Distil with few to many labelled and unlabelled sentences below ROOT (an hour); rewrites docs/results/map.md
	for labelled in 50 150 500; do for unlabelled in 250 1000; do \
	  PATH="$$PWD/$(BIN):$$PATH" snakemake --cores $(CORES) --configfile config/evidence/map.yaml --config root="$(ROOT)" \
	    name=evidence-map-$$labelled-$$unlabelled \
	    limit="{train: $$labelled, dev: 100, test: 400, unlabelled: $$unlabelled}"; done; done
	$(BIN)/python bench/evidence_map.py results/evidence-map-* --out docs/results/map

clean:  ## Remove the demo's report and links (what experiments share stays: `tagdistill clean` lists what no config uses)
	rm -rf results/demo logs/demo benchmarks/demo
