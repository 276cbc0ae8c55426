"""The spool on fake files: order, acks, limits, failures, and what the next run finds."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge_agent.errors import SpoolError
from edge_agent.model import MonoNs, WallNs
from edge_agent.records.values import Kind, Loss, Mark
from edge_agent.spool import Stretch
from edge_agent.spool import segment as seg
from edge_agent.spool.fake_files import FakeFiles
from edge_agent.spool.files import OsFiles
from tests.unit.spool.rig import ROOT, T0, commit, content_end, drain, epoch, lost, open_spool, record, seqs


def test_records_are_read_before_and_after_they_are_durable() -> None:
    spool = open_spool()
    spool.append([record(seq) for seq in range(1, 11)])
    assert seqs(spool) == list(range(1, 11))
    commit(spool)
    assert seqs(spool) == list(range(1, 11))
    spool.append([record(11)])
    assert seqs(spool) == list(range(1, 12))


def test_acknowledged_records_are_not_read_again_and_leave_ranges() -> None:
    spool = open_spool()
    spool.append([record(seq) for seq in range(1, 11)])
    commit(spool)
    spool.ack("sample", [1, 2, 5, 10, 99])
    assert seqs(spool) == [3, 4, 6, 7, 8, 9]
    assert spool.unacked("sample") == [Stretch(epoch(1), 0, 3, 4), Stretch(epoch(1), 0, 6, 9)]
    assert spool.read_one(epoch(1), "sample", 5) is None
    assert spool.read_one(epoch(1), "sample", 6) == record(6).data
    assert spool.stats().unacked["sample"] == 6


def test_reading_is_bounded_by_end_count_and_bytes() -> None:
    spool = open_spool()
    spool.append([record(seq, size=1000) for seq in range(1, 31)])
    for _ in range(2):
        assert [r.seq for r in spool.read("sample", 5, end=8)] == [5, 6, 7]
        assert len(spool.read("sample", 1, max_records=3)) == 3
        assert len(spool.read("sample", 1, max_bytes=4000)) in (3, 4)
        assert len(spool.read("sample", 1, max_bytes=1)) == 1
        commit(spool)


def test_tail_tells_live_from_backlog() -> None:
    spool = open_spool()
    spool.append([record(1), record(2)])
    tail = spool.tail("sample")
    spool.append([record(3)])
    assert [r.seq for r in spool.read("sample", tail)] == [3]
    assert [r.seq for r in spool.read("sample", 0, end=tail)] == [1, 2]
    assert spool.last_seq("sample") == 3


def test_a_killed_run_loses_nothing_it_appended_and_the_next_run_sends_it() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1), record(2), record(1, "alarm")])
    files.kill()
    spool = open_spool(files, 2)
    assert spool.recovery.epoch == epoch(1)
    assert spool.recovery.last == {"sample": 2, "summary": 0, "event": 0, "alarm": 1, "audit": 0}
    spool.append([record(1, number=2)])
    assert drain(spool, "sample") == [(epoch(1), 1), (epoch(1), 2), (epoch(2), 1)]


def test_a_power_cut_loses_nothing_that_was_committed() -> None:
    for seed in range(30):
        files = FakeFiles(seed)
        spool = open_spool(files)
        spool.append([record(seq) for seq in range(1, 51)])
        commit(spool)
        spool.append([record(seq) for seq in range(51, 100)])
        files.crash()
        spool = open_spool(files, 2)
        found = seqs(spool)
        assert found[:50] == list(range(1, 51))
        # Behind the commit anything may be there; what is missing in between is declared.
        gone = {seq for _, _, seq in lost(spool.take_losses())}
        assert sorted({*found, *gone}) == list(range(1, max(found) + 1))
        assert spool.recovery.last["sample"] == max(found)


def test_acks_survive_as_a_hint_and_a_lost_hint_only_sends_again() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(seq) for seq in range(1, 11)])
    spool.ack("sample", [1, 2, 3])
    commit(spool)
    files.kill()
    assert seqs(open_spool(files, 2)) == list(range(4, 11))
    files.kill()
    files.unlink(ROOT / "cursors")
    assert seqs(open_spool(files, 3)) == list(range(1, 11))


def test_a_hint_that_is_ahead_of_the_data_skips_nothing() -> None:
    files = FakeFiles(1)
    spool = open_spool(files)
    spool.append([record(seq) for seq in range(1, 6)])
    commit(spool)
    spool.append([record(seq) for seq in range(6, 31)])
    spool.ack("sample", range(1, 31))
    # The cursors reach the disk, the records they speak of do not.
    spool._save_cursors(sync=True)
    files.crash()
    spool = open_spool(files, 2)
    spool.append([record(seq, number=2) for seq in range(1, 41)])
    commit(spool)
    files.kill()
    assert [seq for which, seq in drain(open_spool(files, 3), "sample") if which == epoch(2)] == list(
        range(1, 41)
    )


@pytest.mark.parametrize("content", [b"", b"\0" * 40000, b"EASL" + b"\xff" * 40000])
def test_a_damaged_hint_is_no_hint(content: bytes) -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1)])
    commit(spool)
    files.kill()
    files._names[ROOT / "cursors"].data[:] = content
    files._names[ROOT / "losses"].data[:] = content
    assert seqs(open_spool(files, 2)) == [1]


def test_segments_roll_are_deleted_when_acknowledged_and_the_newest_stays() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=2 << 20)
    for seq in range(1, 1001):
        spool.append([record(seq, size=1000)])
    commit(spool)
    assert sum(path.suffix == ".seg" for path in files.paths()) > 5
    assert seqs(spool, ack=True) == list(range(1, 1001))
    commit(spool)
    assert sum(path.suffix == ".seg" for path in files.paths()) == 1
    files.kill()
    spool = open_spool(files, 2)
    assert spool.recovery.last["sample"] == 1000
    assert seqs(spool) == []


def test_beyond_the_limit_the_oldest_of_the_lowest_class_goes_and_is_declared() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=1 << 20)
    spool.append([record(1, "alarm"), record(1, "event"), record(1, "summary")])
    for seq in range(1, 2001):
        spool.append([record(seq, size=1000)])
    commit(spool)
    losses = spool.take_losses()
    assert {loss.reason for loss in losses} == {"evicted"}
    assert {loss.stream for loss in losses} == {"sample"}
    assert losses[0].t0 == T0 + 1
    found = seqs(spool)
    gone = {seq for _, _, seq in lost(losses)}
    assert gone.isdisjoint(found)
    assert sorted({*found, *gone}) == list(range(1, 2001))
    assert spool.stats().bytes_used <= 1 << 20
    assert [seqs(spool, s) for s in ("alarm", "event", "summary")] == [[1], [1], [1]]


def test_acknowledged_segments_between_others_go_first_and_silently() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=1 << 20)
    for seq in range(1, 901):
        spool.append([record(seq, size=1000)])
    commit(spool)
    spool.ack("sample", range(100, 901))
    for seq in range(901, 1500):
        spool.append([record(seq, size=1000)])
    commit(spool)
    assert spool.take_losses() == []
    assert any(path.suffix == ".gone" for path in files.paths())
    assert seqs(spool) == [*range(1, 100), *range(901, 1500)]
    files.kill()
    spool = open_spool(files, 2, max_bytes=1 << 20)
    assert seqs(spool) == [*range(1, 100), *range(901, 1500)]
    assert spool.take_losses() == []


def test_summaries_outlive_samples_and_events_outlive_both() -> None:
    spool = open_spool(max_bytes=1 << 20)
    for seq in range(1, 301):
        spool.append([record(seq, size=1000), record(seq, "event", size=1000)])
    for seq in range(1, 901):
        spool.append([record(seq, "summary", size=1000)])
    commit(spool)
    losses = spool.take_losses()
    assert {loss.stream for loss in losses} == {"sample", "summary"}
    assert seqs(spool, "event") == list(range(1, 301))


def test_a_loss_is_declared_again_by_the_next_run_unless_its_gap_is_durable() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=1 << 20)
    for seq in range(1, 1200):
        spool.append([record(seq, size=1000)])
    commit(spool)
    losses = spool.take_losses()
    assert len(losses) >= 2
    spool.append([record(1, "event", declares=losses[0])])
    commit(spool)
    since = spool.take_losses()
    files.kill()
    again = open_spool(files, 2).take_losses()
    assert losses[0] not in again
    assert set(again) == {*losses[1:], *since}


@pytest.mark.parametrize("max_bytes", [0, 1000, 64 << 10])
@pytest.mark.parametrize("birth", [100, 16_000])
def test_a_limit_too_small_for_a_segment_still_keeps_the_newest_records(max_bytes: int, birth: int) -> None:
    spool = open_spool(max_bytes=max_bytes)
    for part in range(1, 31):
        spool.append([record(part, "event", kind=Kind.BIRTH, size=birth, dictionary=b"d" * 8)])
    for seq in range(1, 1001):
        spool.append([record(seq, size=1000), record(seq, "alarm", size=50)])
    commit(spool)
    found, gone = seqs(spool), {seq for _, stream, seq in lost(spool.take_losses()) if stream == "sample"}
    assert len(found) >= 10
    assert sorted([*found, *gone]) == list(range(1, 1001))
    assert spool.stats().bytes_used <= spool.stats().max_bytes


def test_low_space_on_the_file_system_gives_up_old_segments() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=2 << 20, min_free_bytes=1000)
    for seq in range(1, 501):
        spool.append([record(seq, size=1000)])
    files.free_now = 10
    commit(spool)
    assert spool.take_losses() != []
    files.free_now = 5000
    commit(spool)
    assert spool.take_losses() == []


def test_a_full_disk_evicts_and_goes_on() -> None:
    files = FakeFiles(capacity=600_000)
    spool = open_spool(files, max_bytes=2 << 20)
    spool.append([record(1, "alarm")])
    for seq in range(1, 1501):
        spool.append([record(seq, size=1000)])
        if seq % 10 == 0:
            commit(spool)
    assert not spool.stats().memory_only
    gone = {seq for _, _, seq in lost(spool.take_losses())}
    found = seqs(spool)
    assert len(found) > 200
    assert sorted({*found, *gone}) == list(range(1, 1501))
    assert seqs(spool, "alarm") == [1]


def test_a_problem_is_over_after_an_interval_in_which_nothing_failed() -> None:
    files = FakeFiles(capacity=300_000)
    spool = open_spool(files, max_bytes=2 << 20)
    problems = []
    for seq in range(1, 1001):
        spool.append([record(seq, size=1000)])
        commit(spool)
        problems.append(spool.stats().problem)
    assert "write: no space" in problems
    commit(spool)
    commit(spool)
    assert spool.stats().problem == ""
    assert not spool.stats().memory_only


def test_the_first_cause_is_kept_until_it_is_over() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    files.fail = lambda op, _path: errno.EROFS if op != "read" else 0
    spool.append([record(1)])
    first = spool.stats().problem
    assert first
    for second in range(1, 4):
        spool.ack("sample", [second])
        commit(spool, second)
        assert spool.stats().problem == first
    files.fail = lambda _op, _path: 0
    for second in range(10, 20, 5):
        commit(spool, second)
    assert spool.stats().problem == ""


@pytest.mark.parametrize("operation", ["write_at", "sync", "create", "sync_dir"])
def test_one_io_error_costs_nothing(operation: str) -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(seq) for seq in range(1, 6)])
    commit(spool)
    failures = [errno.EIO]
    files.fail = lambda op, path: failures.pop() if op == operation and path.suffix != "" and failures else 0
    if operation == "sync_dir":
        files.fail = lambda op, _path: failures.pop() if op == operation and failures else 0
    if operation in ("create", "sync_dir"):
        spool.append([record(1, "summary")])
    spool.append([record(seq) for seq in range(6, 11)])
    commit(spool)
    assert not failures
    assert not spool.stats().memory_only
    files.crash()
    spool = open_spool(files, 2)
    assert seqs(spool) == list(range(1, 11))
    assert spool.take_losses() == []


def test_a_descriptor_whose_sync_failed_is_never_synced_again() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1)])
    synced: list[int] = []
    failed: list[int] = []
    real = files.sync

    def sync(fd: int) -> None:
        assert fd not in failed
        synced.append(fd)
        if len(synced) == 1:
            failed.append(fd)
            raise OSError(errno.EIO, "injected")
        real(fd)

    files.sync = sync  # type: ignore[method-assign]
    commit(spool)
    commit(spool)
    spool.append([record(2)])
    commit(spool)
    assert failed
    files.crash()
    assert seqs(open_spool(files, 2)) == [1, 2]


def test_without_a_disk_the_spool_lives_in_memory_and_comes_back() -> None:
    files = FakeFiles()
    spool = open_spool(files, memory_bytes=20_000)
    spool.append([record(1)])
    commit(spool)
    files.fail = lambda op, _path: errno.EROFS if op not in ("read", "free_bytes", "list_dir") else 0
    for seq in range(2, 301):
        spool.append([record(seq)])
    spool.append([record(1, "alarm")])
    commit(spool, 1)
    stats = spool.stats()
    assert stats.memory_only
    assert "Read-only" in stats.problem or "injected" in stats.problem
    losses = spool.take_losses()
    assert {loss.reason for loss in losses} == {"memory"}
    kept = seqs(spool)
    assert seqs(spool, "alarm") == [1]
    assert sorted({*kept, *(seq for _, _, seq in lost(losses))}) == list(range(1, 301))
    files.fail = lambda _op, _path: 0
    commit(spool, 2)
    assert spool.stats().memory_only
    commit(spool, 10)
    assert not spool.stats().memory_only
    files.kill()
    spool = open_spool(files, 2)
    assert seqs(spool) == kept
    # What memory could not hold was declared, and a frame says so: it is not taken for damage.
    assert {loss.reason for loss in spool.take_losses()} <= {"memory"}


def test_a_disk_that_cannot_be_written_at_start_means_memory_not_failure() -> None:
    files = FakeFiles()
    files.fail = lambda op, _path: errno.EACCES if op not in ("read", "list_dir") else 0
    spool = open_spool(files)
    spool.append([record(1), record(1, "alarm")])
    commit(spool)
    assert spool.stats().memory_only
    assert spool.recovery.epoch == b""
    assert seqs(spool) == [1]


def test_a_second_process_is_told_who_has_the_spool(tmp_path: Path) -> None:
    spool = open_spool(OsFiles(), path=tmp_path)
    with pytest.raises(SpoolError, match=f"process {os.getpid()}"):
        open_spool(OsFiles(), 2, path=tmp_path)
    commit(spool)
    spool.close(MonoNs(0))
    open_spool(OsFiles(), 2, path=tmp_path).close(MonoNs(0))


def test_a_disk_without_room_for_the_owner_of_the_lock_shuts_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is had before its owner is written into it."""
    files = OsFiles()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        held = files.lock(tmp_path / "lock", "1")
    assert held is not None
    assert files.lock(tmp_path / "lock", "1") is None
    files.close(held)
    again = files.lock(tmp_path / "lock", "1")
    assert again is not None
    files.close(again)


