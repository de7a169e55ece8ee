# `make help` lists the targets.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
TARGET := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := devoxx-container devoxx-runtime
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

.DEFAULT_GOAL := build
# Setup comes before the fixtures, and the style before the tests.
.NOTPARALLEL:
.PHONY: build help run test test-vm test-vm-v2 test-vm-engine test-vm-systemd mutants torture torture-quick torture-vm torture-docs fuzz fuzz-quick bench bench-quick bench-docs setup fixtures check fmt clean install

build: export DEVOXX_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
build: ## the release programs, in bin/ (the default)
	$(CARGO) build --release --workspace --bins
	@mkdir -p bin
	@for program in $(PROGRAMS); do \
		if [ -x "$(TARGET)/release/$$program" ]; then \
			install -m 755 "$(TARGET)/release/$$program" "bin/$$program" && echo "bin/$$program"; \
		fi || exit 1; \
	done

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## a container on a scratch copy of this machine's files: a shell, or a greeting without a terminal
	@if [ -t 0 ] && [ -t 1 ]; then \
		echo "A shell in a container. It has a scratch copy of this machine's files, thrown away when you leave: exit"; \
		exec $(SUDO) bin/devoxx-container run --rm -it --rootfs /:O sh; \
	fi; \
	exec $(SUDO) bin/devoxx-container run --rm --rootfs /:O sh -c ' \
		echo "Hello from a container."; \
		echo "hostname: $$(cat /proc/sys/kernel/hostname)"; \
		echo "pid:      $$$$"; \
		echo "files:    a scratch copy of this machine, thrown away now"'

test: setup check fixtures ## all that must hold: style, lints, then every test (as root the whole of it)
	tests/leaks.sh before "$(TARGET)/testkit/leaks"
	$(CARGO) test --workspace
	tests/callers.sh "$(TARGET)/debug/devoxx-runtime"
	$(MAKE) --no-print-directory bench-quick
	$(MAKE) --no-print-directory torture-quick
	tests/leaks.sh after "$(TARGET)/testkit/leaks"

test-vm: test-vm-v2 test-vm-systemd ## tests in virtual machines: both of the following

test-vm-v2: fixtures ## with cgroup v2 alone and every controller: those of the runtime's tests that are about the kernel (TESTS=:: all)
	VM_PROGRAMS="kernel oci" tests/vm.sh $(or $(TESTS),cgroups:: devices:: image:: lifecycle::)

test-vm-engine: fixtures ## the engine's that depend on the kernel, in the same machine (TESTS=words to choose)
	VM_PROGRAMS=e2e tests/vm.sh $(or $(TESTS),limits:: rootless:: options:: lifecycle:: scenario:: ends:: userns cdi::)

test-vm-systemd: ## containers as units of systemd, on cgroup v2 and v1; with AppArmor and with SELinux; what comes back with the machine
	$(CARGO) build --workspace --bins
	tests/vm-systemd.sh sh -ec 'for test in apparmor units; do "tests/vm-$$test.sh" "$$1/devoxx-runtime"; done; tests/vm-boot.sh "$$1/devoxx-container"' sh "$(TARGET)/debug"
	VM_KERNEL_ARGUMENTS="systemd.unified_cgroup_hierarchy=0 security=selinux selinux=1" \
	    tests/vm-systemd.sh sh -ec 'tests/vm-units-v1.sh "$$1"; tests/vm-selinux.sh "$$1"' sh "$(TARGET)/debug/devoxx-runtime"
	VM_KERNEL_ARGUMENTS="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1" \
	    tests/vm-systemd.sh tests/vm-units-v1.sh "$(TARGET)/debug/devoxx-runtime"

# In the place of the others, since all that they are made of is there already.
mutants: ## the programs of a debug build, and beside them those from which a defence can be left out
	$(CARGO) build --workspace --bins --features devoxx-runtime/all_mutants,devoxx-container/all_mutants
	@mkdir -p "$(TARGET)/mutants/debug"
	install -m 755 "$(TARGET)/debug/devoxx-runtime" "$(TARGET)/debug/devoxx-container" "$(TARGET)/mutants/debug"
	$(CARGO) build --workspace --bins

