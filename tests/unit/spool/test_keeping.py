"""What is kept, given up, and by whose right: acknowledged records, shares, age, refusal, order."""

from __future__ import annotations

import errno

import pytest

from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.records import codec
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Gap
from edge_agent.records.values import EncodedRecord, Kind, Loss, Stamp
from edge_agent.spool import Spool, Stretch
from edge_agent.spool.fake_files import FakeFiles
from tests.unit.spool.rig import ROOT, T0, commit, epoch, lost, open_spool, record, seqs

DAY = 86400 * NS


def stored(spool: Spool, stream: str = "sample") -> list[int]:
    """Every record that can be read, acknowledged or not."""
    found: list[int] = []
    position = 0
    while records := spool.read(stream, position, max_records=7, acked_too=True):
        found += [one.seq for one in records]
        position = records[-1].position + 1
    return found


def filled(files: FakeFiles, count: int = 400, **limits: int) -> Spool:
    limits.setdefault("max_bytes", 2 << 20)
    spool = open_spool(files, **limits)  # type: ignore[arg-type]
    for seq in range(1, count + 1):
        spool.append([record(seq, size=1000)])
    commit(spool)
    return spool


# --- acknowledged records -----------------------------------------------------------------------------


def test_acknowledged_records_are_read_while_they_are_kept() -> None:
    spool = filled(FakeFiles(), keep_bytes=1 << 20)
    spool.ack("sample", range(1, 399))
    commit(spool, 1)
    assert seqs(spool) == [399, 400]
    assert stored(spool) == list(range(1, 401))
    assert spool.stored("sample") == [Stretch(epoch(1), 0, 1, 400)]
    assert [r.seq for r in spool.read("sample", 10, end=13, acked_too=True)] == [10, 11, 12]
    spool.append([record(401)])
    assert stored(spool) == list(range(1, 402))


def test_beyond_keep_the_oldest_go_silently_of_whichever_stream() -> None:
    spool = open_spool(max_bytes=4 << 20, keep_bytes=300_000)
    for seq in range(1, 401):
        spool.append([record(seq, size=1000), record(seq, "summary", size=1000)])
    commit(spool)
    for stream in ("sample", "summary"):
        spool.ack(stream, range(1, 401))
    commit(spool, 1)
    assert 200_000 < spool.stats().kept_bytes <= 300_000
    first = {stream: spool.stored(stream)[0].first for stream in ("sample", "summary")}
    assert all(200 < position < 400 for position in first.values())
    assert abs(first["sample"] - first["summary"]) < 150
    assert spool.take_losses() == []


def test_what_is_only_kept_is_given_up_before_any_unsent_record() -> None:
    spool = filled(FakeFiles(), count=900, max_bytes=1 << 20, keep_bytes=1 << 20)
    spool.take_losses()
    spool.ack("sample", range(1, 801))
    for seq in range(1, 601):
        spool.append([record(seq, "summary", size=1000)])
    commit(spool, 1)
    assert spool.take_losses() == []
    assert seqs(spool) == list(range(801, 901))
    assert seqs(spool, "summary") == list(range(1, 601))


def test_kept_records_are_still_kept_and_not_sent_after_a_restart() -> None:
    files = FakeFiles()
    spool = filled(files, keep_bytes=1 << 20)
    spool.ack("sample", range(1, 401))
    spool.close(MonoNs(0))
    spool = open_spool(files, 2, max_bytes=2 << 20, keep_bytes=1 << 20)
    assert seqs(spool) == []
    assert stored(spool) == list(range(1, 401))


def test_damage_in_a_kept_record_is_passed_over_and_is_no_loss() -> None:
    files = FakeFiles()
    spool = filled(files, keep_bytes=1 << 20)
    spool.ack("sample", range(1, 401))
    spool.close(MonoNs(0))
    [path, *_] = sorted(path for path in files.paths() if path.parent == ROOT / "sample")
    files.flip(path, 5_000 * 8)
    spool = open_spool(files, 2, max_bytes=2 << 20, keep_bytes=1 << 20)
    found = stored(spool)
    assert len(found) == 399
    assert spool.take_losses() == []
    assert sum(s.last - s.first + 1 for s in spool.stored("sample")) == 399


