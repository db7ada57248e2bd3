# Two commands for everybody: `make demo` and `make test`. Both install what they need, and say what.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo

help: ## Show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: build ## Show the whole journey on this machine: https://localhost:8443
	@./$(DEBUG_BINARY) demo

demo-check: build ## Walk the whole journey without a browser
	@./$(DEBUG_BINARY) demo --check --port 0 --admin-port 0

test: ## Install what the tests need, then run every check and every test
	@scripts/test

check: ## Formatting, lints and unit tests only
	@$(CARGO) fmt --check && $(CARGO) clippy --locked --all-targets --all-features -- -D warnings && $(CARGO) test --locked --lib

build: system-packages ## Build for development
	@echo "== building (a first build takes about 5 minutes on 2 cores)"
	@$(CARGO) build --locked

release: system-packages ## Build the binary that goes into production: target/release/vestibule
	@$(CARGO) build --locked --release

certificates: build ## Make development certificates in certs/demo
	@certs/generate

BENCH ?=
BENCH_PROGRAMS = $(or $(CARGO_TARGET_DIR),target)
bench-compare: ## Measure Vestibule beside nginx, Apache and bare Pingora (BENCH="--help" tells the options)
	@scripts/install-packages bench
	@echo "== building optimised programs (a first build takes about 20 minutes on 2 cores)"
	@$(CARGO) build --locked --release --features bench --bin vestibule --bin bare_pingora --bin bare_pingora_mimalloc --bin pace
	@$(CARGO) build --locked --features bench --bin bench_world
	@python3 benches/compare/compare.py --binaries $(BENCH_PROGRAMS)/release --world $(BENCH_PROGRAMS)/debug/bench_world $(BENCH)

bench-scale: ## Measure how the cost grows with sessions, connections, portals and rules (BENCH="--help" tells the options)
	@scripts/install-packages bench
	@echo "== building optimised programs (a first build takes about 20 minutes on 2 cores)"
	@$(CARGO) build --locked --release --features bench --bin vestibule --bin bench_sessions
	@$(CARGO) build --locked --features bench --bin bench_world
	@python3 benches/scale/scale.py --binaries $(BENCH_PROGRAMS)/release --world $(BENCH_PROGRAMS)/debug/bench_world $(BENCH)

bench-count: ## Count instructions and allocations of a request, of Vestibule and of bare Pingora (BENCH="--help" tells the options)
	@scripts/install-packages bench
	@echo "== building optimised programs (a first build takes about 20 minutes on 2 cores)"
	@$(CARGO) build --locked --release --features bench --bin vestibule --bin bare_pingora --bin bare_pingora_mimalloc
	@$(CARGO) build --locked --features bench --bin bench_world
	@python3 benches/compare/count.py --binaries $(BENCH_PROGRAMS)/release --world $(BENCH_PROGRAMS)/debug/bench_world $(BENCH)

deny: ## Licences, bans and advisories of all dependencies (needs cargo-deny)
	@cargo deny check

system-packages:
	@scripts/install-packages build

DEBUG_BINARY = $(or $(CARGO_TARGET_DIR),target)/debug/vestibule

.PHONY: bench-compare bench-count bench-scale help demo demo-check test check build release certificates deny system-packages
