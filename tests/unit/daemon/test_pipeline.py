"""Events in, records out: what the pipeline hands on, when, and until when it claims to have seen."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from edge_agent import kernels
from edge_agent.clock import FakeClock, boot_id
from edge_agent.counters import Counters
from edge_agent.daemon.heritage import Heritage, Store
from edge_agent.daemon.intake import Intake
from edge_agent.daemon.pipeline import Pipeline
from edge_agent.model import NS, AlarmKind, MonoNs, Send, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.process.stage import Stage
from edge_agent.records.decode import Decoder, SampleRows, SummaryRows
from edge_agent.records.events import Audit, Gap, Start, Stop
from edge_agent.records.values import EncodedRecord, Item, Loss, Mark, Recovery
from edge_agent.records.writer import RecordWriter
from tests.unit.process.sites import alarm, block, f64, point, request, site

EPOCH = b"12345678"
NO_STORE = Store(keep=lambda _: None, keep_now=lambda _: None, works=lambda: False)


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock(mono_ns=0, wall_ns=1_700_000_000 * NS)
        points = [point("p", send=Send.SAMPLES), point("q", address=4)]
        self.site = site(points, [alarm("high", AlarmKind.ABOVE, high=10.0)])
        self.counters = Counters()
        self.intake = Intake(self.clock, self.counters)
        self.items: list[Item] = []
        self.mirrored: list[AlarmTransition] = []
        self.settled_ns: int | None = None
        now = self.clock.mono_ns(), self.clock.wall_ns()
        self.pipeline = Pipeline(
            stage=Stage.build(self.site, 1, kernels.load("python"), *now, counters=self.counters),
            writer=RecordWriter(self.site, EPOCH, boot_id=boot_id(), counters=self.counters),
            intake=self.intake,
            submit=self.submit,
            alarm_changed=self.mirrored.append,
            settled=lambda: MonoNs(self.clock.mono_ns() if self.settled_ns is None else self.settled_ns),
            clock=self.clock,
            flush_ns=NS,
            heritage=Heritage(self.site, NO_STORE, self.counters),
        )
        self.pipeline.open(Recovery())
        self._decoder = Decoder()

    def submit(self, items: Sequence[Item]) -> None:
        self.items += items

    def poll(self, value: float) -> None:
        t_s = self.clock.mono_ns() / NS
        event = block(request(self.site, 0, 1), f64(value, value), t_s)
        self.intake.put(replace(event, wall_ns=self.clock.wall_ns()))

    def turn(self) -> None:
        self.pipeline._turn(0)

    def bodies(self) -> list[object]:
        """Everything recorded since the last call, decoded."""
        records = [item for item in self.items if isinstance(item, EncodedRecord)]
        self.items.clear()
        return [self._decoder.decode(record.data).body for record in records]

    def until(self) -> int:
        """The last time up to which the samples claim to be complete."""
        items = [i for i in self.items if not isinstance(i, Loss)]
        return [i.until_ns for i in items if isinstance(i, Mark) or i.stream == "sample"][-1]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_first_record_of_an_epoch_is_its_start(rig) -> None:
    assert isinstance(rig.bodies()[0], Start)


def test_an_alarm_is_recorded_and_mirrored_in_the_turn_it_comes(rig) -> None:
    rig.turn()
    rig.bodies()
    rig.poll(11.0)
    rig.turn()
    states = [(t.name, t.active) for t in rig.mirrored]
    assert ("high", True) in states
    names = [getattr(body, "name", None) for body in rig.bodies()]
    assert "high" in names


def test_samples_wait_for_the_flush_and_then_go_together(rig) -> None:
    rig.turn()
    rig.bodies()
    for _ in range(5):
        rig.clock.advance(NS // 10)
        rig.poll(1.0)
        rig.turn()
    assert not [body for body in rig.bodies() if isinstance(body, SampleRows)]
    rig.clock.advance(NS)
    rig.turn()
    (samples,) = [body for body in rig.bodies() if isinstance(body, SampleRows)]
    assert len(samples.rows) == 5


def test_no_observation_is_claimed_beyond_what_every_bus_has_handed_over(rig) -> None:
    rig.turn()
    rig.items.clear()
    rig.clock.advance(2 * NS)
    rig.settled_ns = NS // 2
    rig.turn()
    assert rig.until() == rig.clock.wall_ns() - 2 * NS + NS // 2


def test_losses_from_any_thread_are_declared_at_the_next_flush(rig) -> None:
    rig.turn()
    rig.bodies()
    loss = Loss(EPOCH, "sample", 3, 7, 5, "evicted", WallNs(1), WallNs(2))
    thread = threading.Thread(target=rig.pipeline.lost, args=([loss],))
    thread.start()
    thread.join()
    rig.clock.advance(NS)
    rig.turn()
    assert [body.loss for body in rig.bodies() if isinstance(body, Gap)] == [loss]


def test_at_the_end_the_queue_is_judged_the_window_closed_and_stop_is_last(rig) -> None:
    rig.turn()
    rig.bodies()
    rig.poll(1.0)
    rig.poll(2.0)
    stop = threading.Event()
    stop.set()
    rig.pipeline.run(stop)
    bodies = rig.bodies()
    (summaries,) = [body for body in bodies if isinstance(body, SummaryRows)]
    assert [(row.entry.point, row.count) for row in summaries.rows] == [("q", 2)]
    assert sum(len(body.rows) for body in bodies if isinstance(body, SampleRows)) == 2
    assert isinstance(bodies[-1], Stop)


def test_values_that_gave_way_before_they_were_recorded_are_a_numbered_loss_with_its_time(rig) -> None:
    rig.intake._capacity = 1
    rig.poll(1.0)
    first = rig.clock.wall_ns()
    for _ in range(3):
        rig.clock.advance(NS)
        rig.poll(2.0)
    rig.bodies()
    rig.turn()
    [loss] = [item for item in rig.items if isinstance(item, Loss)]
    assert (loss.stream, loss.from_seq, loss.to_seq, loss.count) == ("sample", 2, 2, 1)
    assert (loss.reason, loss.t0, loss.t1) == ("overflow", first, first + 2 * NS)
    rig.clock.advance(NS)
    rig.turn()
    samples = [i for i in rig.items if isinstance(i, EncodedRecord) and i.stream == "sample"]
    assert [record.seq for record in samples] == [3]


def test_what_was_done_by_order_is_recorded_in_its_own_stream(rig) -> None:
    rig.bodies()
    rig.pipeline.audit(Audit(who="local uid 0", what="spool purge", result="done"))
    rig.clock.advance(NS)
    rig.turn()
    [record] = [i for i in rig.items if isinstance(i, EncodedRecord) and i.stream == "audit"]
    assert record.urgent
    assert rig.bodies()[0] == Audit(who="local uid 0", what="spool purge", result="done")
