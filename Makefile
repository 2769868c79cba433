# Everything a newcomer or CI runs. `make` alone lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
TORCH := torch==2.13.0
JOBS ?= 2
PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm cppcheck

# One thread per worker: two workers on two cores must not become four.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types pytest toolchain golden bench releases format clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The CPU build of PyTorch first: on Linux the default build brings gigabytes of GPU packages.
$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet "$(TORCH)+cpu" 2>/dev/null \
	  || $(PIP) install --quiet "$(TORCH)" --index-url https://download.pytorch.org/whl/cpu
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e ".[train,cmsis]"
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e ".[train,cmsis,onnx,tflite,tensorflow,flash,test,dev]"
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## install, build the embedded example, print its table, check the C on this host
	$(BIN)/ptee-mcu build examples/digits.toml --out demo
	$(BIN)/ptee-mcu compare demo --on host --inputs 100

test: toolchain check  ## what is missing of the toolchain, then lint, types and all tests (what CI runs)

check: lint types pytest

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# sim/, templates/ and targets/ become part of the package only when installed.
types: $(VENV)/.dev  ## mypy, on an installed copy
	rm -rf build/typed build/lib
	$(PIP) install --quiet --no-deps --target build/typed .
	MYPYPATH=build/typed $(BIN)/mypy build/typed/ptee_mcu

pytest: $(VENV)/.dev  ## all tests
	$(BIN)/pytest -n $(JOBS) --dist worksteal

toolchain:  ## the Arm compiler and emulator, where apt and the rights are there
	@sh tests/toolchain.sh $(PACKAGES)

golden: $(VENV)/.dev  ## rewrite the golden files
	$(BIN)/pytest -q tests --update-golden -k golden

bench: $(VENV)/.dev  ## the tables of README and docs/benchmarks
	$(BIN)/python benchmarks/bakenn.py
	$(BIN)/python benchmarks/host_time.py
	$(BIN)/python benchmarks/simulator.py
	@echo "with model files in DIR: benchmarks/mlperf_tiny.py --models DIR, litert.py --data DIR, fuzz_models.py DIR"
	@echo "with CIFAR-10 and the weights in DIR: $(BIN)/python benchmarks/ptee_cifar10.py --data DIR"

releases: $(VENV)/.dev  ## the byte matrix of CMSIS-NN releases: make releases CMSIS_NN="DIR..."
	$(BIN)/python benchmarks/releases.py $(CMSIS_NN)

format: $(VENV)/.dev  ## apply ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what the targets made, the virtual environment included
	rm -rf $(VENV) build demo dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
