"""The spool when the power goes, the disk fails, or the process is killed, at every step."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.model import MonoNs, WallNs
from edge_agent.records.values import Kind, Loss, Mark
from edge_agent.spool import Spool
from edge_agent.spool import segment as seg
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from edge_agent.spool.files import OsFiles
from tests.unit.spool.rig import ROOT, T0, commit, content_end, drain, epoch, lost, open_spool, record, seqs

MAX_BYTES = 300_000
DICTIONARIES = (b"d" * 8, b"e" * 8)


class Run:
    """One run of a scripted workload, and what it may rely on afterwards."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.appended: set[tuple[bytes, str, int]] = set()
        self.durable: set[tuple[bytes, str, int]] = set()
        self.gaps: dict[tuple[bytes, str, int], Loss] = {}
        """What each GAP record declares."""
        self.sent: set[tuple[bytes, str, int]] = set()

    def work(self, files: FakeFiles) -> None:
        """Appends to all streams, commits, acknowledges, evicts, changes the dictionary."""
        spool = open_spool(files, self.number, max_bytes=MAX_BYTES)
        self._append(spool, 1, "event", kind=Kind.START)
        event = 1
        for turn in range(12):
            dictionary = DICTIONARIES[turn // 6]
            if turn in (0, 6):
                event += 1
                self._append(spool, event, "event", kind=Kind.BIRTH, dictionary=dictionary)
            for seq in range(turn * 10 + 1, turn * 10 + 11):
                self._append(spool, seq, "sample", size=4000, dictionary=dictionary)
            self._append(spool, turn + 1, "summary", dictionary=dictionary)
            if turn % 3 == 0:
                self._append(spool, turn // 3 + 1, "alarm")
                spool.commit(MonoNs(0), ("alarm",))
                self._synced(spool, "alarm")
            spool.append([Mark("sample", epoch(self.number), WallNs(T0 + turn * 10 + 10))])
            for loss in spool.take_losses():
                event += 1
                self._append(spool, event, "event", declares=loss)
            commit(spool, turn)
            self._synced(spool, "sample", "summary", "event", "alarm")
            for one in spool.read("sample", max_records=4):
                self.sent.add((one.epoch, "sample", one.seq))
                spool.ack("sample", [one.position])
        spool.close(MonoNs(0))

    def _append(
        self, spool: Spool, seq: int, stream: str, *, size: int = 100, kind: int = 0,
        dictionary: bytes = b"", declares: Loss | None = None,
    ) -> None:  # fmt: skip
        made = record(
            seq, stream, number=self.number, size=size, kind=kind, dictionary=dictionary, declares=declares
        )
        self.appended.add((made.epoch, stream, seq))
        spool.append([made])
        if declares:
            self.gaps[made.epoch, stream, seq] = declares

    def _synced(self, spool: Spool, *streams: str) -> None:
        if not spool.stats().memory_only:
            self.durable |= {key for key in self.appended if key[1] in streams}


def check_next_run(files: FakeFiles, runs: list[Run], number: int) -> None:
    """What every crash must leave: durable records are there, delivered or declared lost; nothing is
    there twice or altered; every dictionary that a stored record refers to has its birth."""
    spool = open_spool(files, number, max_bytes=MAX_BYTES)
    found = [(which, stream, seq) for stream in ("sample", "summary", "event", "alarm")
             for which, seq in drain(spool, stream, ack=False)]  # fmt: skip
    assert len(found) == len(set(found))
    declared = lost(spool.take_losses())
    sent = set().union(*(run.sent for run in runs))
    settled = lost([loss for run in runs for key, loss in run.gaps.items() if key in found])
    durable = set().union(*(run.durable for run in runs))
    assert set(found) <= set().union(*(run.appended for run in runs))
    if spool.recovery.epoch == epoch(number - 1):
        for stream, seq in spool.recovery.last.items():
            mine = {key for key in durable if key[:2] == (epoch(number - 1), stream)}
            assert all(key[2] <= seq for key in mine - declared - settled - sent)
    missing = durable - set(found) - declared - sent - settled
    assert not missing, sorted(missing)[:5]
    referred = {s.dict_hash for log in spool._logs.values() for s in log.segments} - {b"", None}
    assert referred <= {birth.dict_hash for birth in spool.births()}
    spool.close(MonoNs(0))


def operations_of_a_whole_run() -> int:
    files = FakeFiles()
    Run(1).work(files)
    return files.operations


def test_power_cut_at_every_kth_operation() -> None:
    total = operations_of_a_whole_run()
    assert total > 300
    for cut_at in range(1, total + 1, 3):
        files = FakeFiles(seed=cut_at)
        run = Run(1)
        files.cut_at = cut_at
        with pytest.raises(PowerCut):
            run.work(files)
        files.crash()
        check_next_run(files, [run], 2)


def test_two_power_cuts_in_a_row(seed: int) -> None:
    total = operations_of_a_whole_run()
    rng = random.Random(seed)
    for trial in range(40):
        files = FakeFiles(seed=seed + trial)
        runs = [Run(1), Run(2)]
        for run in runs:
            files.cut_at = files.operations + rng.randrange(1, total)
            with contextlib.suppress(PowerCut):
                run.work(files)
            files.crash()
        check_next_run(files, runs, 3)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_failure_of_every_kth_operation_loses_nothing(code: int) -> None:
    total = operations_of_a_whole_run()
    for at in range(1, total + 1, 5):
        files = FakeFiles(seed=at)
        seen = [0]

        def once(_operation: str, _path: Path, at: int = at, seen: list[int] = seen) -> int:
            seen[0] += 1
            return code if seen[0] == at else 0

        files.fail = once
        run = Run(1)
        run.work(files)
        files.fail = lambda _operation, _path: 0
        files.kill()
        check_next_run(files, [run], 2)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_from_the_kth_operation_on_stops_nothing(code: int) -> None:
    total = operations_of_a_whole_run()
    for at in range(1, total + 1, 13):
        files = FakeFiles(seed=at)
        seen = [0]

        def forever(operation: str, _path: Path, at: int = at, seen: list[int] = seen) -> int:
            seen[0] += 1
            return code if seen[0] >= at and operation not in ("read", "list_dir") else 0

        files.fail = forever
        Run(1).work(files)


# --- damage -------------------------------------------------------------------------------------------


def filled(files: FakeFiles, count: int = 150, *, used: bool = False) -> list[Path]:
    """Several segments of samples, all durable; their paths. With `used` they stand in files of other
    records, which were acknowledged."""
    spool = open_spool(files, max_bytes=2 << 20)
    first = 1
    if used:
        for first in (1, 601):
            # Of another size, so that they end elsewhere in their files.
            spool.append([record(seq, size=1300) for seq in range(first, first + 600)])
            spool.ack("sample", range(1, first + 600))
            commit(spool)
        first += 600
        assert len(spool._pool) >= 3
        # So that what follows begins a file.
        spool._logs["sample"].close()
    spool.append([record(seq, size=1000) for seq in range(first, first + count)])
    commit(spool)
    files.kill()
    return [path for path in files.paths() if path.suffix == ".seg"][-3:]


@pytest.mark.parametrize("at", ["frame", "page", "tail", "whole"])
def test_damage_in_a_file_that_was_used_before_costs_the_same(at: str, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        files = FakeFiles()
        # Not the first: a missing oldest file cannot be told from one that was given up.
        path = filled(files, used=True)[1]
        data, end = files._names[path].data, content_end(files, path)
        assert any(data[end:]), "nothing of the earlier segment is behind the content"
        place = rng.randrange(80, end)
        if at == "frame":
            files.flip(path, place * 8)
        elif at == "page":
            data[place : place + 4096] = bytes(len(data[place : place + 4096]))
        elif at == "tail":
            del data[place:]
        else:
            files.unlink(path)
        spool = open_spool(files, 2)
        found = [seq for seq in seqs(spool) if seq > 1200]
        gone = sorted(seq for _, _, seq in lost(spool.take_losses()) if seq > 1200)
        assert gone
        assert sorted(found + gone) == list(range(1201, 1351))


def test_every_flipped_bit_costs_exactly_one_declared_record(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        files = FakeFiles()
        paths = filled(files)
        assert len(paths) >= 3
        path = rng.choice(paths)
        files.flip(path, rng.randrange(80 * 8, content_end(files, path) * 8))
        spool = open_spool(files, 2)
        found = seqs(spool)
        gone = sorted(seq for _, _, seq in lost(spool.take_losses()))
        if len(found) == 149 and 150 not in found:
            # The very last record: no telling from a torn tail, START's last seq says it.
            assert spool.recovery.last["sample"] == 149
            continue
        assert len(gone) == 1
        assert sorted(found + gone) == list(range(1, 151))


def test_a_zeroed_page_is_one_declared_gap() -> None:
    files = FakeFiles()
    path = filled(files)[0]
    files._names[path].data[4096:8192] = bytes(4096)
    spool = open_spool(files, 2)
    found = seqs(spool)
    [loss] = spool.take_losses()
    assert loss.reason == "corrupt"
    assert loss.t0 == T0 + loss.from_seq - 1
    assert loss.t1 == T0 + loss.to_seq + 1
    assert 4 <= loss.count <= 6
    assert sorted({*found, *range(loss.from_seq, loss.to_seq + 1)}) == list(range(1, 151))


def test_a_destroyed_header_costs_nothing() -> None:
    files = FakeFiles()
    for path in filled(files):
        files._names[path].data[:40] = bytes(40)
    spool = open_spool(files, 2)
    assert seqs(spool) == list(range(1, 151))
    assert spool.take_losses() == []


def test_a_torn_tail_ends_the_stream_and_is_counted() -> None:
    for cut in (1, 30, 500, 1033):
        files = FakeFiles()
        path = filled(files)[-1]
        del files._names[path].data[content_end(files, path) - cut :]
        spool = open_spool(files, 2)
        assert seqs(spool) == list(range(1, 150))
        assert spool.take_losses() == []
        assert spool.recovery.last["sample"] == 149


def test_a_missing_segment_is_declared() -> None:
    files = FakeFiles()
    paths = filled(files)
    files.unlink(paths[1])
    spool = open_spool(files, 2)
    found = seqs(spool)
    gone = {seq for _, _, seq in lost(spool.take_losses())}
    assert gone
    assert sorted([*found, *gone]) == list(range(1, 151))


def test_swapped_and_duplicated_segments_deliver_every_record_once() -> None:
    files = FakeFiles()
    paths = filled(files)
    names = files._names
    names[paths[0]], names[paths[1]] = names[paths[1]], names[paths[0]]
    copy = paths[0].with_name(paths[2].name.replace("-", "-1", 1))
    names[copy] = names[paths[2]]
    names[ROOT / "alarm" / paths[0].name] = names[paths[0]]
    spool = open_spool(files, 2)
    assert seqs(spool) == list(range(1, 151))
    assert seqs(spool, "alarm") == []
    assert spool.take_losses() == []
    assert any(path.parent.name == "quarantine" for path in files.paths())


def test_garbage_files_stop_nothing_and_quarantine_is_bounded() -> None:
    files = FakeFiles()
    filled(files)
    for number in range(50):
        fd = files.create(ROOT / "sample" / f"garbage-{number}.seg")
        files.write(fd, os.urandom(100))
    spool = open_spool(files, 2)
    assert seqs(spool) == list(range(1, 151))
    assert sum(path.parent.name == "quarantine" for path in files.paths()) <= 16


@pytest.mark.parametrize(
    "name",
    [
        f"{'9' * 20}-99999-{'a' * 16}.seg",
        f"{'9' * 20}-1-{'a' * 16}.gone",
        f"{1:020d}-ffffffffffffffff-{'a' * 16}.seg",
        f"{0:020d}-0-{'a' * 16}.seg",
        f"{2**64 - 1:020d}-1-{'a' * 16}.seg",
    ],
)
def test_a_name_that_no_run_can_have_given_is_set_aside(name: str) -> None:
    files = FakeFiles()
    filled(files)
    files.close(files.create(ROOT / "sample" / name))
    spool = open_spool(files, 2)
    spool.append([record(1, number=2)])
    commit(spool)
    assert seqs(spool) == [*range(1, 151), 1]
    assert spool.take_losses() == []
    assert ROOT / "quarantine" / f"sample-{name}" in files.paths()


def test_a_segment_that_claims_the_last_position_of_all_does_not_stop_a_run() -> None:
    for position in (seg.MAX_NAMED, seg.MAX_POSITION, 2**63, 2**64 - 1):
        files = FakeFiles()
        identity = seg.Identity("sample", epoch(9), position, 1)
        fd = files.create(ROOT / "sample" / identity.name)
        files.write(fd, seg.encode_header(seg.Header(identity, bytes(8), 0, 0)))
        files.write(fd, seg.encode_frame(seg.Frame(2**64 - 1, Kind.SAMPLES, 0, 0), b"", identity.salt))
        files.write(fd, seg.encode_hole(1, 2**64 - 1, identity.salt))
        for number in (1, 2):
            spool = open_spool(files, number)
            spool.append([record(1, number=number)])
            commit(spool)
            assert (epoch(number), 1) in drain(spool, "sample", ack=False)
            files.kill()


def test_a_segment_of_a_newer_format_is_set_aside() -> None:
    files = FakeFiles()
    path = filled(files)[-1]
    files._names[path].data[4:6] = b"\x00\x63"
    spool = open_spool(files, 2)
    assert seqs(spool)
    assert any(path.parent.name == "quarantine" for path in files.paths())


def test_rot_under_the_reader_is_declared() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(seq, size=1000) for seq in range(1, 51)])
    commit(spool)
    [path] = [path for path in files.paths() if path.suffix == ".seg"]
    assert len(spool.read("sample", max_records=3)) == 3
    files.flip(path, 20_000 * 8)
    found = seqs(spool)
    [loss] = spool.take_losses()
    assert sorted([*found, loss.from_seq]) == list(range(1, 51))


def test_unreadable_sectors_cost_only_what_lies_in_them() -> None:
    files = FakeFiles()
    bad = filled(files)[0]
    real = files.read

    def read(path: Path, offset: int = 0, size: int = -1) -> bytes:
        end = offset + size if size >= 0 else 1 << 40
        if path == bad and offset < 9000 < end:
            raise OSError(errno.EIO, "injected")
        return real(path, offset, size)

    files.read = read  # type: ignore[method-assign]
    spool = open_spool(files, 2)
    found = seqs(spool)
    gone = {seq for _, _, seq in lost(spool.take_losses())}
    assert 1 <= len(gone) <= 6
    assert sorted([*found, *gone]) == list(range(1, 151))


def test_a_run_whose_only_records_cannot_be_read_is_still_named_by_the_next() -> None:
    files = FakeFiles()
    first = open_spool(files, 1)
    first.append([record(1, "event", number=1, kind=Kind.START)])
    commit(first)
    first.close(MonoNs(0))
    second = open_spool(files, 2)
    second.append([record(1, "event", number=2, kind=Kind.START)])
    commit(second)
    second.close(MonoNs(0))

    def fail(operation: str, path: Path) -> int:
        return errno.EIO if operation == "read" and epoch(2).hex() in path.name else 0

    files.fail = fail
    assert open_spool(files, 3).recovery.epoch == epoch(2)


# --- the real file system -----------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
from edge_agent.model import MonoNs
from edge_agent.spool.files import OsFiles
from tests.unit.spool.rig import open_spool, record
spool = open_spool(OsFiles(), int(sys.argv[2]), path=Path(sys.argv[1]), max_bytes=4 << 20)
for seq in range(1, 100000):
    spool.append([record(seq, number=int(sys.argv[2]), size=300)])
    print(seq, flush=True)
    if seq % 20 == 0:
        spool.commit(MonoNs(seq))
"""


def test_kill_9_loses_nothing_that_was_appended(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    expected: list[tuple[bytes, int]] = []
    for number in range(1, 6):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        target = rng.randrange(1, 400)
        last = 0
        for line in child.stdout:
            last = int(line)
            if last >= target:
                break
        child.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in child.stdout.read().split(b"\n")[:-1])])
        child.stdout.close()
        child.wait()
        spool = open_spool(OsFiles(), number + 100, path=tmp_path, max_bytes=4 << 20)
        # The one that was being appended when the signal came may be there or not.
        assert spool.recovery.last["sample"] in (last, last + 1)
        expected += [(epoch(number), seq) for seq in range(1, spool.recovery.last["sample"] + 1)]
        assert drain(spool, "sample", ack=False) == expected
        assert spool.take_losses() == []
        spool.close(MonoNs(0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs takes root; the fake file layer covers ENOSPC")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "none", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mount.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_real_full_disk_evicts_its_own_oldest_and_alarms_go_on(small_disk: Path) -> None:
    spool = open_spool(OsFiles(), path=small_disk, max_bytes=8 << 20)
    for seq in range(1, 2001):
        spool.append([record(seq, size=1000)])
        if seq % 100 == 0:
            spool.append([record(seq // 100, "alarm")])
            commit(spool)
    assert not spool.stats().memory_only
    found = seqs(spool)
    gone = {seq for _, _, seq in lost(spool.take_losses())}
    assert sorted([*found, *gone]) == list(range(1, 2001))
    assert seqs(spool, "alarm") == list(range(1, 21))
    spool.close(MonoNs(0))


def test_another_program_that_fills_the_disk_makes_the_spool_give_way(small_disk: Path) -> None:
    spool = open_spool(OsFiles(), path=small_disk, max_bytes=8 << 20, min_free_bytes=100_000)
    spool.append([record(seq, size=1000) for seq in range(1, 601)])
    commit(spool)
    hog = small_disk / "hog"
    with pytest.raises(OSError, match="No space"), hog.open("wb", buffering=0) as file:
        while True:
            if file.write(bytes(65536)) < 65536:
                raise OSError(errno.ENOSPC, "No space left")
    for second in range(10):
        commit(spool, second)
    assert OsFiles().free_bytes(small_disk) >= 100_000
    assert {loss.reason for loss in spool.take_losses()} == {"evicted"}
    spool.append([record(1, "alarm")])
    commit(spool)
    spool.close(MonoNs(0))


def test_a_read_only_directory_means_memory_and_what_is_stored_is_still_sent(small_disk: Path) -> None:
    spool = open_spool(OsFiles(), path=small_disk)
    spool.append([record(seq) for seq in range(1, 11)])
    spool.close(MonoNs(0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    spool = open_spool(OsFiles(), 2, path=small_disk)
    spool.append([record(1, number=2)])
    commit(spool)
    assert spool.stats().memory_only
    assert "Read-only" in spool.stats().problem
    assert drain(spool, "sample") == [*((epoch(1), seq) for seq in range(1, 11)), (epoch(2), 1)]
    commit(spool, 1)
    assert "Read-only" in spool.stats().problem
    spool.close(MonoNs(0))


def test_a_loss_the_reader_found_is_noted_before_the_segment_it_was_the_rest_of_goes() -> None:
    files = FakeFiles()
    paths = filled(files)
    files.flip(paths[0], 5_000 * 8)
    spool = open_spool(files, 2, max_bytes=2 << 20)
    position = 0
    while records := spool.read("sample", position):
        spool.ack("sample", [one.position for one in records])
        position = records[-1].position + 1

    def killed(operation: str, path: Path) -> int:
        if operation == "sync" and path.suffix == ".free":
            raise PowerCut
        return 0

    # Everything of the first segment is acknowledged or lost, so its file is used again.
    files.fail = killed
    with pytest.raises(PowerCut):
        commit(spool)
    files.fail = lambda _operation, _path: 0
    files.kill()
    assert paths[0] not in files.paths()
    [loss] = open_spool(files, 3).take_losses()
    assert (loss.reason, loss.count) == ("corrupt", 1)
