"""The scripts dpkg runs, as far as they can be tried without a system: tests/packaging installs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.unit.packaging.made import made, scripts

NAMES = ("preinst", "postinst", "prerm", "postrm")

pytestmark = pytest.mark.needs("lld")


def run(script: Path, machine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script with a `uname` that says `machine`."""
    fake = script.parent / "fake"
    fake.mkdir(exist_ok=True)
    (fake / "uname").write_text(f'#!/bin/sh\n[ "$*" = -m ] && echo {machine}\n')
    (fake / "uname").chmod(0o755)
    environment = os.environ | {"PATH": f"{fake}:{os.environ['PATH']}"}
    return subprocess.run((script, *arguments), env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("action", ["install", "upgrade"])
@pytest.mark.parametrize("machine", ["armv6l", "armv6hf"])
def test_armhf_is_refused_on_an_armv6_before_anything_is_unpacked(
    action: str, machine: str, tmp_path: Path
) -> None:
    preinst = scripts(made("armhf").path, tmp_path) / "preinst"
    done = run(preinst, machine, action, "0.0.1")
    assert done.returncode == 1
    assert "ARMv6" in done.stderr and "hint:" in done.stderr


@pytest.mark.parametrize(
    ("architecture", "machine", "arguments"),
    [
        ("armhf", "armv7l", ["install"]),
        ("armhf", "armv8l", ["install"]),
        ("armhf", "aarch64", ["upgrade", "0.0.1"]),  # a 64-bit kernel under a 32-bit system
        ("armhf", "armv6l", ["abort-upgrade", "0.0.1"]),  # what was refused is put back
        ("arm64", "aarch64", ["install"]),
        ("amd64", "x86_64", ["install"]),
    ],
)
def test_every_other_processor_is_let_in(
    architecture: str, machine: str, arguments: list[str], tmp_path: Path
) -> None:
    preinst = scripts(made(architecture).path, tmp_path) / "preinst"
    assert run(preinst, machine, *arguments).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_scripts_stop_at_the_first_failure_and_ask_nothing(name: str, tmp_path: Path) -> None:
    script = scripts(made("amd64").path, tmp_path) / name
    text = script.read_text()
    assert "\nset -e\n" in text
    assert not {"debconf", "db_input", "read ", "@"} & set(text.split())
    assert subprocess.run(("sh", "-n", script)).returncode == 0


def test_the_package_has_no_conffiles_and_no_other_control_files(tmp_path: Path) -> None:
    folder = scripts(made("amd64").path, tmp_path)
    assert {path.name for path in folder.iterdir()} == {"control", "md5sums", *NAMES}


def test_purge_deletes_nothing_but_what_is_ours() -> None:
    text = (ROOT / "packaging/debian/postrm").read_text()
    deleted = [line.split()[2:] for line in text.splitlines() if line.strip().startswith("rm ")]
    assert deleted == [["/etc/edge-agent", "/var/lib/edge-agent", "/var/lib/edge-agent-update"]]
