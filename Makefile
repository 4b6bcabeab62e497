# Thin: every target calls xtask (Rust) or a script, and installs what is missing first.
#
#   make build    etcd, etcdctl and etcdutl in bin/
#   make run      one member on 127.0.0.1:2379
#   make demo     a Kubernetes on this machine with the operator and a cluster of three
#   make test     every test; the last line is `N passed, M failed`
#   make verify   the gate before a commit: changes nothing
#   make fix      formats, writes crds/, and repairs what clippy can repair
#   make compatibility   writes the tables of docs/compatibility.md anew
#   make bench    etcd's load generator against three members of ours and three of upstream's

# Everything built lives outside the checkout and survives it: RocksDB's C++ alone takes minutes.
export QUORATE_CACHE ?= $(or $(HOME),$(CURDIR))/.cache/quorate
export CARGO_TARGET_DIR ?= $(QUORATE_CACHE)/target

XTASK = cargo run --release --quiet --package xtask --

# side-by-side, surface-marks, large-store, failover, catch-up, restore, operator-marks, operator-scale or backup-marks
BENCH ?= side-by-side

.PHONY: build run demo test verify fix compatibility bench

build:
	@scripts/install-packages build
	@scripts/claim-target
	@$(XTASK) build

run: build
	@printf '%s\n' '' \
	  'A member starts on http://127.0.0.1:2379 with its data in ./default.etcd. In another terminal:' \
	  '  bin/etcdctl put greeting hello' \
	  '  bin/etcdctl get greeting' \
	  '  bin/etcdctl watch --prefix greet' \
	  'Ctrl-C ends it; the data stays. Other flags: make run ARGS="--listen-client-urls=..."' ''
	@exec bin/etcd $(ARGS)

demo:
	@scripts/install-packages test
	@scripts/claim-target
	@$(XTASK) build
	@$(XTASK) tools
	@$(XTASK) images
	@cargo run --release --quiet --package quorate-e2e --bin demo -- $(ARGS)

test:
	@scripts/install-packages test
	@scripts/claim-target
	@$(XTASK) test $(GROUPS)

verify:
	@scripts/install-packages test
	@scripts/claim-target
	@$(XTASK) verify

fix:
	@scripts/claim-target
	@$(XTASK) fix

compatibility:
	@scripts/install-packages test
	@scripts/claim-target
	@$(XTASK) build
	@$(XTASK) tools etcd
	@QUORATE_WRITE_PAGE=1 cargo test --release --quiet --package quorate-e2e --test compat surface::

bench:
	@scripts/install-packages test
	@scripts/claim-target
	@$(XTASK) build
	@$(XTASK) tools $(if $(filter operator-% backup-%,$(BENCH)),,etcd etcd-tools)
	@$(if $(filter operator-% backup-%,$(BENCH)),$(XTASK) images)
	@cargo run --release --package quorate-bench -- $(BENCH) $(ARGS)
