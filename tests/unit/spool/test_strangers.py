"""What is no file of ours under the name of one, on the real file system: set aside, never opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.spool import Limits, Spool
from edge_agent.spool.files import Node, OsFiles
from tests.unit.spool.rig import commit, drain, epoch, open_spool, record, seqs

SEGMENT = f"{5:020d}-1-{'a' * 16}.seg"


def _link(path: Path) -> None:
    target = path.parents[2] / "target"
    target.write_text("not ours")
    path.symlink_to(target)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("not ours")


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


STRANGERS: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "folder": _folder,
    "link": _link,
    "dangling": lambda path: path.symlink_to("nowhere"),
}
PLACES = [
    f"sample/{SEGMENT}", f"event/{SEGMENT.replace('.seg', '.gone')}", f"births/{'0' * 16}",
    "births/x.new", "lock", "cursors", "losses",
]  # fmt: skip


@pytest.fixture
def used(tmp_path: Path) -> Path:
    path = tmp_path / "a" / "spool"
    spool = open_spool(OsFiles(), path=path)
    spool.append([record(1), record(1, "event")])
    spool.close(MonoNs(0))
    return path


def _open(path: Path, counters: Counters) -> Spool:
    return Spool(path, epoch(2), limits=Limits(min_free_bytes=0), counters=counters)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_is_set_aside_and_counted_and_the_spool_is_on_disk(
    used: Path, place: str, kind: str
) -> None:
    (used / place).unlink(missing_ok=True)
    (used / place).parent.mkdir(exist_ok=True)
    STRANGERS[kind](used / place)
    counters = Counters()
    spool = _open(used, counters)
    spool.append([record(1, number=2)])
    commit(spool)
    stats = spool.stats()
    assert (stats.memory_only, stats.problem) == (False, "")
    assert drain(spool, "sample") == [(epoch(1), 1), (epoch(2), 1)]
    assert counters.snapshot()["spool_quarantined"] == 1
    assert len(list((used / "quarantine").iterdir())) == 1
    assert not (target := used.parent / "target").exists() or target.read_text() == "not ours"
    spool.close(MonoNs(0))


@pytest.mark.parametrize("place", ["sample", "births"])
def test_a_file_in_the_place_of_a_folder_is_set_aside(used: Path, place: str) -> None:
    for file in (used / place).iterdir():
        file.unlink()
    (used / place).rmdir()
    os.mkfifo(used / place)
    spool = open_spool(OsFiles(), 2, path=used)
    spool.append([record(1, number=2)])
    commit(spool)
    assert not spool.stats().memory_only
    assert seqs(spool) in ([1], [1, 1])
    spool.close(MonoNs(0))


def test_a_stream_kept_elsewhere_by_a_link_is_used(used: Path, tmp_path: Path) -> None:
    (used / "sample").rename(tmp_path / "elsewhere")
    (used / "sample").symlink_to(tmp_path / "elsewhere")
    spool = open_spool(OsFiles(), 2, path=used)
    assert seqs(spool) == [1]
    spool.close(MonoNs(0))


def test_a_file_too_large_to_be_ours_is_not_brought_into_memory(used: Path) -> None:
    _sparse(used / "sample" / SEGMENT)
    _sparse(used / "births" / ("0" * 16))
    spool = open_spool(OsFiles(), 2, path=used)
    assert seqs(spool) == [1]
    assert not (used / "births" / ("0" * 16)).exists()
    spool.close(MonoNs(0))


def test_folders_in_quarantine_are_not_removed_and_it_stays_bounded(used: Path) -> None:
    for number in range(40):
        _folder(used / "sample" / f"{number}.seg")
    spool = open_spool(OsFiles(), 2, path=used)
    assert len(list((used / "quarantine").iterdir())) == 16
    assert sum(path.is_dir() for path in (used / "sample").iterdir()) == 24
    assert seqs(spool) == [1]
    assert not spool.stats().memory_only
    spool.close(MonoNs(0))


def test_no_operation_opens_a_fifo_or_follows_a_link(tmp_path: Path) -> None:
    files = OsFiles()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("file")
    for name in ("fifo", "link"):
        path = tmp_path / name
        assert files.node(path) is Node.OTHER
        for call in (files.read, files.empty, files.open_slots, files.create):
            with pytest.raises(OSError, match=name):
                call(path)
        with pytest.raises(OSError, match=name):
            files.lock(path, "me")
    assert (tmp_path / "file").read_text() == "kept"