def test_a_path_that_is_a_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("")
    with pytest.raises(SpoolError, match="hint"):
        open_spool(OsFiles(), path=tmp_path / "spool")


def test_start_knows_how_far_the_run_before_observed() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1, "event", kind=Kind.START), record(1), record(1, "summary")])
    spool.append([Mark("sample", epoch(1), WallNs(T0 + 777))])
    files.kill()
    recovery = open_spool(files, 2).recovery
    assert recovery.certain == {"sample": T0 + 777, "summary": T0 + 1}
    assert recovery.certain_until == T0 + 1
    assert not recovery.clean


@pytest.mark.parametrize("header", [False, True])
def test_of_a_stream_of_which_nothing_whole_is_left_all_is_uncertain(*, header: bool) -> None:
    """Else nobody would declare what its frames held: which records there were is not known either."""
    files = FakeFiles()
    spool = open_spool(files)
    start = record(1, "event", kind=Kind.START)
    spool.append([start, record(1), record(5, "summary"), record(6, "summary")])
    commit(spool)
    files.kill()
    (path,) = (path for path in files.paths() if path.parent.name == "summary" and path.suffix == ".seg")
    for byte in range(0 if header else seg.HEADER_BYTES, content_end(files, path), 8):
        files.flip(path, 8 * byte)
    recovery = open_spool(files, 2).recovery
    assert recovery.certain == {"sample": T0 + 1, "summary": start.t0_ns}
    assert recovery.certain_until == start.t0_ns
    assert recovery.last["summary"] == 0


