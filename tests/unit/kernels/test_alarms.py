"""Alarms: the condition of each kind, every (state, event), and delays against a slow model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import (
    A_ELAPSED_NS,
    A_STATE,
    A_VALUE,
    ACTIVE,
    CLEARED,
    NORMAL,
    PENDING_OFF,
    PENDING_ON,
    RAISED,
)
from edge_agent.model import IMPLAUSIBLE, NO_REPLY, NS, AlarmDef, AlarmInput, AlarmKind, Median
from tests.unit.kernels.table_cells import Bench
from tests.unit.process.sites import alarm, f64, point

modest = settings(max_examples=50, deadline=None)

ABOVE_8: dict[str, Any] = {"kind": AlarmKind.ABOVE, "high": 8.0, "deadband": 0.5}


def bench_of(kernels: Kernels, definition: AlarmDef) -> Bench:
    return Bench.of(kernels, [point()], [definition])


@pytest.mark.parametrize(
    ("definition", "raises", "stays_raised", "clears"),
    [
        (alarm(**ABOVE_8), [8.0000001, 1e300], [8.0, 7.5000001], [7.5, -1e300]),
        (alarm(kind=AlarmKind.BELOW, low=2.0, deadband=0.5), [1.99, -1e300], [2.0, 2.49], [2.5, 9.0]),
        (
            alarm(kind=AlarmKind.OUTSIDE, low=2.0, high=8.0, deadband=0.5),
            [1.99, 8.01],
            [2.49, 7.51, -5.0, 50.0],
            [2.5, 7.5, 5.0],
        ),
        (alarm(kind=AlarmKind.EQUALS, low=3.0), [3.0], [3.0], [2.999, 3.001]),
        (alarm(kind=AlarmKind.EQUALS, low=3.0, deadband=1.0), [3.0], [2.0, 4.0], [1.99, 4.01]),
    ],
)
def test_condition_and_dead_band_of_each_kind(
    kernel_set: Kernels,
    definition: AlarmDef,
    raises: list[float],
    stays_raised: list[float],
    clears: list[float],
):
    for high in raises:
        for between in stays_raised:
            for low in clears:
                bench = bench_of(kernel_set, definition)
                moves = [bench.step(value, 0) for value in (low, high, between, low, low)]
                assert moves == [0, RAISED, 0, CLEARED, 0]
                assert bench.f(A_VALUE, bench.alarm()) == low


def test_inside_the_dead_band_does_not_raise(kernel_set: Kernels):
    bench = bench_of(kernel_set, alarm(**ABOVE_8))
    assert [bench.step(value, 0) for value in (8.0, 7.9, 7.6)] == [0, 0, 0]


# (state, event) -> (state, move), with both delays 100 ns and 60 ns since the last value. `in` is
# beyond the limit, `band` between the limit and the dead band, `out` normal.
TABLE = {
    (NORMAL, "in"): (PENDING_ON, 0),
    (NORMAL, "band"): (NORMAL, 0),
    (NORMAL, "out"): (NORMAL, 0),
    (PENDING_ON, "in"): (PENDING_ON, 0),
    (PENDING_ON, "in, late"): (ACTIVE, RAISED),
    (PENDING_ON, "band"): (NORMAL, 0),
    (PENDING_ON, "out"): (NORMAL, 0),
    (ACTIVE, "in"): (ACTIVE, 0),
    (ACTIVE, "band"): (ACTIVE, 0),
    (ACTIVE, "out"): (PENDING_OFF, 0),
    (PENDING_OFF, "in"): (ACTIVE, 0),
    (PENDING_OFF, "band"): (ACTIVE, 0),
    (PENDING_OFF, "out"): (PENDING_OFF, 0),
    (PENDING_OFF, "out, late"): (NORMAL, CLEARED),
}
VALUES = {"in": 9.0, "band": 7.8, "out": 1.0}


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_every_state_and_event(kernel_set: Kernels, state: int, event: str):
    bench = bench_of(kernel_set, alarm(**ABOVE_8, on_delay_ns=100, off_delay_ns=100))
    at = bench.alarm()
    value, _, late = event.partition(", ")
    bench.tables.state_i[at + A_STATE] = state
    bench.tables.state_i[at + A_ELAPSED_NS] = 40 if late else 39
    move = bench.step(VALUES[value], 60)
    assert (bench.i(A_STATE, at), move) == TABLE[state, event]


def test_a_delay_begins_anew_after_each_interruption(kernel_set: Kernels):
    bench = bench_of(kernel_set, alarm(**ABOVE_8, on_delay_ns=100, off_delay_ns=100))
    values = [9, 9, 1, 9, 9, 9, 1, 1, 9, 1, 1, 1]
    moves = [bench.step(float(value), 60) for value in values]
    assert moves == [0, 0, 0, 0, 0, RAISED, 0, 0, 0, 0, 0, CLEARED]


# --- with qualities and times, through the fused kernel ----------------------------------------


@dataclass
class Model:
    """One `above` alarm written the long way: the counted time since the condition changed."""

    on_ns: int
    off_ns: int
    active: bool = False
    against: list[int] = field(default_factory=list)
    """Counted time of each value in a row that spoke against the present state."""
    good_before: tuple[int, bool] | None = None
    moves: list[tuple[int, int]] = field(default_factory=list)

    def take(self, index: int, t_ns: int, value: float, quality: int) -> None:
        if quality:
            if self.good_before:
                self.good_before = (self.good_before[0], False)
            return
        step = t_ns - self.good_before[0] if self.good_before and self.good_before[1] else 0
        self.good_before = (t_ns, True)
        beyond = value > (8.0 - 0.5 if self.active else 8.0)
        self.against = [*self.against, step if self.against else 0] if beyond != self.active else []
        if self.against and sum(self.against) >= (self.off_ns if self.active else self.on_ns):
            self.active = not self.active
            self.against = []
            self.moves.append((index, RAISED if self.active else CLEARED))


polls = st.lists(
    st.tuples(
        st.sampled_from([1.0, 7.8, 9.0, 9.0, 1.0]),
        st.sampled_from([0, 0, 0, int(NO_REPLY), int(IMPLAUSIBLE)]),
        st.sampled_from([0, 10, 50, 100]),
    ),
    max_size=40,
)


@given(polls=polls, on_ns=st.sampled_from([0, 50, 120]), off_ns=st.sampled_from([0, 50, 120]))
@modest
def test_raising_and_clearing_equal_a_slow_model_over_bad_stretches(
    kernel_set: Kernels, polls: list[tuple[float, int, int]], on_ns: int, off_ns: int
):
    bench = bench_of(kernel_set, alarm(**ABOVE_8, on_delay_ns=on_ns, off_delay_ns=off_ns))
    model = Model(on_ns, off_ns)
    seen, now = [], 0
    for index, (value, quality, step) in enumerate(polls):
        now += step
        model.take(index, now, value, quality)
        seen += [(index, move) for _, move in bench.judge(f64(value), now, quality)]
    assert seen == model.moves


def test_time_across_a_bad_stretch_does_not_count(kernel_set: Kernels):
    bench = bench_of(kernel_set, alarm(**ABOVE_8, on_delay_ns=2 * NS))
    good, bad = (f64(9.0), 0), (b"", int(NO_REPLY))
    script = [good, good, bad, bad, good, good]  # one second each: counted 0, 1, -, -, 1, 2
    moves = [bench.judge(data, t * NS, quality) for t, (data, quality) in enumerate(script)]
    assert moves == [[], [], [], [], [], [(0, RAISED)]]


@pytest.mark.parametrize("quality", [NO_REPLY, IMPLAUSIBLE])
def test_bad_values_neither_raise_nor_clear(kernel_set: Kernels, quality: int):
    bench = bench_of(kernel_set, alarm(**ABOVE_8))
    assert bench.judge(f64(9.0), 0, quality) == []
    assert bench.judge(f64(9.0), 1) == [(0, RAISED)]
    assert bench.judge(f64(1.0), 2, quality) == []
    assert bench.i(A_STATE, bench.alarm()) == ACTIVE


def test_rate_is_per_second_between_good_values_and_signed(kernel_set: Kernels):
    bench = bench_of(kernel_set, alarm(kind=AlarmKind.RATE_ABOVE, high=5.0, input=AlarmInput.RAW))
    at = bench.alarm()
    assert bench.judge(f64(100.0), 0) == []
    assert bench.judge(f64(101.0), NS // 10) == [(0, RAISED)]
    assert bench.f(A_VALUE, at) == pytest.approx(10.0)
    assert bench.judge(b"", NS // 5, NO_REPLY) == []
    # From 101 at 0.1 s to 103 at 1.1 s, whatever was bad between them.
    assert bench.judge(f64(103.0), NS + NS // 10) == [(0, CLEARED)]
    assert bench.f(A_VALUE, at) == pytest.approx(2.0)
    assert bench.judge(f64(3.0), 2 * NS) == []


def test_without_two_times_there_is_no_rate(kernel_set: Kernels):
    bench = bench_of(kernel_set, alarm(kind=AlarmKind.RATE_ABOVE, high=-1e9))
    assert bench.judge(f64(1.0), NS) == []
    assert bench.judge(f64(9.0), NS) == []
    assert bench.judge(f64(9.0), 2 * NS) == [(0, RAISED)]


def test_input_raw_sees_the_spike_that_the_filter_takes_out(kernel_set: Kernels):
    raw = alarm("raw", **ABOVE_8, input=AlarmInput.RAW)
    filtered = alarm("filtered", **ABOVE_8, input=AlarmInput.FILTERED)
    bench = Bench.of(kernel_set, [point(filters=(Median(samples=3),))], [filtered, raw])
    moves = [bench.judge(f64(value), t) for t, value in enumerate([1.0, 1.0, 9.0, 1.0, 9.0, 9.0])]
    assert moves == [[], [], [(1, RAISED)], [(1, CLEARED)], [(0, RAISED), (1, RAISED)], []]


def test_rate_of_the_filtered_input_is_the_filters_own(kernel_set: Kernels):
    definition = alarm(kind=AlarmKind.RATE_ABOVE, high=0.5, input=AlarmInput.FILTERED)
    bench = Bench.of(kernel_set, [point(filters=(Median(samples=3),))], [definition])
    moves = [bench.judge(f64(value), t * NS) for t, value in enumerate([1.0, 1.0, 9.0, 9.0])]
    assert moves == [[], [], [], [(0, RAISED)]]
    assert bench.f(A_VALUE, bench.alarm()) == 8.0
