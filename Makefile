# Everything here needs only Go; what needs more says so and is skipped.

BIN        := bin
export CGO_ENABLED ?= 0
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS    := -s -w -X main.version=$(VERSION)
GOLANGCI   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.14.0
PKG        ?= ./...
FUZZTIME   ?= 30s

.PHONY: up down build test check bench bench-store bench-peer fuzz lint dist clients sim

# A node on this machine, in the background; again is harmless.
up: build
	@$(BIN)/ctl up $(if $(wildcard .lab),,--nodes 3)

down:
	@$(BIN)/ctl down

build:
	@mkdir -p $(BIN)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/helenus-agent ./cmd/ctl

# All tests, with a list of what was skipped and why at the end.
test:
	@.ci/test $(PKG)

# Format, vet, the house rules and the quick tests, in about a minute.
check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w'; exit 1; }
	go vet ./...
	go test ./internal/tidy
	@.ci/test -short $(PKG)

# The linters of .golangci.yml, staticcheck among them, at a pinned version.
lint:
	go run $(GOLANGCI) run ./...

bench:
	go test -run '^$$' -bench . -benchmem -count $(or $(COUNT),10) $(PKG)

# The storage engine beside Pebble, about five minutes; sizes: docs/benchmarks.md.
# A module of its own: Pebble is no dependency of Helenus. With a C compiler
# Pebble keeps its cache outside of Go's heap, as it is meant to.
bench-store:
	CGO_ENABLED=$(if $(shell command -v cc),1,0) go -C internal/benchstore run .

# Helenus beside a real Cassandra, with tables of ratios in bin/bench-peer.md;
# needs Java and Maven. SIZE=full takes three quarters of an hour, smoke five
# minutes; LOADS=insert,mixed runs some of the loads. NODES=3 is three nodes
# beside three, in bin/bench-peer-3.md: smoke six minutes, full twenty.
bench-peer:
	@mkdir -p $(BIN)
	HELENUS_BENCH=1 HELENUS_PEER=1 HELENUS_BENCH_SIZE=$(or $(SIZE),smoke) HELENUS_BENCH_LOADS=$(LOADS) HELENUS_BENCH_NODES=$(NODES) \
	HELENUS_BENCH_OUT=$(abspath $(BIN)/bench-peer$(NODES:%=-%).md) go test -count=1 -timeout 3h -v -run '^TestBenchPeer$$' ./cmd/helenus-agent

# Real clients (Python driver, cqlsh, gocql) against a node; needs Python.
clients:
	HELENUS_CLIENTS=1 go test -count=1 -v ./internal/clients

# Whole agents in simulation: SEED= is the seed (or the first), HOURS= how many
# simulated hours of clusters under faults, RUN= one test.
sim:
	HELENUS_SIM_SEED=$(SEED) HELENUS_SIM_HOURS=$(HOURS) go test -count=1 -timeout 24h -v $(if $(RUN),-run '^$(RUN)$$') ./internal/sim

# Every fuzz target of PKG, FUZZTIME each.
fuzz:
	@.ci/fuzz $(FUZZTIME) $(PKG)

# Archives of both binaries for Linux and macOS, amd64 and arm64, in dist/.
dist:
	go run $(GORELEASER) release --snapshot --clean
