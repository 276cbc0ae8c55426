"""Files of the spool removed by others while it runs: noticed, gone on without, declared once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.errors import SpoolError
from edge_agent.model import MonoNs
from edge_agent.records.values import Kind
from edge_agent.spool import Spool
from edge_agent.spool.fake_files import FakeFiles
from edge_agent.spool.files import Files, OsFiles
from tests.unit.spool.rig import ROOT, T0, commit, epoch, lost, open_spool, record, seqs

HASH = b"h" * 8


def _filled(files: Files, path: Path = ROOT) -> Spool:
    """An earlier run's records, several segments of this one's, and some that are not durable."""
    spool = open_spool(files, path=path, max_bytes=2 << 20)
    spool.append([record(seq, size=1000) for seq in range(1, 201)])
    spool.close(MonoNs(0))
    spool = open_spool(files, 2, path=path, max_bytes=2 << 20)
    spool.append([record(1, "event", number=2, kind=Kind.BIRTH, dictionary=HASH)])
    spool.append([record(seq, number=2, size=1000, dictionary=HASH) for seq in range(1, 201)])
    commit(spool)
    spool.append([record(seq, number=2, size=1000, dictionary=HASH) for seq in range(201, 211)])
    return spool


def _check_it_goes_on(spool: Spool, files: Files, path: Path) -> None:
    commit(spool, 1)
    assert "removed" in spool.stats().problem
    assert not spool.stats().memory_only
    losses = spool.take_losses()
    assert [(x.epoch, x.stream, x.from_seq, x.to_seq, x.count) for x in losses] == [
        (epoch(1), "sample", 1, 200, 200), (epoch(2), "sample", 1, 200, 200), (epoch(2), "event", 1, 1, 1),
    ]  # fmt: skip
    assert (losses[1].t0, losses[1].t1) == (None, T0 + 210)
    spool.append([record(211, number=2, dictionary=HASH)])
    commit(spool, 2)
    commit(spool, 3)
    assert spool.stats().problem == ""
    assert seqs(spool) == list(range(201, 212))
    assert spool.take_losses() == []
    spool.append([record(2, "event", number=2, declares=losses[0])])
    spool.close(MonoNs(0))
    again = open_spool(files, 3, path=path)
    assert seqs(again) == list(range(201, 212))
    assert again.take_losses() == losses[1:]
    assert [birth.dict_hash for birth in again.births()] == [HASH]
    again.close(MonoNs(0))


def test_a_removed_directory_costs_what_only_it_held_and_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = _filled(OsFiles(), path)
    shutil.rmtree(path)
    _check_it_goes_on(spool, OsFiles(), path)


def test_a_directory_moved_away_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = _filled(OsFiles(), path)
    path.rename(tmp_path / "old")
    _check_it_goes_on(spool, OsFiles(), path)
    assert list((tmp_path / "old" / "sample").iterdir())


def test_files_removed_on_a_fake_disk_cost_what_only_they_held() -> None:
    files = FakeFiles()
    spool = _filled(files)
    for path in files.paths():
        files.unlink(path)
    _check_it_goes_on(spool, files, ROOT)


@pytest.mark.parametrize("order", [sorted, lambda names: sorted(names, reverse=True)])
def test_a_removal_that_is_not_over_yet_is_noticed_to_its_end(
    order: Callable[[list[Path]], list[Path]],
) -> None:
    """Whatever is looked at halfway, all there was is read or declared, once."""
    for half in range(1, 12):
        files = FakeFiles()
        spool = _filled(files)
        names = order(files.paths())
        for path in names[:half]:
            files.unlink(path)
        commit(spool, 1)
        for path in names[half:]:
            files.unlink(path)
        found = seqs(spool)
        for second in range(2, 5):
            commit(spool, second)
        losses = spool.take_losses()
        found = seqs(spool)
        gone = [key for loss in losses for key in lost([loss]) if key[:2] == (epoch(2), "sample")]
        assert len(gone) == len(set(gone))
        assert sorted([*found, *(key[2] for key in gone)]) == list(range(1, 211))
        assert not spool.stats().memory_only


def test_a_file_that_goes_between_two_looks_is_not_written_any_more() -> None:
    for at in range(12):
        files = FakeFiles()
        spool = _filled(files)
        files.unlink(ROOT / "lock")
        looks = [0]

        def look(
            operation: str, _path: Path, files: FakeFiles = files, at: int = at, looks: list[int] = looks
        ) -> int:
            looks[0] += operation in ("node", "is_at")
            if looks[0] == at:
                for path in [path for path in files.paths() if path.parent.name == "sample"]:
                    files._names.pop(path)
            return 0

        files.fail = look
        for second in range(1, 4):
            commit(spool, second)
        files.fail = lambda _operation, _path: 0
        spool.append([record(211, number=2)])
        assert seqs(spool)[-11:] == list(range(201, 212))
        assert not spool.stats().memory_only


def test_a_removed_lock_is_taken_again_and_costs_nothing(tmp_path: Path) -> None:
    spool = _filled(OsFiles(), tmp_path)
    (tmp_path / "lock").unlink()
    commit(spool, 1)
    with pytest.raises(SpoolError, match="in use"):
        open_spool(OsFiles(), 3, path=tmp_path)
    assert len(seqs(spool)) == 410
    assert spool.take_losses() == []
    spool.close(MonoNs(0))


def test_when_another_agent_has_the_directory_nothing_is_written_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = _filled(OsFiles(), path)
    shutil.rmtree(path)
    other = open_spool(OsFiles(), 7, path=path)
    before = sorted(path.rglob("*"))
    for second in range(1, 20):
        commit(spool, second)
    assert "another edge-agent uses it" in spool.stats().problem
    assert spool.stats().memory_only
    assert seqs(spool) == list(range(201, 211))
    spool.close(MonoNs(0))
    assert sorted(path.rglob("*")) == before
    other.close(MonoNs(0))


def test_a_removed_book_of_losses_is_written_again() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=1 << 20)
    spool.append([record(seq, size=1000) for seq in range(1, 1200)])
    commit(spool)
    losses = spool.take_losses()
    assert losses
    files.unlink(ROOT / "losses")
    files.unlink(ROOT / "cursors")
    commit(spool, 1)
    files.kill()
    assert open_spool(files, 2).take_losses() == losses


def test_a_reader_who_comes_first_declares_a_removed_file_once() -> None:
    files = FakeFiles()
    spool = _filled(files)
    for path in files.paths():
        files.unlink(path)
    assert seqs(spool) == list(range(201, 211))
    losses = spool.take_losses()
    assert len([x for x in losses if x.epoch == epoch(2)]) <= 5
    commit(spool, 1)
    losses += spool.take_losses()
    counted = [key for loss in losses for key in lost([loss])]
    assert len(counted) == len(set(counted)) == 401
