"""The spool's thread: when it syncs, whom it wakes, what gives way."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.model import NS
from edge_agent.records.values import Kind, Loss
from edge_agent.spool import Spool, SpoolWriter
from edge_agent.spool.fake_files import FakeFiles
from tests.unit.spool.rig import epoch, lost, open_spool, record, seqs


class Rig:
    def __init__(self, **more: int) -> None:
        self.files = FakeFiles()
        self.spool: Spool = open_spool(self.files)
        self.clock = FakeClock()
        self.counters = Counters()
        self.woken: list[int] = []
        self.losses: list[Loss] = []
        self.syncs: list[str] = []
        real = self.files.sync

        def sync(fd: int) -> None:
            self.syncs.append(self.files._open[fd][0].parent.name)
            real(fd)

        self.files.sync = sync  # type: ignore[method-assign]
        self.writer = SpoolWriter(
            self.spool, self.clock, self.counters, commit_ns=NS,
            on_new=lambda: self.woken.append(len(self.syncs)), on_losses=self._lost, **more,
        )  # fmt: skip
        self.turn(NS)
        self.syncs.clear()

    @classmethod
    def in_step(cls) -> Rig:
        """Record 1 came a moment ago and was synced."""
        rig = cls()
        rig.writer.put([record(1)])
        rig.turn()
        assert rig.syncs == ["sample"]
        rig.syncs.clear()
        rig.woken.clear()
        return rig

    def _lost(self, losses: Sequence[Loss]) -> None:
        self.losses += losses

    def turn(self, ns: int = 0) -> None:
        self.clock.advance(ns)
        self.writer.turn(self.clock.mono_ns())


def test_samples_wait_for_the_commit_interval() -> None:
    rig = Rig.in_step()
    rig.writer.put([record(2)])
    rig.turn()
    assert (rig.syncs, seqs(rig.spool)) == ([], [1, 2])
    rig.turn(NS)
    assert rig.syncs == ["sample"]


def test_an_alarm_is_synced_at_once_alone_and_after_the_uplink_was_woken() -> None:
    rig = Rig.in_step()
    rig.writer.put([record(2), record(1, "alarm")])
    rig.turn()
    assert rig.syncs == ["alarm"]
    assert rig.woken == [0]


def test_start_and_stop_are_synced_at_once() -> None:
    rig = Rig()
    rig.writer.put([record(1, "event", kind=Kind.START)])
    rig.turn()
    rig.writer.put([record(2, "event", kind=Kind.STOP)])
    rig.turn()
    assert rig.syncs == ["event", "event"]


def test_beyond_the_bound_the_oldest_samples_give_way_then_summaries_and_never_alarms() -> None:
    rig = Rig(max_queue_bytes=1000)
    rig.writer.put([record(seq, "alarm") for seq in range(1, 7)])
    rig.writer.put([record(seq) for seq in range(1, 6)])
    rig.writer.put([record(seq, "summary") for seq in range(1, 6)])
    rig.turn()
    assert seqs(rig.spool, "alarm") == list(range(1, 7))
    assert seqs(rig.spool, "sample") == []
    assert seqs(rig.spool, "summary") == [2, 3, 4, 5]
    assert lost(rig.losses) == {
        *((epoch(1), "sample", seq) for seq in range(1, 6)), (epoch(1), "summary", 1)
    }  # fmt: skip
    assert {loss.reason for loss in rig.losses} == {"overflow"}
    assert rig.counters.snapshot()["spool_queue_dropped{sample}"] == 5
    assert rig.writer.queued_bytes == 0


def test_what_gave_way_is_declared_by_the_next_run_if_this_one_dies() -> None:
    rig = Rig(max_queue_bytes=250)
    rig.writer.put([record(seq) for seq in range(1, 6)])
    rig.turn()
    rig.files.kill()
    again = open_spool(rig.files, 2)
    assert lost(again.take_losses()) == {(epoch(1), "sample", seq) for seq in (1, 2, 3)}


def test_run_drains_and_commits_when_stopped() -> None:
    rig = Rig()
    stop = threading.Event()
    thread = threading.Thread(target=rig.writer.run, args=(stop,))
    thread.start()
    rig.writer.put([record(1), record(1, "event", kind=Kind.STOP)])
    stop.set()
    rig.writer.wake()
    thread.join(10)
    assert not thread.is_alive()
    rig.files.crash()
    again = open_spool(rig.files, 2)
    assert again.recovery.clean
    assert seqs(again) == [1]


def test_the_heartbeat_names_the_disk_while_it_is_waited_for() -> None:
    rig = Rig()
    inside: list[str] = []
    real = rig.files.sync

    def slow(fd: int) -> None:
        inside.append(rig.writer.heartbeat.inside)
        real(fd)

    rig.files.sync = slow  # type: ignore[method-assign]
    rig.writer.put([record(1, "alarm")])
    rig.turn()
    assert inside == ["fdatasync"]
    assert rig.writer.heartbeat.inside == "loop"


def test_an_alarm_can_be_read_while_its_sync_still_runs() -> None:
    """The disk answers only when the uplink has got the alarm."""
    rig = Rig()
    has_it, timed_out = threading.Event(), []

    def slow(fd: int) -> None:
        timed_out.append(not has_it.wait(20))

    rig.files.sync = slow  # type: ignore[method-assign]

    def publish() -> None:
        if seqs(rig.spool, "alarm") == [1]:
            has_it.set()

    uplink = threading.Thread(target=publish)
    rig.writer._on_new = uplink.start
    rig.writer.put([record(1, "alarm")])
    rig.turn()
    uplink.join(20)
    assert timed_out == [False]


def test_much_data_is_synced_before_the_commit_interval_is_over() -> None:
    rig = Rig()
    for seq in range(1, 80):
        rig.writer.put([record(seq, size=16_000)])
        rig.turn()
    assert rig.syncs.count("sample") >= 1
    assert rig.spool.held_bytes < 1 << 20


def test_ages_are_looked_at_only_by_a_clock_that_is_set() -> None:
    rig = Rig()
    looked: list[int] = []
    rig.spool.expire = looked.append  # type: ignore[method-assign,assignment]
    rig.clock.synced = False
    rig.turn(70 * NS)
    assert looked == []
    rig.clock.synced = True
    rig.turn(70 * NS)
    rig.turn(NS)
    assert looked == [rig.clock.wall_ns() - NS]


def test_a_purge_is_done_by_the_spools_thread_and_answered_with_what_went() -> None:
    rig = Rig()
    rig.writer.put([record(seq) for seq in range(1, 4)])
    rig.turn()
    answers: list[object] = []
    rig.writer.purge(("sample",), answers.append)
    assert answers == []
    rig.turn()
    assert answers == [{"sample": 3}]
    assert {loss.reason for loss in rig.losses} == {"purged"}


@pytest.mark.parametrize("ahead", [0, NS // 50, NS // 3, NS - NS // 50])
def test_a_commit_keeps_step_with_the_flushes_however_they_began(ahead: int) -> None:
    """Else a power cut takes what the last flush brought and what was read since: two intervals."""
    rig = Rig()
    rig.turn(ahead)
    for seq in range(1, 30):
        rig.writer.put([record(seq)])
        rig.turn()
        if seq > 2:
            assert rig.syncs == ["sample"], "at once"
        rig.syncs.clear()
        # The next flush is made an interval later at the earliest, and a little drift adds up.
        rig.turn(NS // 2)
        rig.turn(NS // 2)
        rig.turn(NS // 50)


def test_measurements_that_come_early_wait_for_the_interval() -> None:
    rig = Rig.in_step()
    for seq in range(2, 8):
        rig.writer.put([record(seq)])
        rig.turn(NS // 8)
    assert rig.syncs == []
    rig.writer.put([record(8), record(1, "summary")])
    rig.turn(NS // 8)
    assert rig.syncs == ["summary", "sample"]


def test_an_alarm_that_comes_while_others_are_synced_waits_for_one_sync_only() -> None:
    rig = Rig()
    readable: list[list[int]] = []
    real = rig.files.sync

    def sync(fd: int) -> None:
        readable.append(seqs(rig.spool, "alarm"))
        if len(readable) == 1:
            rig.writer.put([record(1, "alarm"), record(2)])
        real(fd)

    rig.files.sync = sync  # type: ignore[method-assign]
    rig.writer.put([record(1, "event"), record(1, "summary"), record(1)])
    rig.turn(NS)
    # During the first it came, from the second on the uplink has it, and it is durable itself in the end.
    assert readable[0] == [] and readable[1:] == [[1]] * len(readable[1:])
    assert rig.woken[-1] == 1
    rig.files.crash()
    assert seqs(open_spool(rig.files, 2), "alarm") == [1]