def test_stop_makes_a_clean_end() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1, "event", kind=Kind.START), record(2, "event", kind=Kind.STOP)])
    files.kill()
    assert open_spool(files, 2).recovery.clean


def test_a_quiet_stream_rolls_its_marks_too() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=2 << 20)
    spool.append([record(1)])
    for second in range(2100):
        spool.append([Mark("sample", epoch(1), WallNs(T0 + second))])
    commit(spool)
    spool.ack("sample", [1])
    commit(spool)
    assert sum(path.suffix == ".seg" for path in files.paths()) == 1
    files.kill()
    assert open_spool(files, 2).recovery.certain["sample"] == T0 + 2099


def test_births_are_kept_while_a_record_refers_to_them() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    old, new = b"o" * 8, b"n" * 8
    spool.append([record(1, "event", kind=Kind.BIRTH, dictionary=old), record(1, dictionary=old)])
    commit(spool)
    spool.append([record(2, "event", kind=Kind.BIRTH, dictionary=new), record(2, dictionary=new)])
    commit(spool)
    assert [(birth.dict_hash, birth.current) for birth in spool.births()] == [(old, False), (new, True)]
    files.kill()
    spool = open_spool(files, 2)
    assert {birth.dict_hash for birth in spool.births()} == {old, new}
    spool.append([record(1, "event", number=2, kind=Kind.BIRTH, dictionary=new)])
    spool.append([record(1, number=2, dictionary=new)])
    for stream in ("sample", "event"):
        drain(spool, stream)
    commit(spool)
    births = spool.births()
    assert [(birth.dict_hash, birth.current) for birth in births] == [(new, True)]
    assert births[0].records == (record(1, "event", number=2, kind=Kind.BIRTH).data,)


