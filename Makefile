# Everything that one needs to know to build, try, test and measure Kiln. `make help` lists it.

# One configuration for everything (demo, tests, CI), so that nothing is compiled twice.
FLAGS := -c release -Xswiftc -enable-testing
BIN := .build/release
C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.cl' | grep -v /Fixtures/)

.PHONY: help setup build demo test lint format kernels-check test-oclgrind test-intel test-onnx bundle bench bench-matmul bench-peers \
	faults endurance clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## install the system packages that Kiln needs (Debian, Ubuntu); quick when all are there
	@Tests/Scripts/setup.sh

build: ## build the library and the tools for release
	swift build $(FLAGS)

demo: setup ## build, list the devices, train handwritten digits on the CPU and on OpenCL, compare
	swift build $(FLAGS) --product kiln
	@Tests/Scripts/demo.sh $(BIN)/kiln

test: ## build everything and run every suite
	swift build $(FLAGS) --build-tests
	swift test $(FLAGS) --skip-build --no-parallel

lint: ## formatting of Swift, C and OpenCL C; file lengths
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks
	$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES))
	@Tests/Scripts/lint.sh

format: ## rewrite all sources in the project's format
	swift format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks
	$(if $(C_FILES),clang-format -i $(C_FILES))

kernels-check: ## compile every .cl file alone, over its matrix of macros
	@Tests/Scripts/kernels-check.sh

test-oclgrind: setup ## run every kernel on tiny shapes in a simulator that finds races and uninitialised reads
	@Tests/Scripts/setup.sh oclgrind
	swift build $(FLAGS) --product kiln
	@Tests/Scripts/oclgrind.sh $(BIN)/kiln

test-intel: setup ## run the self-test and the suites on Intel's OpenCL runtime for CPUs (fetched from PyPI)
	swift build $(FLAGS) --build-tests
	@Tests/Scripts/intel.sh $(BIN)/kiln swift test $(FLAGS) --skip-build --no-parallel

test-onnx: setup ## hold ONNX files against onnxruntime and event files against TensorBoard (fetched from PyPI)
	swift build $(FLAGS) --build-tests
	@Tests/Scripts/onnx-check.sh swift test $(FLAGS) --skip-build --no-parallel

bundle: setup ## dist/kiln-<arch>.tar.xz: the tools and their libraries, for machines without Swift; tried in a bare root
	@Tests/Scripts/bundle.sh

bench: ## run the benchmarks on every device
	swift build $(FLAGS) --product kiln-bench
	$(BIN)/kiln-bench

bench-matmul: ## 1024x1024 float32 matmul beside PyTorch's, in turn
	swift build $(FLAGS) --product kiln-bench
	@Benchmarks/Peers/peers.sh torch matmul_torch.py $(BIN)/kiln-bench

bench-peers: ## the nine training workloads beside PyTorch and tinygrad, in turn, as a table of ratios
	swift build $(FLAGS) --product kiln-bench
	@Benchmarks/Peers/peers.sh "torch tinygrad" train.py $(BIN)/kiln-bench

faults: ## replay the planted faults of docs/testing.md: each must make its test fail
	@Tests/Faults/replay.sh

endurance: ## 20,000 training steps with resident memory watched, of MNIST's perceptron if KILN_DATA is set
	swift build $(FLAGS) --build-tests
	KILN_ENDURANCE_STEPS=20000 swift test $(FLAGS) --skip-build --filter EnduranceTests

clean: ## remove what was built
	rm -rf .build dist
