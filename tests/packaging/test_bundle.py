"""The bundle on a fresh system without network: one command, and the agent is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import __version__
from tests.conftest import ROOT
from tests.packaging.conftest import once
from tests.rigs import gateway, roots
from tests.rigs.gateway import Gateway

pytestmark = [pytest.mark.needs("lld"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bundle(suite: str, shared: Path) -> Path:
    """Made for the suite by apt of this machine."""

    def make(folder: Path) -> None:
        command = (
            sys.executable,
            "packaging/bundle.py",
            "--arch",
            "amd64",
            "--release",
            suite,
            "--output",
            folder,
        )
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return next(once(shared / f"bundle-{suite}", make).glob("*.run"))


@pytest.fixture(scope="module")
def bare(suite: str, bundle: Path) -> Iterator[Gateway]:
    """A system that has python3 and none of the libraries, and whose apt knows no package."""
    with gateway.boot(roots.unpacked(suite)) as gw:
        gw.run("sh", "-c", "rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*")
        gw.copy_in(bundle, "/root/edge-agent.run")
        yield gw


def installed(gw: Gateway) -> dict[str, str]:
    # Not by systemd-run, which takes ${...} for its own.
    lines = gw.enter("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n").out.splitlines()
    return {name: version for name, version, state in map(str.split, lines) if state == "ii"}


def test_without_network_and_without_the_bundle_it_cannot_be_installed(bare: Gateway, deb: Path) -> None:
    """The control: this system has no other source."""
    bare.copy_in(deb, "/root/alone.deb")
    assert bare.run("apt-get", "install", "-y", "/root/alone.deb", check=False).code != 0
    assert "edge-agent" not in installed(bare)


def test_another_release_or_a_damaged_copy_changes_nothing(bare: Gateway, suite: str) -> None:
    before = installed(bare)
    other = "trixie" if suite == "bookworm" else "bookworm"
    bare.run("sh", "-c", f"sed 's/^release={suite}$/release={other}/' /root/edge-agent.run >/root/other.run")
    bare.run("sh", "-c", "head -c -100 /root/edge-agent.run >/root/cut.run")
    for name in ("other", "cut"):
        done = bare.run("sh", f"/root/{name}.run", check=False)
        assert done.code == 1 and "hint:" in done.err
    assert installed(bare) == before


def test_one_command_installs_it_and_touches_nothing_else(bare: Gateway) -> None:
    before = installed(bare)
    bare.run("sh", "/root/edge-agent.run", timeout_s=300)
    after = installed(bare)
    assert after["edge-agent"] == __version__
    assert {name: after[name] for name in before} == before, "a package was replaced"
    assert bare.run("edge-agent", "--version").out == f"edge-agent {__version__}\n"
    assert bare.run("apt-get", "check").code == 0


def test_the_same_command_again_is_fine(bare: Gateway) -> None:
    before = installed(bare)
    bare.run("sh", "/root/edge-agent.run", timeout_s=300)
    assert installed(bare) == before