def test_what_was_dropped_on_its_way_is_not_stored() -> None:
    spool = open_spool()
    spool.append([record(1), record(4), record(5)])
    assert stored(spool) == [1, 4, 5]
    assert spool.stored("sample") == [Stretch(epoch(1), 0, 1, 1), Stretch(epoch(1), 0, 4, 5)]


# --- shares -------------------------------------------------------------------------------------------


def test_no_class_pushes_another_below_its_share() -> None:
    for flood in ("summary", "alarm", "event", "audit"):
        spool = open_spool(max_bytes=4 << 20)
        for seq in range(1, 2001):
            spool.append([record(seq, size=1000)])
        for seq in range(1, 6001):
            spool.append([record(seq, flood, size=1000)])
            if seq % 100 == 0:
                commit(spool)
        assert 300 < len(seqs(spool)) < 800, flood
        assert len(seqs(spool, flood)) > 2500, flood


def test_a_low_class_takes_nothing_from_a_higher_one() -> None:
    spool = open_spool(max_bytes=2 << 20)
    high = ("summary", "event", "alarm", "audit")
    for seq in range(1, 301):
        spool.append([record(seq, stream, size=1000) for stream in high])
    for seq in range(1, 3001):
        spool.append([record(seq, size=1000)])
    commit(spool)
    assert {loss.stream for loss in spool.take_losses()} == {"sample"}
    for stream in high:
        assert seqs(spool, stream) == list(range(1, 301))


# --- refused ------------------------------------------------------------------------------------------


def test_refused_records_are_lost_declared_and_not_offered_again() -> None:
    files = FakeFiles()
    spool = open_spool(files)
    spool.append([record(seq) for seq in range(1, 6)])
    commit(spool)
    spool.refuse("sample", [2, 3, 3, 77])
    assert seqs(spool) == [1, 4, 5]
    assert stored(spool) == [1, 4, 5]
    losses = spool.take_losses()
    assert {loss.reason for loss in losses} == {"refused"}
    assert {seq for _, _, seq in lost(losses)} == {2, 3}
    commit(spool, 1)
    files.kill()
    again = open_spool(files, 2)
    assert seqs(again) == [1, 4, 5]
    assert lost(again.take_losses()) == lost(losses)


def test_a_refused_gap_record_makes_no_further_one() -> None:
    spool = open_spool()
    spool.append([record(1, "event", declares=Loss(epoch(9), "sample", 1, 2, 2, "evicted", None, None))])
    spool.refuse("event", [1])
    assert spool.take_losses() == []
    assert seqs(spool, "event") == []


# --- age ----------------------------------------------------------------------------------------------


def made(seq: int, wall_ns: int, *, synced: bool = True, stream: str = "sample") -> EncodedRecord:
    """A real record of that time."""
    at = Stamp(WallNs(wall_ns), MonoNs(0), synced)
    head = Envelope(kind=Kind.GAP, epoch=epoch(1), stream=stream, seq=seq, dict_hash=b"", t0=at)
    body = Gap(loss=Loss(epoch(1), "sample", 1, 1, 1, "evicted", None, None))
    return EncodedRecord(
        stream=stream, seq=seq, epoch=epoch(1), kind=Kind.GAP, dict_hash=b"", t0_ns=at.wall_ns,
        until_ns=WallNs(0), data=codec.encode(head, body),
    )  # fmt: skip


def test_unsent_records_beyond_the_age_are_given_up_and_declared_with_their_times() -> None:
    spool = open_spool(max_age_ns=DAY)
    spool.append([made(seq, T0 + seq * 3600 * NS) for seq in range(1, 49)])
    spool.append([made(seq, T0 + seq * 3600 * NS, stream="event") for seq in range(1, 49)])
    commit(spool)
    spool.ack("sample", [1, 2])
    spool.expire(WallNs(T0 + 48 * 3600 * NS))
    [loss] = spool.take_losses()
    assert (loss.stream, loss.from_seq, loss.to_seq, loss.count) == ("sample", 3, 23, 21)
    assert (loss.reason, loss.t1) == ("expired", T0 + 23 * 3600 * NS)
    assert seqs(spool)[0] == 24
    assert seqs(spool, "event") == list(range(1, 49))
    spool.expire(WallNs(T0 + 48 * 3600 * NS))
    assert spool.take_losses() == []