torture: setup fixtures mutants ## escapes replayed, each shown able to fail; kills at every moment, errors, crowds, chaos (WORKS=parts, KILLS=N, SEED=N; a day)
	$(SUDO) "$(TARGET)/debug/torture" --programs "$(TARGET)/debug" --mutants "$(TARGET)/mutants/debug" \
		--out "$(TARGET)/torture$(if $(QUICK),-quick)" $(if $(KILLS),--kills $(KILLS)) $(if $(ERRORS),--errors $(ERRORS)) $(if $(STARTS),--starts $(STARTS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(QUICK),--quick) $(WORKS)

torture-quick: ## the same in minutes: every replay, and each command killed a few times
	$(MAKE) --no-print-directory torture KILLS=12 QUICK=1

torture-vm: fixtures ## kills of checkpoint and restore, in a virtual machine where CRIU works (KILLS=N of each, or 100)
	VM_PROGRAMS=torture tests/vm.sh --kills $(or $(KILLS),100) checkpoints

torture-docs: ## docs/security.md: of each part its last run in the long form, or in the short one
	"$(TARGET)/debug/torture" --publish docs "$(TARGET)/torture-vm" "$(TARGET)/torture" "$(TARGET)/torture-quick"

fuzz: ## every reader of foreign input under libFuzzer, each for MINUTES (60), what is found kept (TARGETS=words to choose)
	MINUTES=$(or $(MINUTES),60) fuzz/run.sh $(TARGETS)

fuzz-quick: ## the same for seconds, without libFuzzer: what was kept and changes of it (in `make test`)
	$(CARGO) test -p devoxx-fuzz

bench: setup build fixtures ## every runtime and engine of this machine beside the bare kernel, in target/bench (ROUNDS=50 STARTS=10000 WORKS=words)
	$(CARGO) build --release -p devoxx-bench
	$(CARGO) build --profile measured -p devoxx-runtime --features mutant_at_all
	$(SUDO) "$(TARGET)/release/bench" --rounds $(or $(ROUNDS),50) --starts $(or $(STARTS),10000) \
		--debian "$(TARGET)/testkit/debian-12.tar" --unattested "$(TARGET)/measured/devoxx-runtime" \
		--out "$(TARGET)/bench" $(WORKS)

bench-docs: ## docs/performance.md and its picture, from the last `make bench`
	"$(TARGET)/release/bench" --publish "$(TARGET)/bench" docs

bench-quick: fixtures mutants ## the same once, unoptimized, to see that it works: of its figures none means anything
	$(SUDO) "$(TARGET)/debug/bench" --rounds 1 --alive 10 --starts 10 --pulls 1 --layers 2 --kept 2 --idle 1 \
		--debian "$(TARGET)/testkit/debian-12.tar" --unattested "$(TARGET)/mutants/debug/devoxx-runtime" \
		--out "$(TARGET)/bench-quick" >"$(TARGET)/testkit/bench-quick.log"

setup: ## what the tests need and this machine lacks, by apt
	tests/setup.sh

fixtures: ## the root file systems and images of the tests
	tests/fixtures.sh

check: ## style and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: ## the sources in their form
	$(CARGO) fmt

clean: ## removes what was built
	$(CARGO) clean
	rm -rf bin

install: build ## the programs, man pages and completions below DESTDIR/PREFIX (/usr/local)
	install -d "$(DESTDIR)$(PREFIX)/bin"
	@for program in $(PROGRAMS); do \
		if [ -x "bin/$$program" ]; then \
			install -m 755 "bin/$$program" "$(DESTDIR)$(PREFIX)/bin/$$program" || exit 1; \
			echo "$(DESTDIR)$(PREFIX)/bin/$$program"; \
		fi; \
	done
	@set -e; share="$(DESTDIR)$(PREFIX)/share"; \
	install -d "$$share/man/man8" "$$share/bash-completion/completions" "$$share/zsh/site-functions" \
		"$$share/fish/vendor_completions.d"; \
	bin/devoxx-runtime man "$$share/man/man8"; \
	bin/devoxx-runtime completion bash > "$$share/bash-completion/completions/devoxx-runtime"; \
	bin/devoxx-runtime completion zsh > "$$share/zsh/site-functions/_devoxx-runtime"; \
	bin/devoxx-runtime completion fish > "$$share/fish/vendor_completions.d/devoxx-runtime.fish"; \
	install -d "$$share/man/man1"; \
	bin/devoxx-container man "$$share/man/man1"; \
	bin/devoxx-container completion bash > "$$share/bash-completion/completions/devoxx-container"; \
	bin/devoxx-container completion zsh > "$$share/zsh/site-functions/_devoxx-container"; \
	bin/devoxx-container completion fish > "$$share/fish/vendor_completions.d/devoxx-container.fish"; \
	echo "$$share: man pages and completions"
