"""Threads of the daemon end together, within their bound, and a crash is counted."""

from __future__ import annotations

import threading

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.daemon import agent
from edge_agent.daemon.threads import Worker, stop_together
from edge_agent.heartbeat import Heartbeat

CLOCK = SystemClock()


def worker(name: str, body, counters: Counters | None = None) -> Worker:
    made = Worker(name, body, Heartbeat(name, CLOCK), counters or Counters())
    made.start()
    return made


def test_all_are_asked_before_the_first_is_waited_for() -> None:
    """Each of these ends only when the other was asked too."""
    stops: list[threading.Event] = []
    both_here = threading.Barrier(3)

    def body(stop: threading.Event) -> None:
        stops.append(stop)
        both_here.wait()
        for other in stops:
            other.wait()

    workers = [worker("a", body), worker("b", body)]
    both_here.wait()
    assert stop_together(workers, 30.0, CLOCK)


def test_one_that_does_not_end_is_said_and_does_not_hold_the_others() -> None:
    release = threading.Event()
    stuck = worker("stuck", lambda _: release.wait())
    other = worker("other", lambda stop: stop.wait())
    assert not stop_together([stuck, other], 0.05, CLOCK)
    assert stop_together([other], 30.0, CLOCK)
    release.set()
    assert stop_together([stuck], 30.0, CLOCK)


def test_a_crash_is_counted_and_known() -> None:
    counters = Counters()

    def body(stop: threading.Event) -> None:
        raise RuntimeError("a bug")

    crashed = worker("b", body, counters)
    assert stop_together([crashed], 30.0, CLOCK)
    assert crashed.failed
    assert counters.snapshot()["thread_crashes{b}"] == 1


def test_the_bounds_of_the_shutdown_make_less_than_five_seconds() -> None:
    bounds = [value for name, value in vars(agent).items() if name.startswith("STOP_")]
    assert len(bounds) == 6
    assert sum(bounds) < 5
