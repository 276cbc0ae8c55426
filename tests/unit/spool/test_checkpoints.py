"""Two files written in turn: whatever happens to one, the newest whole one counts."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.values import EncodedRecord
from edge_agent.spool import Limits, Spool
from edge_agent.spool.checkpoints import MAX_BYTES, NAMES, Checkpoints
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from edge_agent.spool.files import OsFiles
from edge_agent.spool.survey import Survey
from tests.unit.spool.rig import ROOT, commit, epoch, open_spool, record

ONE, TWO, THREE = b"one" * 1000, b"two" * 3000, b"three"


def kept(files: FakeFiles) -> tuple[bytes | None, bool]:
    found = Checkpoints(files, ROOT)
    return found.load(), found.damaged


def test_the_last_one_stored_is_found_and_the_other_file_is_the_next_to_be_written():
    files = FakeFiles()
    for run in (ONE, TWO, THREE, b""):
        store = Checkpoints(files, ROOT)
        store.load()
        store.store(run)
        assert kept(files) == (run, False)
    assert {path.name for path in files.paths()} == set(NAMES)


def test_more_than_any_run_would_read_is_refused_and_the_last_one_still_counts():
    files = FakeFiles()
    store = Checkpoints(files, ROOT)
    store.store(ONE)
    with pytest.raises(OSError, match="more open windows"):
        store.store(bytes(MAX_BYTES))
    assert kept(files) == (ONE, False)
    largest = bytes(MAX_BYTES - 20)
    store.store(largest)
    assert kept(files) == (largest, False)


def test_nothing_is_no_damage():
    assert kept(FakeFiles()) == (None, False)


def test_a_power_cut_at_every_operation_of_a_store_leaves_the_old_or_the_new(seed: int):
    for cut_at in range(1, 12):
        for trial in range(20):
            files = FakeFiles(seed=seed + trial)
            store = Checkpoints(files, ROOT)
            store.store(ONE)
            store.store(TWO)
            files.cut_at = files.operations + cut_at
            try:
                store.store(THREE)
                allowed: tuple[bytes, ...] = (THREE,)
            except PowerCut:
                allowed = (TWO, THREE)
            files.crash()
            found, damaged = kept(files)
            assert found in allowed and not damaged


@pytest.mark.parametrize("operation", ["open", "write_at", "sync", "sync_dir"])
def test_a_store_that_failed_is_said_and_the_one_before_it_still_counts(operation: str):
    files = FakeFiles()
    Checkpoints(files, ROOT).store(ONE)
    store = Checkpoints(files, ROOT)
    store.load()
    files.fail = lambda done, _path: errno.EIO if done == operation else 0
    with pytest.raises(OSError, match="injected"):
        store.store(TWO)
    files.fail = lambda _operation, _path: 0
    assert kept(files)[0] in (ONE, TWO)
    store.store(THREE)
    assert kept(files) == (THREE, False)


def test_every_flipped_bit_costs_at_most_one_checkpoint():
    for bit in range(0, 200 * 8, 7):
        files = FakeFiles()
        store = Checkpoints(files, ROOT)
        store.store(ONE)
        store.store(b"new" * 60)
        files.flip(ROOT / NAMES[1], bit)
        found, damaged = kept(files)
        # Behind the content there is only padding.
        assert found == (ONE if bit < (16 + 180 + 4) * 8 else b"new" * 60)
        assert not damaged


def test_with_both_files_damaged_or_unreadable_there_is_none_and_it_is_said():
    files = FakeFiles()
    Checkpoints(files, ROOT).store(ONE)
    files.flip(ROOT / NAMES[0], 400)
    assert kept(files) == (None, True)
    files.fail = lambda operation, _path: errno.EIO if operation == "read" else 0
    assert kept(files) == (None, True)


def test_a_length_beyond_the_file_is_no_checkpoint():
    files = FakeFiles()
    Checkpoints(files, ROOT).store(ONE)
    files._names[ROOT / NAMES[0]].data[12:16] = b"\xff\xff\xff\xff"
    assert kept(files) == (None, True)


def test_on_a_real_file_system_it_is_the_same(tmp_path: Path):
    for content in (ONE, TWO, THREE):
        store = Checkpoints(OsFiles(), tmp_path)
        store.load()
        store.store(content)
    assert Checkpoints(OsFiles(), tmp_path).load() == THREE


def test_files_removed_under_our_hands_are_made_again(tmp_path: Path):
    store = Checkpoints(OsFiles(), tmp_path)
    store.store(ONE)
    for name in NAMES:
        (tmp_path / name).unlink(missing_ok=True)
    store.store(TWO)
    assert Checkpoints(OsFiles(), tmp_path).load() == TWO


# --- as the spool's ----------------------------------------------------------------------------------


def test_what_is_kept_in_one_run_is_found_by_the_next():
    files = FakeFiles()
    spool = open_spool(files)
    assert spool.windows is None and spool.keeps_windows
    spool.keep_windows(ONE)
    spool.close(MonoNs(0))
    again = open_spool(files, 2)
    assert again.windows == ONE and not again.windows_damaged


def test_what_is_no_file_under_its_name_is_set_aside(tmp_path: Path):
    (tmp_path / NAMES[0]).mkdir(parents=True)
    spool = Spool(tmp_path, epoch(1), limits=Limits(min_free_bytes=0), counters=Counters())
    spool.keep_windows(ONE)
    assert spool.keeps_windows
    spool.close(MonoNs(0))


def test_a_disk_that_does_not_take_them_is_a_problem_and_the_next_attempt_may_succeed():
    files = FakeFiles()
    spool = open_spool(files)
    files.fail = lambda _operation, path: errno.EIO if path.name in NAMES else 0
    spool.keep_windows(ONE)
    assert not spool.keeps_windows
    assert "checkpoint" in spool.stats().problem
    files.fail = lambda _operation, _path: 0
    spool.keep_windows(TWO)
    assert spool.keeps_windows


def test_what_must_be_durable_first_is_not_sendable_before_nor_is_what_follows_it():
    spool = open_spool()
    spool.append([record(1, "summary"), first(2), record(3, "summary")])
    assert [spool.last_seq("summary"), spool.tail("summary")] == [1, 4]
    commit(spool)
    assert spool.last_seq("summary") == 3
    spool.append([first(4)])
    assert spool.last_seq("summary") == 3
    spool.commit(MonoNs(0), ("summary",))
    assert spool.last_seq("summary") == 4


def test_without_a_disk_it_is_sent_all_the_same():
    files = FakeFiles()
    spool = open_spool(files)
    files.fail = lambda operation, _path: errno.EIO if operation in ("sync", "create", "write") else 0
    spool.append([first(1)])
    commit(spool)
    assert spool.stats().memory_only
    assert spool.last_seq("summary") == 1


def first(seq: int) -> EncodedRecord:

    return replace(record(seq, "summary"), durable_first=True)


def test_a_survey_says_that_no_checkpoint_is_whole():
    files = FakeFiles()
    Checkpoints(files, ROOT).store(ONE)
    surveyed = [Survey(files, ROOT), Survey(files, ROOT)]
    surveyed[0].state_files()
    files.flip(ROOT / NAMES[0], 400)
    surveyed[1].state_files()
    assert [[one.path.name for one in survey.damage] for survey in surveyed] == [[], ["windows-0"]]


def test_nothing_of_a_run_outlives_a_power_cut_that_its_start_did_not():
    """Also where a stream begins a second file, and syncs its first for that, in the same breath."""
    survived = 0
    for cut_at in range(1, 60):
        files = FakeFiles(seed=cut_at)
        commit(before := open_spool(files))
        before.close(MonoNs(0))
        files.cut_at = files.operations + cut_at
        with contextlib.suppress(PowerCut):
            spool = open_spool(files, 2)
            start = replace(record(1, "event", number=2), durable_first=True)
            rows = [record(seq, "summary", number=2, dictionary=bytes([seq]) * 8) for seq in (1, 2, 3)]
            spool.append([start, *rows])
            commit(spool, 1)
        files.crash()
        last = open_spool(files, 3).recovery.last
        if last.get("summary"):
            survived += 1
            assert last["event"] == 1, cut_at
    assert survived
