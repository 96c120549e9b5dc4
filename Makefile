# The commands of the project; each is a script that also works on its own. `make help` lists them.
# Invariant: nothing is decided here, and no value of a variable is ever expanded by make or a shell.

.PHONY: run test test-aarch64 test-ops bench build paths setup clean help

# The literal text, so that quotes, spaces and $ in PROMPT="..." arrive as typed.
override MODEL := $(value MODEL)
override PROMPT := $(value PROMPT)
override N := $(value N)
export MODEL PROMPT N

help:
	@echo 'make run [MODEL=file.gguf] [PROMPT="..."] [N=64]   stock llama.cpp writes text on the NPU (emulated without a board)'
	@echo 'make test       build everything and run all tests, also under ASan+UBSan and TSan, and some for arm64'
	@echo 'make test-aarch64  the whole arm64 build under qemu-user, and its text against the native one'
	@echo 'make test-ops   the whole of test-backend-ops on the device (long)'
	@echo 'make bench      what the CPU side costs: kernels, and instructions per token'
	@echo 'make build      llama.cpp, the plugin, the emulator, the command rknpu and all tests'
	@echo 'make -s paths   PLUGIN=, EMULATOR= and LLAMA_BIN= for scripts'
	@echo 'make setup      install the missing Debian packages (as root; otherwise prints the command)'
	@echo 'make clean      remove the build folders (not the llama.cpp cache)'

run:
	@scripts/run.sh

test:
	@scripts/test.sh

test-aarch64:
	@scripts/test.sh aarch64

test-ops: build
	@tests/e2e/ops.sh all

bench:
	@scripts/bench.sh

build:
	@scripts/build.sh release

paths:
	@scripts/build.sh --paths

setup:
	@scripts/setup.sh

clean:
	rm -rf build build-dev build-asan build-tsan build-aarch64 build-aarch64-units build-bench
