# Sandpool: `make` shows the targets.

GOLANGCI_VERSION := v2.15.0
BIN              := $(CURDIR)/.bin
GOLANGCI         := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)
# The core, and the nested modules that hold what is heavier.
MODULES          := . serialize/msgpack serialize/protobuf cmd/sandpool examples
# The benchmark beside other executors is nobody's dependency, and links all of them: it is
# vetted and linted, and of its tests those run that measure nothing.
BENCH_MODULE     := bench
BUILD            ?= $(CURDIR)/build
GUEST            := GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags="-s -w"
# Without the workspace, so that the demo downloads and builds nothing it does not need.
DEMO             := cd examples && GOWORK=off
FUZZTIME         ?= 30s
# Of chaos: how long at least, how many calls at least, the seed of a run to repeat.
DURATION         ?= 0s
CALLS            ?= 100000
SEED             ?= 0
# Of hostile: how many damaged modules.
N                ?= 10000
# The tests of docs/differences-from-loky.md, and how often parity runs them.
PARITY           := ^Test(S|W|E|F|D|K|R|G|O|B|C|P|X|T)[0-9]+_
PARITY_PACKAGES  := ./internal/e2e/parity ./executor ./internal/cpus
COUNT            ?= 1

# each runs a command in every module, every in that of the benchmark too.
each  = @set -e; for m in $(MODULES); do echo "== $$m: $(1)"; (cd $$m && $(1)); done
every = @set -e; for m in $(MODULES) $(BENCH_MODULE); do echo "== $$m: $(1)"; (cd $$m && $(1)); done

.DEFAULT_GOAL := help

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## the demo: count the words of Go's own sources in worker processes (ARGS: its flags)
	@mkdir -p $(BUILD)
	$(DEMO) $(GUEST) -o $(BUILD)/wordcount.wasm ./wordcount/guest
	$(DEMO) CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(BUILD)/wordcount ./wordcount
	$(BUILD)/wordcount -module $(BUILD)/wordcount.wasm $(ARGS)

.PHONY: build
build: ## build the command line tool into bin/
	cd cmd/sandpool && go build -buildvcs=false -o ../../bin/sandpool .

.PHONY: test
test: ## run all tests
	$(call each,go test -vet=off -shuffle=on -timeout=30m ./...)
	cd $(BENCH_MODULE) && go test -short -vet=off ./...

.PHONY: race
race: deps ## run the short tests under the race detector
	$(call each,go test -race -short -vet=off -timeout=30m ./...)

.PHONY: test-pipe
test-pipe: ## run the executor's tests and the parity suite where workers share no memory with their host (RUN: which ones)
	SANDPOOL_TRANSPORT=pipe go test -short -vet=off -timeout=30m $(if $(RUN),-run '$(RUN)') ./executor ./internal/e2e/parity

.PHONY: ahead
ahead: deps ## compile what race and lint need, and run nothing of it
	$(call each,go list -race -test -export -deps ./... >/dev/null)
	@$(MAKE) --no-print-directory $(GOLANGCI)

.PHONY: parity
parity: deps ## run loky's test suite, as rewritten for Sandpool, under the race detector (COUNT: how often)
	@go test -race -count=$(COUNT) -timeout=60m -v -run '$(PARITY)' $(PARITY_PACKAGES) 2>&1 | \
		awk -v packages=$(words $(PARITY_PACKAGES)) "$$PARITY_SUMMARY"

# Counts what go test -v says of whole tests; prints everything but what has gone well.
define PARITY_SUMMARY
/^--- (PASS|FAIL|SKIP): / { runs++; row = $$3; sub(/^Test/, "", row); sub(/_.*/, "", row); tests[$$3] }
/^--- PASS: / { good[row] }
/^--- FAIL: / { failed++; bad[row] }
/^--- SKIP: / { skipped++ }
/^ok / { ok++ }
/^(=== |PASS$$| *--- PASS: )/ { next }
{ print }
END {
	for (r in bad) delete good[r]
	printf "parity: %d rows passed, %d did not; %d tests, %d runs: %d passed, %d skipped, %d failed\n", \
		length(good), length(bad), length(tests), runs, runs - failed - skipped, skipped, failed
	exit ok != packages || failed
}
endef
export PARITY_SUMMARY

