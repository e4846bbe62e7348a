# Everything that is done with this repository, each as one word. `make help` lists them.
# GOFLAGS and the other settings of the go command are taken from the environment as they are.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# A number of inputs, not of seconds: when the seconds are over just as the corpus has been read, Go's fuzzer reports
# "context deadline exceeded" as a failure, and a machine that has fuzzed before has a large corpus.
FUZZTIME ?= 2000x
ARGS    ?=

# The tools are built once, from the versions that tools/go.mod pins, and again when the pins or the Go release change.
TOOLS     := $(CURDIR)/.cache/bin
TOOLS_KEY := $(shell { cat tools/go.mod tools/go.sum; go env GOVERSION; } | cksum | tr -d ' ')
TOOLS_OK  := $(TOOLS)/.built-$(TOOLS_KEY)

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## the sandbox: a broker, a store, a gateway and a worker on this machine, nothing installed (ARGS="--serve" stays up)
	@go run ./cmd/sandbox $(ARGS)

# Under CI the real parts must really be used once setup.sh has brought them: a suite that fell back to the embedded
# ones there would pass without having proved anything.
.PHONY: test
test: ## every test with the race detector, on real Kafka and redis-server too, and each fuzz target for FUZZTIME
	@bash test/real/setup.sh
	@if [ "$${CI:-}" = true ] && [ -e .cache/real-parts ]; then export REFUND_WORKER_REQUIRE_REAL=1; fi; \
	go test -race -shuffle=on -count=1 -timeout 15m ./...
	@bash test/fuzz.sh $(FUZZTIME)
	@if [ -e .cache/real-parts ]; then echo "tested on $$(cat .cache/real-parts)"; \
	else echo "tested on embedded parts where real ones were missing, see above"; fi

.PHONY: check
check: check-format check-vet check-lint check-tidy check-generated check-deploy check-bench ## format, vet, lint, tidy, generated files, alerts, chart, and the benchmarks' own tests

.PHONY: check-format
check-format: $(TOOLS_OK)
	@bad=$$($(TOOLS)/gofumpt -l .); [ -z "$$bad" ] || { echo "not formatted, run make fmt:"; echo "$$bad"; exit 1; }

.PHONY: check-vet
check-vet:
	@go vet ./...
	@cd bench && go vet ./...

.PHONY: check-lint
check-lint: $(TOOLS_OK)
	@$(TOOLS)/golangci-lint config verify
	@$(TOOLS)/golangci-lint run ./...
	@cd bench && $(TOOLS)/golangci-lint run ./...

.PHONY: check-tidy
check-tidy:
	@go mod tidy -diff
	@cd tools && go mod tidy -diff
	@cd bench && go mod tidy -diff

# The alerts' own unit tests, and the chart rendered by Helm's engine, in a module of its own.
.PHONY: check-deploy
check-deploy:
	@bash deploy/prometheus/check.sh
	@cd deploy/helm/render && go mod tidy -diff && go vet ./... && go test ./...

# What is measured is not checked here, only that the measuring is right.
.PHONY: check-bench
check-bench:
	@cd bench && go test ./...

# Compared by content, not by git: so it also holds in a tree with changes that are not committed yet.
.PHONY: check-generated
check-generated:
	@before=$$($(checksum)); go generate ./...; \
	[ "$$before" = "$$($(checksum))" ] || { echo "generated files were out of date; they are written anew now"; exit 1; }

checksum = find . -type f -not -path './.git/*' -not -path './.cache/*' -not -path './bin/*' -print0 | sort -z | xargs -0 cksum

.PHONY: fmt
fmt: $(TOOLS_OK) ## format the code and sort its imports
	@$(TOOLS)/golangci-lint fmt

.PHONY: build
build: ## static binaries into bin/, stamped with VERSION
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...

.PHONY: fuzz
fuzz: ## each fuzz target for a minute (FUZZTIME=10m for longer)
	@bash test/fuzz.sh $(if $(filter file,$(origin FUZZTIME)),60s,$(FUZZTIME))

.PHONY: schedules
schedules: ## 100 000 schedules of crashes, faults and delays, and 300 of the whole stack (ARGS="-schedules 1000000" for more)
	@go test ./test/schedules -count=1 -v -timeout 4h -schedules 100000 -stacks 300 $(ARGS) | \
		grep -Ev '^ *(---|===) (RUN|PAUSE|CONT|NAME|PASS)'

.PHONY: bench
bench: ## the worker beside other programs, 25 minutes (ARGS="--latency 20ms --in-flight 256 --runs 3 --only worker,ceiling")
	@bash test/real/setup.sh
	@go build -C bench -o $(CURDIR)/.cache/bin/bench . && .cache/bin/bench $(ARGS)

.PHONY: clean
clean: ## remove what was built and fetched
	rm -rf bin .cache

$(TOOLS_OK): tools/go.mod tools/go.sum
	@echo "building the tools of tools/go.mod, once (two minutes on a cold cache)"
	@mkdir -p $(TOOLS) && rm -f $(TOOLS)/.built-*
	@cd tools && CGO_ENABLED=0 go build -trimpath -o $(TOOLS)/ \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint mvdan.cc/gofumpt
	@touch $@
