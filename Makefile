# A thin wrapper over CMake and Ninja. `make help` lists the targets.
BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE_ARGS ?=
TEXT   ?=
TIME   ?=
BENCH  ?=
PYTHON ?=

ccache := $(shell command -v ccache 2>/dev/null)
configure = cmake -G Ninja -S . -B $(BUILD) $(if $(ccache),-DCMAKE_C_COMPILER_LAUNCHER=$(ccache)) $(CMAKE_ARGS)

.PHONY: all build configure demo test check-all fuzz bench install format format-check clean help

all: build ## build the program and the library (this is what `make` does)

configure:
	@scripts/deps.sh --check build
	@$(configure) -DRECUR_TESTS=OFF > $(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: configure
	@cmake --build $(BUILD) -j $(JOBS)

demo: ## install what is missing, build, train a character model for a few minutes (TEXT=FILE, TIME=SECONDS)
	@BUILD="$(BUILD)" TEXT="$(TEXT)" SECONDS_TO_TRAIN="$(TIME)" JOBS="$(JOBS)" scripts/demo.sh

test: ## install what is missing, build and run every test
	@scripts/deps.sh build test
	@$(configure) -DRECUR_TESTS=ON > $(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)
	@scripts/ctest.sh $(BUILD)

check-all: ## every test again: GCC and Clang without warnings, CBLAS, plain loops, address + undefined, thread sanitizer
	@scripts/deps.sh build test check
	@scripts/check-all.sh $(CHECKS)

fuzz: ## every reader of files on random input, TIME=60 seconds each (Clang); what is found is kept in fuzz/crashers/
	@scripts/deps.sh build test check
	@cmake --preset fuzz $(if $(ccache),-DCMAKE_C_COMPILER_LAUNCHER=$(ccache)) > build-fuzz.log 2>&1 || { cat build-fuzz.log; exit 1; }
	@cmake --build build-fuzz -j $(JOBS) --target fuzzers
	@fuzz/run.sh build-fuzz "$(or $(TIME),60)" $(READER)

bench: build ## measure this machine, and the peers that are there (BENCH="--quick", PYTHON=...: bench/README.md)
	@cmake --build $(BUILD) --target peer_onednn > $(BUILD)/peer_onednn.log 2>&1 || true # only where oneDNN is
	@if command -v python3 > /dev/null; then PYTHON="$(PYTHON)" python3 bench/table.py --build $(BUILD) $(BENCH); \
	else echo "no python3: the peers are left out" >&2; $(BUILD)/recur bench; fi

install: build ## install under PREFIX (default /usr/local): bin/recur, libraries, headers, pkg-config file, manual page
	@cmake --install $(BUILD) --prefix "$(abspath $(PREFIX))"

format: ## lay out the C sources by .clang-format
	@git ls-files '*.c' '*.h' '*.inc' | xargs clang-format -i

format-check: ## say which sources `make format` would change
	@git ls-files '*.c' '*.h' '*.inc' | xargs clang-format --dry-run 2>&1 | sed -n 's/:.*//p' | sort | uniq -c

clean: ## remove everything that was built
	@rm -rf build build-* build.log

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