.PHONY: vet
vet: ## vet every module, and the guest side as a guest
	$(call every,go vet ./...)
	GOOS=wasip1 GOARCH=wasm go vet ./guest ./guest/testdata/plain $(addprefix ./internal/guesttest/testdata/,fixture state heavy)
	cd examples && GOOS=wasip1 GOARCH=wasm go vet ./wordcount/guest ./startmethods/guest ./codecs/guest ./command/guest ./hostfunctions/guest ./hotswap/guest/v1 ./hotswap/guest/v2
	@set -e; for m in msgpack protobuf; do (cd serialize/$$m && GOOS=wasip1 GOARCH=wasm go vet ./testdata/guest); done

.PHONY: cross
cross: ## vet for macOS, Windows and arm64, and build without cgo
	$(call each,GOOS=darwin go vet ./...)
	$(call each,GOOS=windows go vet ./...)
	$(call each,GOARCH=arm64 CGO_ENABLED=0 go vet ./...)
	$(call each,CGO_ENABLED=0 go build ./...)

.PHONY: fmt
fmt: ## check the formatting
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

.PHONY: tidy
tidy: ## check that every go.mod is tidy
	$(call every,go mod tidy -diff)

.PHONY: lint
lint: $(GOLANGCI) ## run the linter
	$(call every,$(GOLANGCI) run -c $(CURDIR)/.golangci.yml ./...)

$(GOLANGCI):
	@mkdir -p $(BIN)
	GOBIN=$(BIN) GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/golangci-lint $(GOLANGCI)

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		for t in $$(grep -oE '^func Fuzz[A-Za-z_]+' $$f | cut -c6-); do \
			echo "== $$f $$t"; (cd $$(dirname $$f) && go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) .); \
		done; done

.PHONY: chaos
chaos: ## everything at once to an executor: CALLS calls, for DURATION (SEED repeats the choices)
	go test -count=1 -v -timeout=0 ./internal/e2e/chaos -args -chaos.calls=$(CALLS) -chaos.duration=$(DURATION) -chaos.seed=$(SEED)

.PHONY: leak
leak: deps ## the leak matrix: what a call leaves behind for the next, by start method and guest
	go test -count=1 -v -timeout=60m ./internal/e2e/leak -args -leak.full

.PHONY: hostile
hostile: deps ## hostile modules beside a good neighbour: the whole corpus, cuts, and N damaged ones (SEED repeats the choices)
	@go test -count=1 -v -timeout=60m ./internal/e2e/hostile -args -hostile.full -hostile.mutations=$(N) -hostile.seed=$(SEED) 2>&1 | \
		awk '/^ok /{ok = 1} /^(=== | *--- (PASS|SKIP): .*\/)/{next} {print} END{exit !ok}'

.PHONY: escape
escape: ## native code in a worker tries to get out: prints what stops each attempt
	go test -count=1 -v ./internal/e2e/escape

.PHONY: bench-start
bench-start: ## compare the start methods with each other and with wazero by itself (ARGS: flags of BenchmarkStart)
	go test -run '^$$' -bench '^BenchmarkStart$$' -benchtime=1x -timeout=10m ./wasmworker -args -start.json=$(BUILD)/bench/start.json $(ARGS)

.PHONY: bench-limits
bench-limits: deps ## what it costs to end calls, to count fuel and to be in a sandbox, and how late deadlines are met (ARGS: flags of BenchmarkLimits)
	go test -run '^$$' -bench '^BenchmarkLimits$$' -benchtime=1x -timeout=10m ./wasmworker -args $(ARGS)
	go test -run '^$$' -bench '^BenchmarkDeadline$$' -benchtime=1x -timeout=10m ./executor
	go test -run '^$$' -bench '^BenchmarkSandbox$$' -benchtime=1x -timeout=10m ./executor

