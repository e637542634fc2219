# What a person types; `make` alone lists it. Each command is a line over the project's own tools.
PYTHON ?= python3
BIN    := .venv/bin
STAMP  := .venv/.installed
# A further package index to look at, for instance PyTorch's own for the CPU build (smaller, without CUDA).
INDEX  ?=
# What to hold versions to; `make CONSTRAINTS=` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
# `make LOCK=requirements.lock` takes the very files that are tested, by their hashes, as the checks on GitHub do;
# INDEX is of no use then, as another build of PyTorch has other hashes.
LOCK   ?=
# Notebooks for `make lessons`, `make lab` and `make check`, for example NB="1_process 3_ddpm".
NB     ?=
# Where `make docs-serve` serves, and whether `make docs` does without what npm provides.
PORT   ?= 8000
PLAIN  ?=
# How long rows may run on a machine with a GPU, how many at a time, and where they leave what they made.
MINUTES ?= 12
JOBS   ?= 4
OUT    ?= .gpu/out
# Attacks of `make faults`, and calls per function of `make properties`.
KILLS  ?= 50
EXAMPLES ?= 2000

# Notebooks under test: two at a time, one thread each, and paths that hold from any folder.
SMOKE   = if [ -n "$$GENDA_DATA" ]; then export GENDA_DATA="$$(cd "$$GENDA_DATA" && pwd)" || exit 1; fi; \
          GENDA_BUDGET=smoke OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help install course lessons study seeds zoo gpu-pack gpu-run gpu-unpack test faults properties check readme docs docs-serve bench lab wheel wheels constraints oldest licences clean

help:         ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1|/p' Makefile | awk -F'|' '{printf "%-20s%s\n", $$1, $$2}'

install: $(STAMP) ## make .venv and install what the tested versions in constraints.txt say

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("genda needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# pip behind one moving line; what it says lies in .venv/pip.log
PIP     = @$(BIN)/python tools/install.py .venv/pip.log install

$(STAMP): pyproject.toml constraints.txt | .venv/bin/pip
ifeq ($(LOCK),)
	@echo 'Installing into .venv, once: PyTorch, fastai, Jupyter and what the tests and the site need.'
	@if [ "$$(uname)" = Linux ] && [ -z "$(INDEX)" ] && ! command -v nvidia-smi >/dev/null; then \
	   echo 'No NVIDIA driver is here, and the usual PyTorch brings gigabytes for one. Ctrl-C, and'; \
	   echo '`make course INDEX=...` with the CPU index from https://pytorch.org/get-started/locally/ fetches far less.'; fi
	$(PIP) $(if $(INDEX),--extra-index-url $(INDEX)) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev,test,docs]'
else
	$(PIP) --require-hashes -r $(LOCK)
	$(PIP) --no-deps --no-build-isolation -e .
endif
	@touch $@

course: $(STAMP) ## the first whole path: train on digits, sample, evaluate (about ten minutes); the result lies in runs/3_ddpm
	@$(BIN)/python tools/run.py --budget lesson --apart 3_ddpm

lab: $(STAMP) ## open the lessons in JupyterLab, or one of them with NB=2_diffusion/3_ddpm
	$(BIN)/jupyter lab $(if $(NB),nbs/$(NB).ipynb,nbs/index.ipynb)

lessons: $(STAMP) ## run every notebook at the lesson budget, keep its outputs, write results/ and the table in README.md
	$(BIN)/python tools/run.py --budget lesson $(NB)
	$(BIN)/python tools/readme.py

study: $(STAMP) ## fill the long tables in the background, one resumable run per row, in results/study
	@$(BIN)/python tools/run.py --budget study --apart --using 'study_row(' --background

seeds: $(STAMP) ## run the lessons that train with four more seeds in the background, a resumable run each, in results/seeds
	@$(BIN)/python tools/spread.py --background

