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

release-tuned: ## The same, compiled and laid out by what it does under load: target/tuned/vestibule, for a quarter less CPU time
	@scripts/tuned

certificates: build ## Make development certificates in certs/demo
	@certs/generate

BENCH ?=
# TUNED=1: the programs are made as `make release-tuned` makes them, bare Pingora as Vestibule.
TUNED ?=
BENCH_PROGRAMS = $(or $(CARGO_TARGET_DIR),target)
BENCH_FOLDERS = --binaries $(BENCH_PROGRAMS)/$(if $(TUNED),tuned,release) --world $(BENCH_PROGRAMS)/debug/bench_world
bench_programs = $(if $(TUNED),scripts/tuned $(1),$(CARGO) build --locked --release --features bench $(addprefix --bin ,$(1)))

bench-compare: bench-world ## Measure Vestibule beside nginx, Apache and bare Pingora (BENCH="--help" tells the options)
	@$(call bench_programs,vestibule bare_pingora bare_pingora_mimalloc pace)
	@python3 benches/compare/compare.py $(BENCH_FOLDERS) $(BENCH)

bench-scale: bench-world ## Measure how the cost grows with sessions, connections, portals and rules (BENCH="--help" tells the options)
	@$(call bench_programs,vestibule bench_sessions)
	@python3 benches/scale/scale.py $(BENCH_FOLDERS) $(BENCH)

bench-count: bench-world ## Count instructions and allocations of a request, of Vestibule and of bare Pingora (BENCH="--help" tells the options)
	@$(call bench_programs,vestibule bare_pingora bare_pingora_mimalloc)
	@python3 benches/compare/count.py $(BENCH_FOLDERS) $(BENCH)

bench-world:
	@scripts/install-packages bench
	@echo "== building optimised programs (a first build takes about 20 minutes on 2 cores)"
	@$(CARGO) build --locked --features bench --bin bench_world

deny: ## Licences, bans and advisories of all dependencies (needs cargo-deny)
	@cargo deny check

system-packages:
	@scripts/install-packages build

DEBUG_BINARY = $(or $(CARGO_TARGET_DIR),target)/debug/vestibule

.PHONY: bench-compare bench-count bench-scale bench-world help demo demo-check test check build release release-tuned certificates deny system-packages