def test_dropped_seqs_are_not_taken_for_damage_after_a_restart() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(1), record(5), record(9)])
    commit(spool)
    assert seqs(spool) == [1, 5, 9]
    files.kill()
    spool = open_spool(files, 2)
    assert seqs(spool) == [1, 5, 9]
    assert spool.take_losses() == []
    assert [stretch.last for stretch in spool.unacked("sample")] == [1, 5, 9]


def test_a_loss_noted_before_the_spool_is_kept_until_declared() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    loss = Loss(epoch(1), "sample", 3, 9, 7, "overflow", None, None)
    spool.note_losses([loss])
    files.crash()
    assert open_spool(files, 2).take_losses() == [loss]


def test_a_gap_record_that_is_given_up_hands_its_loss_back() -> None:
    files = FakeFiles(capacity=400_000)
    spool = open_spool(files, max_bytes=2 << 20)
    loss = Loss(epoch(9), "sample", 3, 9, 7, "corrupt", None, None)
    spool.append([record(1, "event", declares=loss)])
    spool.append([record(seq, "event", size=1000) for seq in range(2, 200)])
    commit(spool)
    for seq in range(1, 500):
        spool.append([record(seq, "alarm", size=1000)])
        commit(spool)
    losses = spool.take_losses()
    assert (epoch(1), "event", 1) in lost(losses)
    assert loss in losses
