"""After a start an alarm's state is unknown until something was heard."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

import pytest

from edge_agent import kernels
from edge_agent.bus.outcomes import NoReply
from edge_agent.model import NS, AlarmKind, MonoNs, Site, WallNs
from edge_agent.process.results import AlarmTransition, Result
from edge_agent.process.stage import Stage
from tests.unit.process import sites
from tests.unit.process.sites import T0, alarm, block, f64, point, request

NOW = (MonoNs(0), WallNs(T0))


def two_points(**changes) -> Site:
    points = [point("p"), point("q", device="e")]
    alarms = [
        alarm("high", AlarmKind.ABOVE, high=10.0, **changes),
        alarm("other", AlarmKind.ABOVE, device="e", point="q", high=10.0),
    ]
    return sites.site(points, alarms)


def names(results: Iterable[Result]) -> list[tuple[str, bool, bool]]:
    """(name, active, repeated) of the alarm transitions."""
    return [(r.name, r.active, r.repeated) for r in results if isinstance(r, AlarmTransition)]


def feed(stage: Stage, payload: sites.Payload) -> list[Result]:
    """One poll of the point `d.p`."""
    return stage.feed([block(request(two_points(), 0), payload, 0)])


@pytest.fixture
def stage() -> Stage:
    return Stage.build(two_points(), 1, kernels.load("python"), *NOW)


def test_nothing_is_known_before_something_was_heard(stage) -> None:
    assert stage.known_alarm_states() == []
    assert stage.newly_known_alarms(*NOW) == []


def test_a_normal_value_makes_its_alarms_known_once(stage) -> None:
    feed(stage, f64(1.0))
    assert names(stage.newly_known_alarms(*NOW)) == [("high", False, True), ("d.silent", False, True)]
    feed(stage, f64(1.0))
    assert stage.newly_known_alarms(*NOW) == []
    assert names(stage.known_alarm_states()) == [("high", False, True), ("d.silent", False, True)]


def test_a_raised_alarm_is_known_by_its_transition(stage) -> None:
    assert names(feed(stage, f64(11.0))) == [("high", True, False)]
    assert names(stage.newly_known_alarms(*NOW)) == [("d.silent", False, True)]
    assert ("high", True, True) in names(stage.known_alarm_states())


def test_an_alarm_that_waits_out_its_delay_stays_unknown() -> None:
    stage = Stage.build(two_points(on_delay_ns=10 * NS), 1, kernels.load("python"), *NOW)
    feed(stage, f64(11.0))
    assert names(stage.newly_known_alarms(*NOW)) == [("d.silent", False, True)]


def test_silence_says_nothing_about_values_and_is_not_normal(stage) -> None:
    feed(stage, NoReply())
    assert stage.newly_known_alarms(*NOW) == []


def test_a_new_configuration_keeps_what_is_known(stage) -> None:
    feed(stage, f64(1.0))
    stage.newly_known_alarms(*NOW)
    changed = two_points(deadband=0.5)
    new = Stage.build(changed, 2, kernels.load("python"), *NOW, old=stage)
    assert names(new.known_alarm_states()) == [("d.silent", False, True)]


def test_known_states_may_be_asked_while_alarms_become_known() -> None:
    """The uplink asks whenever it connects; what it then iterates over must not shrink under it."""
    alarms = [alarm(f"a{i}", AlarmKind.ABOVE, high=10.0) for i in range(500)]
    stage = Stage.build(sites.site([point("p")], alarms), 1, kernels.load("python"), *NOW)
    ended, failed = threading.Event(), []

    def ask() -> None:
        try:
            while not ended.is_set():
                stage.known_alarm_states()
        except RuntimeError as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        asking.start()
        feed(stage, f64(1.0))
        assert len(stage.newly_known_alarms(*NOW)) == 501
    finally:
        ended.set()
        asking.join()
        sys.setswitchinterval(interval)
    assert not failed
