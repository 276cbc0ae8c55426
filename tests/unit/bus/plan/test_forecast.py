"""The forecast: against running through the time, against the worker on a line, and its advice."""

from __future__ import annotations

from dataclasses import replace
from math import lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.plan import overload
from edge_agent.bus.plan.cost import ASSUMED_TURNAROUND_NS, line_cost
from edge_agent.bus.plan.demand import Demand
from edge_agent.bus.plan.forecast import Forecast, forecasts
from edge_agent.bus.wire.frames import byte_count, with_crc
from edge_agent.model import NS, Area, BusDef, DeviceDef, Quirks, SerialLink
from tests.unit.bus.helpers import point
from tests.unit.bus.site import MS, Rig, S, site


def device_of(*polls_ms: float, name: str = "d", unit: int = 1, apart: int = 20, **quirks) -> DeviceDef:
    """One point per period given, `apart` registers apart."""
    points = tuple(
        point(apart * n, f"p{n}", device=name, poll_ns=round(ms * MS)) for n, ms in enumerate(polls_ms)
    )
    return DeviceDef(name=name, bus="b", unit_id=unit, quirks=Quirks(**quirks), points=points)


def bus_of(*devices: DeviceDef, baud: int = 19200, **more) -> BusDef:
    return BusDef(name="b", link=SerialLink(path="x", baud=baud), devices=devices, **more)


def forecast_of(*devices: DeviceDef, **bus) -> Forecast:
    return Forecast(bus_of(*devices, **bus), {})


# --- occasions ------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 10, 12, 30]), min_size=1, max_size=5, unique=True))
@settings(max_examples=100, deadline=None)
def test_occasions_are_what_running_through_the_time_shows(periods_s):
    demand = Demand(device_of(*(1000 * p for p in periods_s)), line_cost(bus_of(), device_of(1000)))
    whole = lcm(*periods_s)
    seen: dict[int, int] = {}
    for now in range(whole):
        due = sum(1 << n for n, period in enumerate(sorted(periods_s)) if now % period == 0)
        if due:
            seen[due] = seen.get(due, 0) + 1
    found = {one.classes: one.rate * whole * NS for one in demand.occasions()}
    assert found == pytest.approx(seen)


def test_classes_that_are_due_together_share_requests():
    together = forecast_of(device_of(1000, 2000, apart=1))
    apart = forecast_of(device_of(1000, 2000, apart=1, max_gap_words=0, max_read_words=1))
    assert together.requests_per_s == pytest.approx(1)
    assert apart.requests_per_s == pytest.approx(1.5)


def test_more_classes_than_are_looked_at_together_are_all_counted():
    periods = [100 * 2**n for n in range(10)]
    demand = Demand(device_of(*periods), line_cost(bus_of(), device_of(1)))
    asked = sum(one.rate * NS for one in demand.occasions() for n in range(10) if one.classes >> n & 1)
    assert asked == pytest.approx(sum(1000 / ms for ms in periods))


# --- load and periods -----------------------------------------------------------------------------


def test_the_load_of_one_poll_is_its_bytes_its_turnaround_and_t3_5():
    forecast = forecast_of(device_of(1000), baud=9600)
    assert forecast.load == pytest.approx((8 + 7) * 10 / 9600 + 3.5 * 11 / 9600 + 0.005, rel=1e-6)
    assert not forecast.is_overloaded


def test_a_known_turnaround_replaces_the_assumed_one():
    known = Forecast(bus_of(device_of(1000)), {"d": 40 * MS})
    assert {d.name: ns for d, ns in known.turnarounds()} == {"d": 40 * MS}
    assert known.load - forecast_of(device_of(1000)).load == pytest.approx(0.035, rel=1e-6)


def test_devices_that_are_alike_are_planned_once():
    many = [device_of(1000, 5000, name=f"d{n}", unit=n) for n in range(1, 31)]
    forecast = forecast_of(*many)
    assert len(forecast.groups) == 1
    assert forecast.load == pytest.approx(30 * forecast_of(many[0]).load)
    assert [read.request.unit_id for read in forecast.reads()][-1] == 30


def test_continuous_points_get_what_is_left():
    forecast = forecast_of(device_of(0, name="c"), device_of(100, name="p", unit=2))
    (fast, slow) = (d.points[0] for d in forecast.bus.devices)
    alone = forecast_of(device_of(0)).round_ns
    assert forecast.achievable_ns(slow) == 100 * MS
    assert forecast.achievable_ns(fast) == pytest.approx(alone * 0.9 / (0.9 - forecast.load))


