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
    lines = [line.strip().removeprefix("if ").removesuffix("; then") for line in text.splitlines()]
    deleted = [line.split()[2:] for line in lines if line.startswith("rm ")]
    assert deleted == [["/etc/edge-agent", "/var/lib/edge-agent", "/var/lib/edge-agent-update"]]


def purge(folder: Path, home: str, **fakes: str) -> tuple[int, list[str], str]:
    """The script on a machine in `folder` whose user has `home`: its status, what it called, what it said."""
    (folder / "var/lib/edge-agent/spool").mkdir(parents=True)
    text = (ROOT / "packaging/debian/postrm").read_text()
    for place in ("/etc/edge-agent", "/var/lib/edge-agent"):
        text = text.replace(place, f"{folder}{place}")
    (folder / "postrm").write_text(text)
    passwd = f"edge-agent:x:997:997::{folder if home.startswith('/var') else ''}{home}:/usr/sbin/nologin"
    fakes = {"getent": f"echo {passwd}", "userdel": "", "groupdel": "", "deb-systemd-helper": "", **fakes}
    (folder / "fake").mkdir()
    for name, body in fakes.items():
        fake = folder / "fake" / name
        fake.write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/called\n{body}\n')
        fake.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}/fake:{os.environ['PATH']}"}
    command = ("sh", folder / "postrm", "purge")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, (folder / "called").read_text().splitlines(), done.stderr


def test_a_purge_takes_the_folders_and_then_the_accounts(tmp_path: Path) -> None:
    status, called, said = purge(tmp_path, "/var/lib/edge-agent")
    assert (status, said) == (0, "")
    assert not (tmp_path / "var/lib/edge-agent").exists()
    assert {"userdel edge-agent", "groupdel edge-agent"} <= set(called)


def test_a_purge_leaves_a_user_that_was_there_before(tmp_path: Path) -> None:
    status, called, _ = purge(tmp_path, "/home/edge-agent")
    assert status == 0
    assert not [call for call in called if call.startswith(("userdel", "groupdel"))]


def test_a_purge_does_not_fail_where_the_spool_has_a_disk_of_its_own(tmp_path: Path) -> None:
    """rm cannot remove a mount point; the numbers of what may be left there stay taken."""
    status, called, said = purge(tmp_path, "/var/lib/edge-agent", rm="exit 1")
    assert status == 0 and "mount point" in said
    assert not [call for call in called if call.startswith(("userdel", "groupdel"))]


def test_compiled_files_are_made_anew_and_are_on_the_disk_before_dpkg_says_configured() -> None:
    """py3compile skips what a power cut has left half written, and syncs nothing."""
    text = (ROOT / "packaging/debian/postinst").read_text()
    body = text[text.index("compile() {") : text.index("\n}", text.index("compile() {"))]
    commands = [line.split()[0] for line in body.splitlines() if line.strip().startswith(("py3", "sync"))]
    assert commands == ["py3clean", "py3compile", "sync"]
