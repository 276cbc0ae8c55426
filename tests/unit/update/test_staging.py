"""What is refused before anything is touched, with real package files and a made-up installation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import InputError, UpdateError
from edge_agent.update import packages, program, staging
from edge_agent.update.machine import Package
from edge_agent.update.packages import Installed
from edge_agent.update.staging import stage
from edge_agent.update.store import Result, Store
from tests.unit.update.orders import order
from tests.unit.update.test_program import installed_program

pytestmark = pytest.mark.needs("dpkg-deb")


def build(
    folder: Path,
    version: str = "1.1.0",
    *,
    name: str = "edge-agent",
    architecture: str = "amd64",
    control: bytes = b"",
) -> Path:
    """A package with one file of 3 KiB."""
    tree = folder / f"tree-{name}-{version}-{architecture}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share/x").mkdir(parents=True)
    (tree / "usr/share/x/y").write_bytes(os.urandom(3000))
    fields = {"Package": name, "Version": version, "Architecture": architecture}
    fields |= {"Maintainer": "x <x@x.invalid>", "Description": "x"}
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    (tree / "DEBIAN/md5sums").write_text(f"{version}\n")
    (tree / "DEBIAN/more").write_bytes(control)
    target = folder / f"{tree.name}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """On a machine with 1.0.0 installed, whose package can be made again."""
    folder = installed_program(tmp_path / "usr")
    monkeypatch.setattr(program, "running", lambda: folder)
    monkeypatch.setattr(packages, "installed", lambda: Installed("1.0.0", "installed", True))
    monkeypatch.setattr(packages, "architecture", lambda: "amd64")
    monkeypatch.setattr(packages, "unmet", lambda _: "")
    monkeypatch.setattr(packages, "installed_control", lambda _: "1.0.0\n")
    monkeypatch.setattr(staging, "repack", lambda _, target: target.write_bytes(b"made again"))
    made = Store(tmp_path / "update")
    made.prepare()
    return made


def refusal(store: Store, file: Path, **options: Any) -> str:
    """Why; nothing may be left of it."""
    with pytest.raises((InputError, UpdateError)) as caught:
        stage(store, file, **{"force": False, **options})
    assert "hint: " in str(caught.value)
    assert not list(store.folder.glob("*.deb")) and store.load() is None
    assert not list(store.folder.glob("program*"))
    return str(caught.value)


def test_a_good_package_is_staged_beside_what_can_be_put_back(store, tmp_path) -> None:
    file = build(tmp_path)
    staged = stage(store, file, force=False)
    assert staged is not None
    assert (staged.new.version, staged.old.version) == ("1.1.0", "1.0.0")
    assert staging.checked(store, staged.new).read_bytes() == file.read_bytes()
    assert staging.checked(store, staged.old).read_bytes() == b"made again"
    assert (store.folder / "program/bin/edge-agent").exists()


def test_what_was_checked_is_what_is_staged_whatever_becomes_of_the_file(
    store, tmp_path, monkeypatch
) -> None:
    file, other = build(tmp_path), build(tmp_path, "6.6.6")
    good = file.read_bytes()

    def swapped(_: Path) -> str:
        file.unlink()
        file.symlink_to(other)
        return ""

    monkeypatch.setattr(packages, "unmet", swapped)
    staged = stage(store, file, force=False)
    assert staged is not None and staging.checked(store, staged.new).read_bytes() == good


def test_a_link_to_a_package_is_followed_once(store, tmp_path) -> None:
    link = tmp_path / "link"
    link.symlink_to(build(tmp_path))
    assert stage(store, link, force=False) is not None


def test_the_installed_version_is_nothing_to_do_unless_it_is_forced(store, tmp_path) -> None:
    file = build(tmp_path, "1.0.0")
    assert stage(store, file, force=False) is None
    assert not list(store.folder.glob("*.deb"))
    assert stage(store, file, force=True) is not None


def test_what_is_no_file_is_refused_and_not_waited_for(store, tmp_path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "is no file" in refusal(store, tmp_path / "fifo")
    assert "is no file" in refusal(store, Path("/dev/zero"))
    assert "is no file" in refusal(store, tmp_path)
    assert "No such file" in refusal(store, tmp_path / "nothing.deb")


@pytest.mark.parametrize("content", [b"", b"MZ", b"!<arch>\n", b"!<arch>\ndebian-binary   " + b"\xff" * 500])
def test_what_is_no_package_is_refused(store, tmp_path, content: bytes) -> None:
    (tmp_path / "x.deb").write_bytes(content)
    assert "is no Debian package" in refusal(store, tmp_path / "x.deb")


def test_a_package_cut_short_anywhere_is_refused(store, tmp_path) -> None:
    whole = build(tmp_path).read_bytes()
    file = tmp_path / "cut.deb"
    for size in (100, 200, len(whole) // 2, len(whole) - 200, len(whole) - 20):
        file.write_bytes(whole[:size])
        said = refusal(store, file)
        assert "is damaged" in said or "is no Debian package" in said, size


def test_a_flipped_bit_in_what_it_holds_is_found(store, tmp_path) -> None:
    file = build(tmp_path)
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)
    assert "is damaged" in refusal(store, file)


def test_a_file_larger_than_any_package_of_ours_is_refused(store, tmp_path) -> None:
    with (tmp_path / "large.deb").open("wb") as file:
        file.truncate(staging.MAX_FILE + 1)
    assert "more than 64 MiB" in refusal(store, tmp_path / "large.deb")


def test_a_small_package_that_would_fill_the_disk_is_refused(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(packages, "MAX_UNPACKED", 5000)
    assert "unpacks to more than" in refusal(store, build(tmp_path))


def test_a_control_part_that_would_fill_the_disk_is_refused_before_dpkg_unpacks_it(
    store, tmp_path, monkeypatch
) -> None:
    def asked(path: Path) -> tuple[str, str, str]:
        raise AssertionError("dpkg-deb --field unpacks it into /tmp")

    monkeypatch.setattr(packages, "MAX_UNPACKED", 1 << 20)
    monkeypatch.setattr(packages, "described", asked)
    (tmp_path / "zeros").mkdir()
    file = build(tmp_path / "zeros", control=b"\0" * (2 << 20))
    assert file.stat().st_size < 100_000
    assert "unpacks to more than" in refusal(store, file)


def test_another_package_or_architecture_is_refused(store, tmp_path) -> None:
    assert "is the package coreutils" in refusal(store, build(tmp_path, name="coreutils"))
    said = refusal(store, build(tmp_path, architecture="armhf"))
    assert "is for armhf, this machine is amd64" in said and "edge-agent_1.1.0_amd64.deb" in said


def test_a_package_that_needs_what_is_not_there_is_refused(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(packages, "unmet", lambda _: "Depends: python3-new but it is not installable")
    assert "needs what is not installed: Depends: python3-new" in refusal(store, build(tmp_path))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Installed("", "not-installed", False), "no package edge-agent is installed"),
        (Installed("1.0.0", "half-configured", False), "the installed package is half-configured"),
    ],
)
def test_a_machine_that_is_not_ready_is_left_alone(
    store, tmp_path, monkeypatch, now: Installed, said: str
) -> None:
    monkeypatch.setattr(packages, "installed", lambda: now)
    assert said in refusal(store, build(tmp_path))


def test_a_damaged_installation_is_refused_before_anything(store, tmp_path, monkeypatch) -> None:
    def damaged(*_: Path) -> None:
        raise UpdateError("the installation is damaged", hint="reinstall")

    monkeypatch.setattr(staging, "repack", damaged)
    assert "is damaged" in refusal(store, build(tmp_path))


def test_a_disk_without_room_for_two_packages_is_refused(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(staging, "SPARE", 1 << 60)
    assert "MiB free" in refusal(store, build(tmp_path))


def test_the_room_for_the_copy_of_the_program_counts(store, tmp_path, monkeypatch) -> None:
    file = build(tmp_path)
    assert stage(store, file, force=False) is not None
    store.clear(keep=[])
    monkeypatch.setattr(program, "size", lambda _: 1 << 60)
    assert "MiB free" in refusal(store, file)


def test_a_program_that_no_package_has_installed_is_not_updated(store, tmp_path, monkeypatch) -> None:
    """A checkout cannot be copied to where the unit looks."""
    monkeypatch.undo()
    assert "is not the installed program" in refusal(store, build(tmp_path))


# --- the package of what is installed -----------------------------------------------------------


def remembered(store: Store, file: Path, version: str) -> Package:
    """An update to `file` that was kept."""
    package = Package(version=version, sha256=staging.sha256(file))
    store.path(package).write_bytes(file.read_bytes())
    store.finish(Result(update=order(), ended_s=0, installed=package, previous=None))
    return package


def test_the_package_of_the_last_update_is_put_back_if_it_is_what_is_installed(store, tmp_path) -> None:
    kept = remembered(store, build(tmp_path, "1.0.0"), "1.0.0")
    staged = stage(store, build(tmp_path), force=False)
    assert staged is not None and staged.old == kept


def test_else_it_is_made_again(store, tmp_path, monkeypatch) -> None:
    """Another content under the same version, another version, a file that changed on the disk."""
    kept = remembered(store, build(tmp_path, "1.0.0"), "1.0.0")
    new = build(tmp_path)

    def is_made_again() -> bool:
        staged = stage(store, new, force=False)
        return staged is not None and staged.old != kept

    assert not is_made_again()
    monkeypatch.setattr(packages, "installed_control", lambda _: "other sums\n")
    assert is_made_again()
    monkeypatch.setattr(packages, "installed_control", lambda _: "1.0.0\n")
    monkeypatch.setattr(packages, "installed", lambda: Installed("1.0.1", "installed", True))
    assert is_made_again()
    monkeypatch.setattr(packages, "installed", lambda: Installed("1.0.0", "installed", True))
    store.path(kept).write_bytes(b"rotten")
    assert is_made_again()


def test_going_back_takes_the_file_that_is_kept(store, tmp_path) -> None:
    """The file to install then lies in the folder that is tidied."""
    kept = remembered(store, build(tmp_path, "0.9.0"), "0.9.0")
    staged = stage(store, store.path(kept), force=False)
    assert staged is not None and staged.new == kept
    assert store.path(kept).exists()
