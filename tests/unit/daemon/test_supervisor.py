from __future__ import annotations

import threading

import pytest

from edge_agent.clock import FakeClock
from edge_agent.daemon.supervisor import WatchdogFeeder, Watched, trouble
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs


@pytest.fixture
def alive():
    """A thread that lives until the test ends."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    yield thread
    stop.set()
    thread.join()


def test_a_turning_loop_is_alive_and_a_stopped_one_is_named(alive) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat("bus-line1", clock, limit_ns=10 * NS)
    watched = [Watched(heartbeat, alive)]
    clock.advance(10 * NS)
    assert trouble(watched, clock.mono_ns()) == []
    clock.advance(1)
    assert trouble(watched, clock.mono_ns()) == ["bus-line1: in starting for 10 s, bound 10 s"]
    heartbeat.turn()
    assert trouble(watched, clock.mono_ns()) == []


def test_inside_a_named_call_the_calls_own_bound_holds(alive) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat("spool", clock, limit_ns=10 * NS)
    with heartbeat.call("fdatasync", 60 * NS):
        assert heartbeat.inside == "fdatasync"
        clock.advance(60 * NS)
        assert trouble([Watched(heartbeat, alive)], clock.mono_ns()) == []
        clock.advance(NS)
        assert "fdatasync" in trouble([Watched(heartbeat, alive)], clock.mono_ns())[0]
    assert heartbeat.inside == "loop"
    assert trouble([Watched(heartbeat, alive)], clock.mono_ns()) == []


def test_an_ended_thread_is_trouble_even_with_a_fresh_heartbeat() -> None:
    clock = FakeClock()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert trouble([Watched(Heartbeat("uplink", clock), thread)], clock.mono_ns()) == [
        "uplink: its thread has ended"
    ]


def test_the_watchdog_is_fed_at_half_its_period_and_only_while_healthy() -> None:
    feeder = WatchdogFeeder(30 * NS)
    assert feeder.due(MonoNs(0), healthy=True)
    assert not feeder.due(MonoNs(15 * NS - 1), healthy=True)
    assert not feeder.due(MonoNs(15 * NS), healthy=False)
    assert feeder.due(MonoNs(15 * NS), healthy=True)
    assert not WatchdogFeeder(None).due(MonoNs(0), healthy=True)