def test_on_overload_every_period_grows_alike_and_continuous_points_keep_a_little():
    forecast = forecast_of(device_of(5, 10, 0), baud=9600)
    assert forecast.is_overloaded
    assert forecast.stretch == pytest.approx(forecast.load / 0.9)
    quick, slow, continuous = forecast.bus.devices[0].points
    assert forecast.achievable_ns(quick) == pytest.approx(5 * MS * forecast.stretch)
    assert forecast.achievable_ns(slow) == pytest.approx(10 * MS * forecast.stretch)
    assert forecast.achievable_ns(continuous) == pytest.approx((10 + forecast.stretch) * 1000 * MS)


def test_the_requests_of_a_forecast_take_together_what_it_says():
    forecast = forecast_of(device_of(100, 300, 1000), device_of(200, 0, name="e", unit=2))
    timed = [read for read in forecast.reads() if read.request.points != (1,) or read.device.name != "e"]
    assert sum(read.line_ns / read.every_ns for read in timed) == pytest.approx(forecast.load)
    assert sum(NS / read.every_ns for read in timed) == pytest.approx(forecast.requests_per_s)


def test_the_line_is_then_used_as_was_foreseen():
    where = site(
        device_of(200, 1000, 5000, name="a", unit=1, apart=8),
        device_of(300, 700, name="b", unit=2, apart=3),
        link=SerialLink(path="/dev/fake", baud=9600),
    )
    char_ns = -(-10 * NS // 9600)

    def respond(data):
        count = int.from_bytes(data[4:6], "big")
        reply = with_crc(data[:2] + bytes((byte_count(Area.HOLDING, count),)) + bytes(2 * count))
        yield ASSUMED_TURNAROUND_NS + len(reply) * char_ns, reply

    rig = Rig(where, respond=respond)
    rig.run(100)
    (forecast,) = forecasts(where)
    assert rig.worker.snapshot()["load"] == pytest.approx(forecast.load, rel=0.05)


# --- advice ---------------------------------------------------------------------------------------


def slowed(device: DeviceDef, old_ns: int, new_ns: int) -> DeviceDef:
    points = (replace(p, poll_ns=new_ns) if p.poll_ns == old_ns else p for p in device.points)
    return replace(device, points=tuple(points))


@given(st.integers(20, 200), st.sampled_from([1000, 3000, 10_000]), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_what_is_advised_is_enough_and_the_next_shorter_period_is_not(fast_ms, slow_ms, count):
    devices = [device_of(fast_ms, slow_ms, name=f"d{n}", unit=n) for n in range(1, count + 1)]
    forecast = forecast_of(*devices, baud=9600)
    if not forecast.is_overloaded:
        return
    fast = next(one for one in overload._classes(forecast) if one.number == 0)
    period_ns = overload._sufficient_ns(forecast, fast)
    if period_ns is None:
        return
    fits = [slowed(device, fast_ms * MS, period_ns) for device in devices]
    assert not forecast_of(*fits, baud=9600).is_overloaded
    shorter = max((one for one in overload._ROUND_NS if fast_ms * MS < one < period_ns), default=None)
    if shorter is not None:
        assert forecast_of(*(slowed(d, fast_ms * MS, shorter) for d in devices), baud=9600).is_overloaded


def test_where_no_single_class_is_enough_everything_must_be_slower():
    forecast = forecast_of(*(device_of(10 + n, name=f"d{n}", unit=n + 1) for n in range(5)))
    text = overload.advice(forecast)
    assert text.startswith(
        f"poll everything {overload._factor(forecast.stretch)} times slower; what costs most"
    )
    assert "p0 of d0" in text
    slower = [slowed(d, d.points[0].poll_ns, 100 * S) for d in forecast.bus.devices]
    assert not forecast_of(*slower).is_overloaded


@given(st.floats(1.001, 50))
def test_a_factor_is_rounded_to_what_is_enough(stretch):
    assert stretch <= float(overload._factor(stretch)) <= stretch + 0.1001


def test_names_are_few():
    assert overload.listed(["a", "b"]) == "a, b"
    assert overload.listed([f"p{n}" for n in range(9)]) == "p0 ... p8 (9)"
