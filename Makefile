# Hoist: every task of the project. `make` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
OLDEST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
MANPAGES := $(wildcard man/*.1 man/*.5 man/*.7)
EXAMPLES := $(sort $(wildcard examples/* examples/*/* examples/*/*/* examples/*/*/*/*))
EXAMPLES := $(foreach path,$(EXAMPLES),$(if $(wildcard $(path)/*),,$(path)))

UNITS := $(wildcard packaging/systemd/*)

SHARE = $(DESTDIR)$(PREFIX)/share
BINARY = $(DESTDIR)$(PREFIX)/bin/hoist
MANDIR = $(SHARE)/man
DOCDIR = $(SHARE)/doc/hoist
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
# Below SHARE; each begins with the name of its shell.
COMPLETIONS = bash-completion/completions/hoist zsh/site-functions/_hoist fish/vendor_completions.d/hoist.fish

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

demo: demo-deps build ## deploy twice to a farm of 8 real sshd hosts on this machine; the second one is rolled back
	@demo/run.sh "$(TARGET_DIR)/$(TRIPLE)/debug/hoist"

check: deps ## run all tests, those over real sshd included, or those of PROGRAMS
	@CARGO=$(CARGO) python3 tools/check.py $(PROGRAMS)

torture: deps ## ROUNDS (100) of random faults against real hosts, from SEED on
	ROUNDS=$${ROUNDS:-100} SEED=$${SEED:-$$(date +%s)} $(CARGO) test --locked --test torture -- --nocapture

fuzz: deps ## try each reader of foreign bytes for FUZZ_SECONDS (600), from SEED on
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} SEED=$${SEED:-$$(date +%s)} $(CARGO) test --locked --test fuzz -- --nocapture

bench: deps ## measure beside pdsh, Ansible and others: PARTS (help lists them), ROUNDS, HOSTS, PEERS, OLD, QUICK=1; needs root and a quiet machine
	@[ "$(PARTS)" = help ] || bench/needs.sh target/bench/venv
	@[ "$(PARTS)" = help ] || [ -n "$(HOIST)" ] || $(MAKE) static
	@python3 bench/bench.py

build: build-deps ## build for development
	$(CARGO) build --locked --target $(TRIPLE) --target-dir "$(TARGET_DIR)"

static: build-deps ## build the binary to ship, dist/hoist, and list the licences of what it contains
	@CARGO=$(CARGO) tools/static.sh

check-packages: deps static ## build the binary to ship, pack it, and check the packages: lint, installation, upgrades, removal
	HOIST=dist/hoist $(CARGO) test --locked --test install

reproducible: build-deps ## build and pack a commit (COMMIT, default HEAD) twice, in different folders, and compare the bytes
	@tools/reproducible.sh "$${COMMIT:-HEAD}"

# Installing builds nothing: root needs no Rust toolchain, and leaves no files of its own in the checkout.
install: ## install dist/hoist, the man pages, completions, units and examples (PREFIX, DESTDIR)
	@test -x dist/hoist || { echo "make install: there is no dist/hoist: run \`make static\` first (without sudo)" >&2; exit 1; }
	install -D -m 755 dist/hoist "$(BINARY)"
	@for page in $(MANPAGES); do \
		install -v -D -m 644 $$page "$(MANDIR)/man$${page##*.}/$${page##*/}" || exit; done
	@for file in $(EXAMPLES); do \
		install -v -D -m 644 $$file "$(DOCDIR)/$$file" || exit; done
	@install -d "$(UNITDIR)"
	@for unit in $(UNITS); do \
		sed 's,/usr/bin/hoist,$(PREFIX)/bin/hoist,' $$unit >"$(UNITDIR)/$${unit##*/}" || exit; \
		chmod 644 "$(UNITDIR)/$${unit##*/}"; done
	@for file in $(COMPLETIONS); do \
		install -d "$(SHARE)/$${file%/*}" || exit; \
		dist/hoist completion $${file%%[-/]*} >"$(SHARE)/$$file" || exit; \
		chmod 644 "$(SHARE)/$$file"; done

uninstall: ## remove what `make install` installed (same PREFIX, DESTDIR)
	rm -f "$(BINARY)"
	@for file in $(COMPLETIONS); do rm -fv "$(SHARE)/$$file"; done
	@for page in $(MANPAGES); do rm -fv "$(MANDIR)/man$${page##*.}/$${page##*/}"; done
	@for unit in $(UNITS); do rm -fv "$(UNITDIR)/$${unit##*/}"; done
	@for file in $(EXAMPLES); do rm -fv "$(DOCDIR)/$$file"; done
	@if [ -d "$(DOCDIR)" ]; then find "$(DOCDIR)" -depth -type d -empty -delete; fi

deb: ## pack dist/hoist for Debian (MAINTAINER='NAME <ADDRESS>')
	@packaging/package.sh deb

rpm: ## pack dist/hoist for RPM (MAINTAINER='NAME <ADDRESS>')
	@packaging/package.sh rpm

dist: ## pack dist/hoist as a tar archive, and write the checksums of everything in dist/
	@packaging/package.sh tar

fmt: ## format the source
	$(CARGO) fmt

lint: deps ## check formatting, clippy, the man pages and the shell scripts
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked -- -D warnings
	mandoc -T lint -W warning $(MANPAGES)
	shellcheck $$(git ls-files '*.sh' .ci/run)

# With that version as the default one, it is the command of `make lint`, whose result Cargo reuses.
oldest: deps ## check that the program builds with the oldest supported Rust version
	@if rustc --version | grep -q '^rustc $(OLDEST)[. ]'; then \
		$(CARGO) clippy --locked -- -D warnings; \
	else \
		rustup run --install $(OLDEST).0 cargo check --locked --target-dir $(TARGET_DIR)/oldest; \
	fi

audit: ## check licences, sources and known vulnerabilities of the dependencies (needs cargo-deny and network access)
	$(CARGO) deny --locked check

deps: ## install the programs that the build and the tests need
	@tools/needs.sh

demo-deps: ## install the programs that the build and the demo need
	@tools/needs.sh demo

build-deps: ## install the programs that the build needs
	@tools/needs.sh build

clean: ## remove everything that was built
	$(CARGO) clean
	rm -rf dist

.PHONY: help demo check torture fuzz bench build static check-packages reproducible install uninstall deb rpm dist fmt lint oldest audit deps demo-deps build-deps clean
