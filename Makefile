# `make run` on a fresh machine: environment, then the main job on the sample clip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup run test check wide bench bench-quick cluster hostile fuzz media-table clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[cpu,openvino,rtx,samples,cloud,dev]"
	touch $(READY)

run: setup
	$(BIN)/python -m bmfgraph pipeline=super_resolution overwrite=true

test: setup
	$(BIN)/python -m pytest -n auto

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto

# The tests that `make check` leaves out because they take long.
wide: setup
	$(BIN)/python -m pytest -n auto -m wide

# `make bench BENCH="--deface … --vapoursynth …"`: ours, loops by hand and other programs in one run (ten minutes).
bench: setup
	$(BIN)/python benchmarks/bench.py $(BENCH) --json outputs/bench.json --markdown outputs/bench.md

bench-quick: setup
	$(BIN)/python benchmarks/bench.py --quick $(BENCH) --json outputs/bench.json --markdown outputs/bench.md

# Batches on a Ray cluster of this machine, whose workers and driver are killed (a minute on idle cores).
cluster: setup
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[ray,slurm]"
	$(BIN)/python -m pytest -n 0 tests/batches/test_ray.py tests/batches/test_slurm.py

# `make hostile SEED=7 SECONDS=600`: another seed, and ten minutes for each fuzzer.
SEED ?= 1
SECONDS ?= 60
hostile: setup
	$(BIN)/python -m tests.hostile.fuzz --seed $(SEED) --seconds $(SECONDS)

# 500 damaged clips through both back ends, ten minutes at most.
CASES ?= 500
fuzz: setup
	$(BIN)/python -m tests.hostile.fuzz --only media --seed $(SEED) --cases $(CASES) --seconds 600

# Every container, codec and pixel format, read and written (a minute); the tables of docs/media.md.
media-table: setup
	SVT_LOG=0 $(BIN)/python -m tests.media.matrix

clean:
	rm -rf $(VENV) outputs build *.egg-info
