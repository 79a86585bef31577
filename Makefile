# make demo    see it work, on real requests (KEEP=1 leaves the node up)
# make test    the one test command: build, vet, lint, unit and end-to-end tests with -race
# make full    slow corpora, fault loops, the whole battery and long fuzzing on top
# make battery every attack from inside a sandbox, with walls and without, as a table (needs root)
# make attacks injection by class, source and nesting, false alarms, and attacks on a whole deployment, as tables
# make bench   the figures of SPECIFICATION.md, as ratios against a floor of the same run
# make help    this list

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
BIN := bin/casemate
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
PREFIX ?= /usr/local

.PHONY: help
help: ## this list
	@sed -n '1,/^$$/s/^# //p' Makefile

.PHONY: build
build: ## bin/casemate, one static binary
	@$(GOBUILD) -o $(BIN) ./cmd/casemate

.PHONY: examples
examples: ## the functions of the example apps
	@$(MAKE) --no-print-directory -C examples/orders build

.PHONY: demo
demo: build examples ## real requests through the corridor, as a table
	@go run ./examples/orders/demo -casemate $(BIN) $(if $(KEEP),-keep)

# The program is linked once, for every package of tests that starts it.
test full: export CASEMATE_BINARY := $(CURDIR)/$(BIN)

.PHONY: test
test: cc tools build examples lint ## build, vet, lint, unit and end-to-end tests
	@./scripts/gotest -timeout 30m ./test/e2e ./test/... ./... # the longest first

.PHONY: full
full: export CASEMATE_FULL := 1
full: cc tools build examples ## slow corpora, faults, the battery and fuzzing
	@CASEMATE_FULL=1 ./scripts/gotest -timeout 45m ./...
	@./scripts/fuzz 3000x

.PHONY: battery
battery: tools ## every attack on a node, with its walls and without, as a table
	@CASEMATE_FULL=1 go test -count 1 -v -timeout 30m ./test/battery

.PHONY: attacks
attacks: ## injection by class, source and nesting, and false alarms, as a table
	@go test -count 1 -v -run 'TestAttacks|TestBenign|TestFresh' ./test/attacks

.PHONY: bench
bench: build examples ## P1, P2, P5, P6, P7, P10, P12 and the door with floor and control, as a table and bench.json
	@CGO_ENABLED=0 go run ./bench -casemate $(BIN) -json bench.json

.PHONY: lint
lint: ## gofmt, vet, staticcheck, vulnerabilities
	@./scripts/lint

.PHONY: cc
cc: # the race detector needs a C compiler
	@./scripts/cc

.PHONY: tools
tools: # what only tests use
	@./scripts/tools

.PHONY: schema
schema: ## write the manifest's JSON Schema again from its types
	@go test ./deploy/manifest -run Schema -update

.PHONY: install
install: build ## the binary and its systemd unit
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/casemate
	install -D -m 0644 deploy/systemd/casemate.service $(DESTDIR)/etc/systemd/system/casemate.service

.PHONY: clean
clean: ## what the targets above made
	rm -rf bin bench.json
	@$(MAKE) --no-print-directory -C examples/orders clean
