# The front door of the build; Meson and Ninja do the work in build/.
#
# BUILD=dir builds elsewhere; MESON_FLAGS adds options, for instance MESON_FLAGS=-Dbuildtype=release.

BUILD ?= build
MESON_FLAGS ?=
PYTHON ?= /usr/bin/python3
FUZZ_SECONDS ?= 60
BENCH ?=

export PATH := $(PATH):/usr/lib/go-1.23/bin:/usr/sbin:/sbin
export GOTOOLCHAIN ?= auto

OPENSSL_PREFIX := $(shell tools/bootstrap --prefix)
STAMP := $(BUILD)/.bootstrap-$(shell sha256sum tools/bootstrap | cut -c1-16)
SETUP = meson setup -Dopenssl_prefix=$(OPENSSL_PREFIX)
SANITIZED = -Db_sanitize=address,undefined -Db_lundef=false
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help all relay agent bootstrap certs demo test e2e check check-deep coverage soak grid bench bench-door bench-profile fuzz bare deb deb-test clean

help: ## this list
	@echo "Gatehouse. A new machine: make demo, then make test."
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || \
	    sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1: \2/p' Makefile

all: $(BUILD)/build.ninja ## build every program and test
	@ninja -C $(BUILD)

relay: $(BUILD)/build.ninja ## build gatehoused, the server
	@ninja -C $(BUILD) src/bin/gatehoused

agent: $(BUILD)/build.ninja ## build gatehouse-agent
	@ninja -C $(BUILD) src/bin/gatehouse-agent

bootstrap: $(STAMP) ## install what is missing (the other targets do this by themselves)

certs: all ## a CA, a relay and two clients in certs/, nothing overwritten
	@scripts/generate-certs.sh

demo: all ## the main job as a story: a small world, a tunnel, policy, audit
	@GATEHOUSE_BUILD=$(BUILD) exec $(PYTHON) tools/demo

test: all ## unit, simulator, fuzz corpora, end to end, interop
	@$(PYTHON) tools/test --build $(BUILD)

e2e: all ## the end-to-end tests alone
	@$(PYTHON) tools/test --build $(BUILD) e2e

check: $(STAMP) ## both compilers, layers, sizes, licences, tests under ASan and UBSan
	@tools/check

check-deep: $(STAMP) ## e2e and interop under ASan+UBSan, units and load under TSan, failing allocations: about 90 minutes
	@tools/check-deep $(PARTS)

# Ten times what an instrumented build can take is less than ten times what is shipped can.
SLOW = GATEHOUSE_FLOOD=2000

coverage: $(STAMP) build-cov/build.ninja ## lines and branches per folder, with the thresholds
	@ninja -C build-cov
	@find build-cov -name '*.gcda' -delete
	@$(SLOW) $(PYTHON) tools/test --build build-cov
	@$(PYTHON) tools/coverage build-cov

soak: all ## an hour with churn: does the memory of relay and agent stay?
	@$(PYTHON) tools/soak --build $(BUILD)

grid: all ## what TCP reaches through the tunnel of what it reaches without, over 480 simulated roads: about 20 minutes
	@$(BUILD)/tests/sim/sim_congestion_grid

bench: all ## ours beside wireguard-go and connect-ip-go, with the figures to reach; BENCH=--quick for two minutes
	@GATEHOUSE_BUILD=$(BUILD) exec $(PYTHON) tests/bench/run $(BENCH)

bench-door: all ## the door beside HAProxy and nginx alone (haproxy, nginx, libnginx-mod-stream)
	@GATEHOUSE_BUILD=$(BUILD) exec $(PYTHON) tests/bench/door $(BENCH)

bench-profile: all ## where relay and agent spend their time in a TCP download and an upload
	@GATEHOUSE_BUILD=$(BUILD) exec $(PYTHON) tests/bench/profile $(BENCH)

fuzz: $(STAMP) build-fuzz/build.ninja ## every fuzz target for FUZZ_SECONDS (60) each
	@ninja -C build-fuzz
	@tests/fuzz/run build-fuzz $(FUZZ_SECONDS)

bare: ## bootstrap, demo and test in a fresh Debian 12 (root)
	@tools/bare

deb: all ## a Debian package in build/deb/
	@tools/deb $(BUILD)

deb-test: all ## the package in a fresh Debian: installed, used, removed, nothing left (root)
	@tools/deb-test

clean: ## remove what was built; certs/ and the OpenSSL cache stay
	rm -rf build build-*

# ---- how the build folders come to be

$(STAMP):
	@tools/bootstrap
	@mkdir -p $(@D)
	@rm -f $(BUILD)/.bootstrap-*
	@touch $@

$(BUILD)/build.ninja: | $(STAMP)
	@$(SETUP) $(MESON_FLAGS) $(BUILD) >$(BUILD)/setup.log || { cat $(BUILD)/setup.log; exit 1; }

build-asan/build.ninja: | $(STAMP)
	@$(SETUP) $(SANITIZED) build-asan >/dev/null

build-clang/build.ninja: | $(STAMP)
	@CC=clang $(SETUP) build-clang >/dev/null

build-tsan/build.ninja: | $(STAMP)
	@$(SETUP) -Db_sanitize=thread -Db_lundef=false build-tsan >/dev/null

build-cov/build.ninja: | $(STAMP)
	@$(SETUP) -Db_coverage=true -Doptimization=0 -Dc_args=-fprofile-update=atomic build-cov >/dev/null

build-fuzz/build.ninja: | $(STAMP)
	@CC=clang $(SETUP) -Dfuzz=true -Dc_args=-fsanitize=fuzzer-no-link $(SANITIZED) build-fuzz >/dev/null