def test_whole_segments_that_expired_are_removed_even_where_much_is_kept() -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=2 << 20, max_age_ns=DAY, keep_bytes=2 << 20)
    for seq in range(1, 1001):
        spool.append([made(seq, T0 + seq * NS)])
    spool.append([made(1001, T0 + 3 * DAY)])
    commit(spool)
    before = sum(path.suffix == ".seg" for path in files.paths())
    spool.expire(WallNs(T0 + 3 * DAY))
    commit(spool, 1)
    assert sum(loss.count for loss in spool.take_losses()) == 1000
    assert before > 1
    assert sum(path.suffix == ".seg" for path in files.paths()) == 1
    assert seqs(spool) == [1001]


def test_a_time_of_a_clock_that_was_not_set_makes_nothing_old() -> None:
    spool = open_spool(max_age_ns=DAY)
    spool.append([made(seq, seq * NS, synced=False) for seq in range(1, 11)])
    commit(spool)
    spool.expire(WallNs(T0))
    assert spool.take_losses() == []
    # A later record with a time that counts says that those before it are older still.
    spool.append([made(11, T0), made(12, 12 * NS, synced=False)])
    commit(spool)
    spool.expire(WallNs(T0 + 2 * DAY))
    assert {seq for _, _, seq in lost(spool.take_losses())} == set(range(1, 12))


@pytest.mark.parametrize("wrong", [NS, T0 + 70 * 365 * DAY])
def test_segments_of_a_clock_that_was_not_set_keep_nothing_behind_them_from_expiring(wrong: int) -> None:
    """By a clock of 1970, or of a time to come."""
    spool = open_spool(max_bytes=2 << 20, max_age_ns=DAY)
    spool.append([made(seq, wrong + seq * NS, synced=False) for seq in range(1, 1001)])
    spool.append([made(seq, T0 + seq * NS) for seq in range(1001, 1011)])
    commit(spool)
    assert len(spool._logs["sample"].segments) > 1
    spool.expire(WallNs(T0 + DAY))
    assert spool.take_losses() == []
    spool.append([made(1011, T0 + 3 * DAY)])
    commit(spool)
    spool.expire(WallNs(T0 + 3 * DAY))
    losses = spool.take_losses()
    assert {seq for _, _, seq in lost(losses)} == set(range(1, 1011))
    assert sum(loss.count for loss in losses) == 1010
    assert seqs(spool) == [1011]


# --- order --------------------------------------------------------------------------------------------


def test_a_purge_gives_up_everything_of_a_stream_and_declares_it() -> None:
    files = FakeFiles()
    spool = filled(files, keep_bytes=1 << 20)
    spool.append([record(1, "summary"), record(1, "alarm"), record(401)])
    spool.ack("sample", range(1, 101))
    assert spool.purge(["sample"], WallNs(T0 + NS)) == {"sample": 301}
    losses = spool.take_losses()
    assert {loss.reason for loss in losses} == {"purged"}
    assert {seq for _, _, seq in lost(losses)} == set(range(101, 402))
    assert (seqs(spool), stored(spool)) == ([], [])
    assert seqs(spool, "summary") == seqs(spool, "alarm") == [1]
    spool.append([record(402)])
    commit(spool, 1)
    assert seqs(spool) == [402]
    files.kill()
    again = open_spool(files, 2, max_bytes=2 << 20)
    assert seqs(again) == [402]
    assert lost(again.take_losses()) == lost(losses)


def test_what_keeps_the_account_cannot_be_purged() -> None:
    with pytest.raises(ValueError, match="only sample, summary, alarm"):
        open_spool().purge(["event"], WallNs(T0))


def test_a_purge_that_cannot_be_declared_removes_nothing() -> None:
    files = FakeFiles()
    spool = filled(files)
    files.fail = lambda _op, path: errno.EIO if path.name == "losses" else 0
    with pytest.raises(OSError, match="cannot be noted"):
        spool.purge(["sample"], WallNs(T0))
    files.fail = lambda _op, _path: 0
    assert seqs(spool) == list(range(1, 401))
    assert spool.take_losses() == []


def test_more_at_once_than_memory_holds_is_synced_and_not_given_up() -> None:
    spool = open_spool(max_bytes=8 << 20, memory_bytes=100_000)
    spool.append([record(seq, size=1000) for seq in range(1, 501)])
    assert spool.take_losses() == []
    assert seqs(spool) == list(range(1, 501))
    assert spool.held_bytes < 100_000
