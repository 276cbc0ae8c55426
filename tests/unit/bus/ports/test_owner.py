"""Who has a device open, by what /proc says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.bus.ports import owner

DEVICE = "/dev/null"


@pytest.fixture
def holder(tmp_path):
    """Process 4711 of a /proc in a folder, with the device open."""
    process = tmp_path / "4711"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to(DEVICE)
    (process / "comm").write_text("socat\n")
    return process


def named(proc: Path, path: str = DEVICE) -> list[tuple[int, str]]:
    return owner.others(path, proc)


def test_a_device_is_known_by_another_name_too(holder, tmp_path):
    (tmp_path / "adapter").symlink_to(DEVICE)
    assert named(tmp_path, str(tmp_path / "adapter")) == [(4711, "socat")]
    assert named(tmp_path, "/dev/zero") == []


@pytest.mark.parametrize("name", [b"\x1b[2J\n\x07evil\n", b"evil\xff\n"])
def test_a_holder_that_calls_itself_anything_cannot_drive_the_terminal(holder, tmp_path, name):
    (holder / "comm").write_bytes(name)
    ((pid, shown),) = named(tmp_path)
    assert pid == 4711
    assert shown.isprintable() and "evil" in shown


def test_a_pseudo_terminal_of_another_container_is_not_ours_for_having_its_name(
    holder, tmp_path, monkeypatch
):
    """The link says the same path, and leads to another file system."""
    monkeypatch.setattr(owner, "_is_pty", lambda status: True)
    assert named(tmp_path) == [(4711, "socat")]
    real = Path.stat

    def elsewhere(path: Path, **keys: bool) -> os.stat_result:
        found = real(path, **keys)
        if path.name != "3":
            return found
        changed = {"st_dev": found.st_dev + 1, "st_rdev": found.st_rdev}
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]), changed)

    monkeypatch.setattr(Path, "stat", elsewhere)
    assert named(tmp_path) == []


def test_a_port_that_is_gone_has_no_owner(tmp_path):
    assert named(tmp_path, str(tmp_path / "gone")) == []
