"""What the tests of the package share: the package itself, and fresh systems with and without it.

Each file of tests boots gateways of its own (`tests.rigs.gateway`). What is slow to make is made once a run,
by whichever worker comes first: the package, and per suite a layer with the package installed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rigs import gateway, roots
from tests.rigs.gateway import Gateway

FIRST_S = 400
"""Only for what hangs; a test may say less."""

Installed = Callable[[str], Gateway]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs a container, and most a broker beside it."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.needs("gateway", "mosquitto"))
            # The first one of a checkout compiles the kernels, and waits for who does.
            item.add_marker(pytest.mark.timeout(FIRST_S))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all its workers have."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(target: Path, make: Callable[[Path], object]) -> Path:
    """`target`, made by `make` where no other worker has done so."""
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = target.with_name(f"{target.name}.done")
        if not done.exists():
            make(target)
            done.touch()
    return target


def built(folder: Path, *options: str) -> Path:
    """A package by packaging/build.py, compressed less and sooner than what is released."""
    command = [sys.executable, "packaging/build.py", "--arch", "amd64", "--compression", "zstd"]
    done = subprocess.run(
        [*command, "--output", str(folder), *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.split()[-1])


@pytest.fixture(scope="session")
def deb(shared: Path) -> Path:
    """The package of this checkout."""
    return next(once(shared / "deb", built).glob("*.deb"))


@pytest.fixture(scope="session")
def installed(deb: Path, shared: Path) -> Installed:
    """`installed("bookworm")`: a running gateway with the package installed as by a person, no more."""

    def install(gw: Gateway) -> None:
        gw.install(deb)

    def boot(suite: str) -> Gateway:
        root = roots.unpacked(suite)
        layer = once(
            shared / f"installed-{suite}", lambda to: gateway.layer(root, to, lambda gw: gw.install(deb))
        )
        return gateway.boot(root, layer)

    return boot


@pytest.fixture(scope="module", params=roots.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def gw(installed: Installed, suite: str) -> Iterator[Gateway]:
    """One gateway for all tests of a file, once per suite, the package installed and not configured."""
    with installed(suite) as gw:
        yield gw