zoo: $(STAMP) ## train the shipped networks anew in the background, resumable; evaluators only where their files are gone; wants all of MNIST
	@$(BIN)/python tools/zoo.py --background

gpu-pack: $(STAMP) ## gather in .gpu/pack what the rows in tools/gpu_queue.txt need on a machine with a GPU, at most 60 MiB
	@$(BIN)/python tools/gpu.py pack

gpu-run:      ## there, with PyTorch alone: run the rows of the pack for MINUTES=12, JOBS=4 at a time; .gpu/out holds what they made
	@$(PYTHON) tools/gpu.py run --minutes $(MINUTES) --jobs $(JOBS) --out $(OUT)

gpu-unpack:   ## put what came back in OUT=.gpu/out into results/ and runs/
	@$(PYTHON) tools/gpu.py unpack $(OUT)

check: $(STAMP) ## one notebook, NB=3_ddpm, or those that changed: export, format, lint and smoke-test
	$(BIN)/python tools/check.py $(NB)

test: $(STAMP) ## every check: pytest (form, lint, layers among it), then every notebook at the smoke budget
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --durations 15
	$(SMOKE) $(BIN)/nbdev-test --n-workers 2 --do-print --timing

faults: $(STAMP) ## kill at KILLS=50 random moments, fill disks, take rights away; a table says what came of it
	GENDA_KILLS=$(KILLS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults --durations 5

properties: $(STAMP) ## call every public function with EXAMPLES=2000 good and hostile arguments
	GENDA_EXAMPLES=$(EXAMPLES) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/properties --durations 5

readme: $(STAMP) ## write the map of nbs/index.ipynb and README.md anew from nbs/ and results/
	$(BIN)/python tools/readme.py

docs: $(STAMP) ## build the site from the stored outputs into docs/_build; the first time fetches two packages through npm, PLAIN=1 does without them
	$(if $(PLAIN),,@$(BIN)/python docs/vendor.py)
	$(BIN)/python docs/build.py $(if $(PLAIN),--plain)

docs-serve: $(STAMP) ## show the site that make docs built, on http://localhost:8000
	@test -f docs/_build/index.html || { echo 'there is no site yet: make docs' >&2; exit 1; }
	$(BIN)/python docs/serve.py $(PORT)

bench: $(STAMP) ## training, drawing, loading and evaluation beside other libraries, cost curves, the speedrun; writes results/bench.json
	$(BIN)/python bench/all.py

wheel: $(STAMP) ## build the package into dist/
	$(BIN)/python -m build --wheel

wheels: $(STAMP) ## collect the package and all that the lessons need in wheels/, for machines without network
	$(BIN)/python -m pip wheel --disable-pip-version-check $(if $(INDEX),--extra-index-url $(INDEX)) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -w wheels '.[course]'

constraints: $(STAMP) ## write constraints.txt anew from what is installed, and requirements.lock with hashes; run make test before committing them
	@{ echo '# Versions that are tested together; `make` installs with them. Written by `make constraints`.'; \
	   echo '# Left out: what torch itself pins for CUDA on Linux.'; \
	   $(BIN)/python -m pip freeze --all --exclude genda --exclude pip --exclude uv | grep -v -E '^(nvidia-|cuda-|triton=)' | sed 's/+[a-z0-9.]*$$//'; } > constraints.txt
	$(BIN)/python tools/lock.py

oldest:       ## write oldest.txt, the lowest versions that pyproject.toml allows, for CONSTRAINTS=oldest.txt
	$(PYTHON) tools/oldest.py

licences: $(STAMP) ## write docs/licences.md anew from what is installed
	$(BIN)/python tools/licences.py

clean:        ## remove what was built (not .venv, wheels, docs/_vendor, data, models or runs)
	rm -rf _proc docs/_build docs/_doctrees docs/_made docs/jupyter_execute docs/lessons docs/reference docs/results.md docs/figures.md docs/_landing.md docs/speed.md docs/cite.md docs/_timetable.md dist .pytest_cache
