# Parallel Run: see CONTRIBUTING.md. Every target says what it does; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/parallelrun
LINT_VERSION := v2.12.2
LINT := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)
FUZZTIME ?= 20s
SEQUENCES ?= 5000
ROUNDS ?= 200
USERS ?= 1000000
MEMORY ?= 512
ROWS ?= 5000000
RUNS ?= 3
PKG ?= ./...
# Packages whose tests talk to a real Keycloak: the race run leaves them out.
RACE_SKIP := internal/servers|internal/contract|load/keymate

# The Python that checks the store's format by itself; empty: python3.
export PARALLELRUN_PYTHON ?= $(wildcard $(CACHE)/python/bin/python)

.PHONY: help deps build demo demo-keycloak test race model kill million mutants lint bench bench-linear microbench fuzz

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

deps: ## install what tests and the Keycloak demo need beside Go; says what will be skipped
	@LINT=$(LINT) LINT_VERSION=$(LINT_VERSION) CACHE=$(CACHE) scripts/deps

build: ## build bin/parallelrun
	go build -trimpath -o bin/parallelrun ./cmd/parallelrun

demo: build ## a whole migration in waves, of a generated directory into the embedded sandbox
	bin/parallelrun demo

demo-keycloak: build ## the same, with fewer people, into a real Keycloak on PostgreSQL, started and stopped by itself
	bin/parallelrun demo --keycloak

test: ## all tests (or PKG=./load/...), with one real Keycloak for the whole run; counts skips by name
	go run ./internal/servers/cmd/withkeycloak -optional -- go test -json -timeout 45m $(PKG) | go run ./scripts/testsummary

race: ## the tests under the race detector, without those that need a Keycloak
	go test -race -short -json -timeout 60m $$(go list $(PKG) | grep -vE '$(RACE_SKIP)') | go run ./scripts/testsummary -label race

model: ## SEQUENCES (5000) random sequences on the real code and on the model, FROM a seed
	go test ./pipelines/modeltest -run '^TestModel$$' -timeout 0 -v -sequences=$(SEQUENCES) -from=$(or $(FROM),0)

kill: ## ROUNDS (200) kills of a store's writer, and of its collectors, at random points, on a directory and on a bucket, and 1,000 sequences of its model
	go test ./snapshots ./snapshots/s3 -run '^TestKill(Collector)?$$' -timeout 0 -v -kill-rounds=$(ROUNDS)
	go test ./snapshots -run '^TestModel$$' -timeout 0 -store-sequences=1000

million: build ## a directory of USERS (1000000) people from LDIF to a stored plan by bin/parallelrun with --memory MEMORY (512) MiB: peak memory, rates
	go test ./cmd/parallelrun -run '^TestPlanKeepsToItsMemory$$' -timeout 0 -v -scale-users=$(USERS) -scale-memory=$(MEMORY) -scale-tool=$(CURDIR)/bin/parallelrun

mutants: ## put faults into the code, one after another, seek a seed at which the model finds each, and keep it
	go test ./pipelines/modeltest -run '^TestMutants$$' -timeout 0 -v -mutants

lint: ## gofmt, go vet and golangci-lint, import direction included
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet ./...
	cd bench && go vet ./...
	@if [ -x $(LINT) ]; then $(LINT) run; else echo "lint: golangci-lint $(LINT_VERSION) is not there (make deps): only gofmt and go vet ran"; [ "$${CI:-}" != true ]; fi

bench: build bin/bench ## the tool beside DuckDB and the machine's own floor: a table of ROWS (5000000) users, RUNS (3) turns each
	go run ./internal/servers/cmd/withversitygw -optional -- bin/bench -tool bin/parallelrun -rows $(ROWS) -runs $(RUNS) $(BENCHFLAGS)

bench-linear: build bin/bench ## times and memory of ROWS (5000000) users beside those of four times as many
	bin/bench -linear -tool bin/parallelrun -rows $(ROWS) $(BENCHFLAGS)

.PHONY: bin/bench
bin/bench:
	cd bench && go build -o ../bin/bench .

microbench: ## all benchmarks of packages, once
	go test -run '^$$' -bench . -benchmem -timeout 60m ./...

fuzz: ## every fuzz target for FUZZTIME (20s)
	scripts/fuzz $(FUZZTIME)
