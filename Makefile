# `make help` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test simulate soak chaos check bench clean

help: ## list these targets
	@echo "Weir: order flow of Binance USD-M futures, captured whole and turned into signals"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

setup: ## check the toolchain and libraries, install what Debian has; changes nothing when all is there
	@scripts/setup.sh

build: setup ## build the release binary, .build/release/weir
	@swift build --quiet -c release --product weir

demo: build ## recordings (or a generated market) to tape, signals and report, in out/demo
	@scripts/demo.sh

test: setup ## build, then run all tests; the last line is their summary
	@scripts/test.sh

simulate: setup ## ten thousand seeds of live capture under faults (SEEDS=n); any that fails is named and repeats
	@scripts/simulate.sh

soak: setup ## a whole run with a fault, judged against every number (MINUTES=10)
	@scripts/soak.sh

chaos: setup ## kill -9 of random services; what they leave must equal an undisturbed run's (KILLS=200)
	@scripts/chaos.sh

check: setup ## format lint, tidy rules, and a build in which warnings are errors
	@scripts/check.sh

bench: build ## measure against the baseline in the same run
	@scripts/bench.sh

clean: ## remove what was built and what the demo wrote
	rm -rf .build out/demo
