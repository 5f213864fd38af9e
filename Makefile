# The thin entry: every target is one or two commands that can be typed as well. `make help` lists.

# A compiler job takes up to 1.5 GiB.
JOBS ?= $(shell awk -v n=$$(nproc) '/MemAvailable/ { m = int($$2 / 1572864); \
  print m < 1 ? 1 : m < n ? m : n }' /proc/meminfo)
REAL_DIR ?= $(or $(RECKON_REAL_DIR),$(CURDIR)/.cache/real)
PREFIX ?= /usr/local
QUESTION ?= What is 347 * 26?
FUZZ_SECONDS ?= 20

CPP_FILES = $(shell find src tests fuzz bench -name '*.cpp' -o -name '*.h')
# The sanitizers of g++ 12 and 13 can't map their shadow where addresses are randomised widely.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)
CTEST = ctest --output-on-failure --timeout 600
build_preset = cmake --preset $(1) && cmake --build --preset $(1) -j $(JOBS)

.PHONY: build
build: ## build/release/bin/reckon, what is shipped
	$(call build_preset,release)

.PHONY: ask
ask: build ## answer QUESTION with the model that is part of the program
	build/release/bin/reckon ask --show-thinking "$(QUESTION)"

.PHONY: install
install: build ## into PREFIX (and DESTDIR)
	cmake --install build/release --prefix $(PREFIX)

.PHONY: deb
deb: build ## build/release/reckon_*.deb
	cd build/release && cpack -G DEB

.PHONY: deb-check
deb-check: deb ## the package holds one binary that needs nothing but glibc
	sh tests/package/check_deb.sh build/release

.PHONY: test unit
test: unit ## the unit tests
unit:
	$(call build_preset,dev)
	$(CTEST) --test-dir build/dev -L unit -j $(JOBS)

.PHONY: real
real: $(REAL_DIR)/tokenizer_goldens/default.jsonl ## the tests on real files, fetched first
	$(call build_preset,dev)
	RECKON_REAL_DIR=$(REAL_DIR) $(CTEST) --test-dir build/dev -L real

# What PyPI's tokenizers makes of 20,000 strings with each of the real vocabularies.
$(REAL_DIR)/tokenizer_goldens/default.jsonl: tools/tokenizer_goldens.py tools/fetch_real.py
	python3 tools/fetch_real.py
	python3 -m pip install --quiet --root-user-action ignore --target $(REAL_DIR)/python --upgrade \
	  tokenizers==0.23.3
	PYTHONPATH=$(REAL_DIR)/python RECKON_REAL_DIR=$(REAL_DIR) python3 tools/tokenizer_goldens.py real

.PHONY: sdk
sdk: build ## unchanged clients of the three APIs against the server, fetched first
	sh tools/run_sdk_tests.sh build/release/bin/reckon build/sdk

.PHONY: nightly
nightly: ## the long tests: hours
	$(call build_preset,dev)
	RECKON_REAL_DIR=$(REAL_DIR) ctest --output-on-failure --test-dir build/dev -L nightly

.PHONY: asan tsan
asan tsan: ## the unit tests under sanitizers
	$(call build_preset,$@)
	$(FIXED_ADDRESSES) $(CTEST) --test-dir build/$@ -L unit -j $(JOBS)

.PHONY: asan-inputs
INPUT_TESTS = base gguf tokenizer sampling reasoning engine store server
asan-inputs: ## of asan, what reads files, texts and requests
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS) --target $(INPUT_TESTS:%=test_%)
	$(FIXED_ADDRESSES) $(CTEST) --test-dir build/asan -j $(JOBS) \
	  -R '^($(subst $(eval) ,|,$(INPUT_TESTS)))$$'

.PHONY: tsan-threads
tsan-threads: ## what runs threads, under the thread sanitizer: minutes (tsan: everything)
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS) --target test_base test_forward test_engine
	$(FIXED_ADDRESSES) build/tsan/tests/test_base --gtest_brief=1
	$(FIXED_ADDRESSES) build/tsan/tests/test_engine --gtest_brief=1
	$(FIXED_ADDRESSES) build/tsan/tests/test_forward --gtest_brief=1 --gtest_filter='*q4_K_q8*'

.PHONY: aarch64 aarch64-all
QEMU = qemu-aarch64 -L /usr/aarch64-linux-gnu
aarch64: ## the other processor, under qemu: kernels and golden logits (aarch64-all: all)
	cmake --preset aarch64
	cmake --build --preset aarch64 -j $(JOBS) --target test_kernels test_forward
	$(QEMU) build/aarch64/tests/test_kernels --gtest_brief=1
	$(QEMU) build/aarch64/tests/test_forward --gtest_brief=1 --gtest_filter='Golden*:*Transformers*'
aarch64-all:
	$(call build_preset,aarch64)
	$(CTEST) --test-dir build/aarch64 -L unit -j $(JOBS)

.PHONY: instructions
instructions: ## the hot kernels' instructions beside bench/instruction_counts.json: a minute
	cmake --preset release && cmake --build --preset release -j $(JOBS) --target kernel_counts
	python3 tools/count_instructions.py build/release

.PHONY: fuzz
fuzz: ## every fuzzer for FUZZ_SECONDS, from its committed corpus
	$(call build_preset,fuzz)
	sh tools/run_fuzzers.sh build/fuzz $(FUZZ_SECONDS) $(JOBS)

.PHONY: format format-check
format: ## rewrite the sources in the house format
	clang-format-19 -i $(CPP_FILES)
format-check:
	clang-format-19 --dry-run -Werror $(CPP_FILES)

.PHONY: tidy
tidy: ## the short clang-tidy list, as errors
	cmake --preset dev >/dev/null
	run-clang-tidy-19 -quiet -j $(JOBS) -p build/dev '$(CURDIR)/src/.*\.cpp$$' > build/tidy.log 2>&1 \
	  || { grep -E 'warning:|error:' -A 4 build/tidy.log; false; }

.PHONY: page page-check
page: build page-check ## the page's tests in Chromium (package chromium), after page-check
	cd web && npm test
page-check: ## web/dist is, byte by byte, what its sources give
	sh tools/check_page.sh

.PHONY: help
help:
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/\1: \2/p' $(MAKEFILE_LIST)
