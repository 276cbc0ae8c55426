# Everything a developer or CI calls. `make demo` and `make test` are enough on a fresh Debian with
# git, make, build-essential and python3-venv; each makes .venv and installs what it needs.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
SECONDS ?=
NATIVE  := edge_agent/kernels/_native/.built
# Not package.py: it needs root, Debian's mirror and PyPI.
BENCHES := kernels footprint bus plan spool records delivery receiver
DEPS    := mosquitto libmodbus-dev libsystemd-dev pkg-config python3-dev openssl lld postgresql \
           mosquitto-clients mmdebstrap debian-archive-keyring systemd-container iproute2 lintian \
           python3-msgpack python3-serial qemu-user-static
# What a kernel library is made from: a change here makes the native library stale.
KERNEL_SOURCES := $(shell find edge_agent/kernels -name '*.py')

.PHONY: help deps venv demo kernels roots deb bundle lint type format test golden soak foreign vm bench clean

help:
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

deps: ## Debian packages that some tests need (root)
	@missing=""; for p in $(DEPS); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends $$missing >/dev/null && echo "installed:$$missing"; fi

# The package itself is installed editable and without build isolation, so that numba is fetched once.
$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q hatchling editables
	$(BIN)/pip install -q --no-build-isolation -e ".[kernels]"
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/pip install -q --no-build-isolation -e ".[dev]"
	@touch $@

# systemd-python is a C extension: it is built only where Debian's libsystemd-dev is.
$(VENV)/.systemd: $(VENV)/.runtime
	@if pkg-config --exists libsystemd 2>/dev/null && \
	  ! $(BIN)/python -c 'import systemd.daemon' 2>/dev/null; then \
	  $(BIN)/pip install -q "systemd-python==235"; fi
	@touch $@

$(NATIVE): $(VENV)/.runtime $(KERNEL_SOURCES)
	$(BIN)/python -m edge_agent.kernels.build
	@touch $@

venv: $(VENV)/.dev $(NATIVE) ## .venv with everything for development

kernels: $(NATIVE) ## compile the kernels for this machine

demo: $(VENV)/.runtime $(NATIVE) ## simulator, agent, receiver and a broker, no hardware (SECONDS=20 ends by itself)
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
	  $(BIN)/python -c 'import amqtt' 2>/dev/null || $(BIN)/pip install -q "amqtt==0.12.1"
	@$(BIN)/edge-agent demo $(if $(SECONDS),--seconds $(SECONDS))

roots: ## fresh Debian systems for the tests of the package, made once a month (root)
	@$(PYTHON) -m tests.rigs.make_roots

deb: $(VENV)/.runtime ## the Debian packages of all architectures, in dist/
	$(BIN)/python packaging/build.py --output dist

bundle: $(VENV)/.runtime ## the same with the Debian packages they need, for gateways without network
	$(BIN)/python packaging/bundle.py --output dist

lint: $(VENV)/.dev ## ruff: style, banned imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# Tests with processes of their own mostly wait, so some run side by side; units compute, and would disturb those. The
# commands of a person wait for a person, and keep no time on a line: they run beside the gateways.
COMMANDS := tests/contract/test_init_command.py tests/contract/test_init_dialogue.py tests/contract/test_doctor.py
test: $(VENV)/.dev $(NATIVE) ## all tests but the long ones
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory deps roots; fi
	@$(MAKE) --no-print-directory $(VENV)/.systemd
	$(BIN)/pytest -q -m "not soak" -n 3 --dist loadfile tests/contract tests/crash tests/independent \
	  $(COMMANDS:%=--ignore=%)
	$(BIN)/pytest -q -m "not soak and not quiet" -n 3 --dist loadfile tests/e2e
	$(BIN)/pytest -q -m "quiet and not soak" tests/e2e
	$(BIN)/pytest -q -m "not soak" -n 5 --dist loadfile tests/packaging tests/rigs $(COMMANDS)
	$(BIN)/pytest -q -m "not soak" -n 2 tests/unit

golden: $(NATIVE) ## after an intended change of a kernel's results
	$(BIN)/python -m edge_agent.kernels.build --write-golden

soak: $(VENV)/.dev $(NATIVE) ## the long runs, with figures
	$(BIN)/pytest -q -m "soak and not vm" -s --timeout=7200

foreign: $(VENV)/.dev ## only the packages for ARM, under emulation (root)
	@$(MAKE) --no-print-directory deps
	$(BIN)/pytest -q tests/rigs/test_foreign_system.py tests/packaging/test_foreign.py

vm: $(VENV)/.dev ## the service in a virtual machine with a USB adapter; some minutes (root)
	@$(MAKE) --no-print-directory deps DEPS="qemu-system-x86 e2fsprogs mmdebstrap"
	$(BIN)/pytest -q -m vm -s tests/packaging

bench: $(VENV)/.dev $(NATIVE) ## every benchmark; results in benchmarks/results/
	for name in $(BENCHES); do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/tables.py --write

clean:
	rm -rf $(VENV) build dist edge_agent/kernels/_native demo-run