.PHONY: test-nobody
test-nobody: deps ## run the core's short tests as a user without rights; by root (PACKAGES: which ones)
	bash .ci/nobody $(PACKAGES)

# What make deps installs has to be there for these: else whole tests of guests in C were skipped.
leak hostile test-nobody nightly: export SANDPOOL_REQUIRE = clang

# The benchmark beside other executors: its program, and what it makes.
BENCH = cd bench && go build -buildvcs=false -o out/bin/bench . && out/bin/bench

.PHONY: bench-deps
bench-deps: deps ## fetch the contenders of bench: Go modules, and by apt and npm those that are not
	@want=; \
	/usr/bin/python3 -c 'import joblib.externals.loky' 2>/dev/null || want="python3-joblib"; \
	command -v npm >/dev/null || want="$$want nodejs npm"; \
	test -z "$$want" || { \
		sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends $$want; }
	cd bench/driver/node && npm ci --no-audit --no-fund
	cd bench && go mod download
	cd bench/wasmtime && GOWORK=off go mod download

.PHONY: bench
bench: deps ## measure Sandpool beside other executors into bench/out (ARGS: --rows, --contenders, --box, --rounds)
	$(BENCH) run $(ARGS)

.PHONY: bench-quick
bench-quick: deps ## the same in less than two minutes: the most telling rows, once
	$(BENCH) run --quick --box=60ms --rounds=1 $(ARGS)

.PHONY: bench-scale
bench-scale: deps ## the long rows: 100 to 1 000 000 calls, 1 to 64 workers, 1 KiB to 256 MiB, 1 to 200 modules
	$(BENCH) scale $(ARGS)

.PHONY: bench-publish
bench-publish: ## put the table and the charts of the last make bench into docs/performance.md
	$(BENCH) publish out/results.json ../docs/performance.md

.PHONY: bench-cmp
bench-cmp: ## compare the Go benchmarks with those of another commit (BASE: its name; PATTERN, PACKAGES, COUNT, TIME)
	bench/compare "$(BASE)" "$(PATTERN)" "$(PACKAGES)" "$(filter-out 1,$(COUNT))" "$(TIME)"

.PHONY: profile
profile: deps ## profile the host and a worker in a row of bench (ROW: its name, see bench list; SIDE: a line of Sandpool's, say "warm")
	$(BENCH) profile $(ROW) $(if $(SIDE),"$(SIDE)")

.PHONY: nightly
nightly: deps ## the long forms: fuzzing ten minutes a target, all tests ten times under the race detector, by pipes and as nobody, parity, chaos, leak, hostile, escape and the benchmarks of start methods and limits
	$(MAKE) fuzz FUZZTIME=10m
	$(call each,go test -race -count=10 -timeout=120m ./...)
	$(MAKE) parity COUNT=10
	$(MAKE) test-pipe
	$(MAKE) chaos DURATION=10m
	$(MAKE) leak
	$(MAKE) hostile
	$(MAKE) escape
	test "$$(id -u)" != 0 || $(MAKE) test-nobody
	$(MAKE) bench-start
	$(MAKE) bench-limits

# The packages by what is looked for: a C compiler for the race detector, and clang
# with WASI's C library for guests in C.
WASI_CLANG := clang-16 lld-16 wasi-libc libclang-rt-16-dev-wasm32

.PHONY: deps
deps: ## install what tests need besides Go: C compilers for the race detector and for guests (Debian)
	@want=; \
	command -v gcc >/dev/null || want="gcc libc6-dev"; \
	{ command -v clang-16 && command -v wasm-ld-16 && test -e /usr/lib/wasm32-wasi/libc.a && \
		test -e "$$(clang-16 --target=wasm32-wasi -print-libgcc-file-name)"; } >/dev/null || want="$$want $(WASI_CLANG)"; \
	test -z "$$want" || { \
		sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends $$want; }

.PHONY: ci
ci: ## everything that the gate checks
	bash .ci/run

.PHONY: clean
clean: ## remove what was built
	rm -rf build bin .bin
