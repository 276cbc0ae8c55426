"""Shared by all tests: seeds that are printed, and what the system must have installed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rigs import enclosure, foreign, vm

if TYPE_CHECKING:
    from tests.contract.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent

# What `make deps` installs, and how to see that it is there.
_NEEDS = {
    "mosquitto": lambda: shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin"),
    "libmodbus-dev": lambda: Path("/usr/include/modbus/modbus.h").exists() and shutil.which("cc"),
    "cc": lambda: shutil.which("cc"),
    "lld": lambda: shutil.which("ld.lld"),
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) and _importable("psycopg"),
    "lintian": lambda: shutil.which("lintian"),
    "python3-msgpack": lambda: Path("/usr/lib/python3/dist-packages/msgpack").is_dir(),
    "python3-serial": lambda: Path("/usr/lib/python3/dist-packages/serial").is_dir(),
    "dpkg-deb": lambda: shutil.which("dpkg-deb"),
    "python3-systemd": lambda: _importable("systemd.journal"),
}

# What needs more than a package: why it is not to be had here.
_WHY_NOT = {
    "gateway": enclosure.why_not,
    "foreign": foreign.why_not,
    "vm": vm.why_not,
}


def _importable(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if why := _missing(name):
                if os.environ.get("CI"):
                    pytest.fail(why, pytrace=False)
                pytest.skip(why)


def _missing(name: str) -> str:
    if name in _WHY_NOT:
        return _WHY_NOT[name]()
    return "" if _NEEDS[name]() else f"{name} is missing: `make deps` installs it"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured and nobody asserts, `record_property("figures", text)`, from all workers."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    for report in reports:
        for name, text in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests that do not kill it; each takes a schema of its own."""
    from tests.contract.postgres import running

    with running() as server:
        yield server


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return fresh_seed()


def fresh_seed() -> int:
    """A random seed that pytest shows when the test fails; EDGE_AGENT_SEED repeats one."""
    value = int(os.environ.get("EDGE_AGENT_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
    print(f"seed {value} (repeat with EDGE_AGENT_SEED={value})")
    return value
