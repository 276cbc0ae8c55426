from __future__ import annotations

import threading

import pytest

from edge_agent.bus.outcomes import Block, BusEvent, NoReply, ReadRequest, Skipped
from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.daemon.intake import Intake
from edge_agent.model import Area, MonoNs, WallNs


def _block(*points: int, generation: int = 1) -> Block:
    request = ReadRequest(0, 1, Area.INPUT, 0, len(points), points)
    return Block(generation, request, NoReply(), MonoNs(1), WallNs(2))


def test_events_come_out_in_the_order_they_were_put() -> None:
    intake = Intake(FakeClock(), Counters())
    events: list[BusEvent] = [_block(1), _block(2), Skipped(1, (3,), MonoNs(1), WallNs(1))]
    for event in events:
        intake.put(event)
    assert intake.take(0) == events
    assert intake.take(0) == []


def test_what_gives_way_is_counted_as_missing_per_point_and_generation() -> None:
    counters = Counters()
    intake = Intake(FakeClock(), counters, capacity=2)
    for event in (_block(1, 2), _block(2), _block(7, generation=2), _block(8), _block(9)):
        intake.put(event)
    *lost, first, second = intake.take(0)
    assert [first, second] == [_block(8), _block(9)]
    assert {(event.generation, event.points) for event in lost if isinstance(event, Skipped)} == {
        (1, (1, 2, 2)),
        (2, (7,)),
    }
    assert counters.snapshot() == {"intake_dropped": 3}
    assert intake.take(0) == []


@pytest.mark.parametrize("how", ["event", "wake"])
def test_take_wakes_up_for_an_event_and_for_wake(how) -> None:
    intake = Intake(FakeClock(), Counters())
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(len(intake.take(60))))
    thread.start()
    # A wake-up reaches only a thread that waits already, so it is said until it was heard.
    while thread.is_alive():
        intake.put(_block(1)) if how == "event" else intake.wake()
        thread.join(0.01)
    assert taken[0] >= (how == "event")
