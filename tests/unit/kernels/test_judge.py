"""The fused kernel equals its parts, in every mode, however the polls are cut into batches."""

from __future__ import annotations

import math
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.kernels import Kernels, load
from edge_agent.kernels.layout import (
    CHANGED,
    COUNT,
    FILTERED,
    GOOD_NS,
    GOOD_VALUE,
    NEVER,
    POLL_NS,
    QUALITY,
    RAISED,
    RAW,
    VALUE,
)
from edge_agent.model import (
    CLOCK,
    GOOD,
    IMPLAUSIBLE,
    INVALID,
    NO_REPLY,
    NS,
    STALE,
    AlarmInput,
    AlarmKind,
    Area,
    Deadband,
    Lowpass,
    Median,
    Order,
    PointType,
    Quality,
    Send,
)
from tests.unit.kernels.table_cells import Bench, row
from tests.unit.process.sites import alarm, f64, point, u16

modest = settings(max_examples=40, deadline=None)

# One of everything, over 16 registers.
POINTS = (
    point("f64", plausible=(-1e6, 1e6), filters=(Median(samples=3), Lowpass(tau_ns=NS), Deadband(width=0.5))),
    point("f32", type=PointType.F32, address=4, order=Order.CDAB, filters=(Lowpass(tau_ns=NS),)),
    point("u64", type=PointType.U64, address=6, order=Order.DCBA, send=Send.CHANGES),
    point("s16", type=PointType.S16, address=10, scale=0.1, invalid=(0x8000,), filters=(Median(samples=5),)),
    point("bcd", type=PointType.BCD32, address=11, order=Order.BADC),
    point("s32", type=PointType.S32, address=13, offset=1e9),
    point("bits", type=PointType.U16, address=15, bits=(4, 7)),
)
ALARMS = (
    alarm("a", AlarmKind.ABOVE, point="f64", high=0.5, deadband=0.1, on_delay_ns=NS, input=AlarmInput.RAW),
    alarm("b", AlarmKind.RATE_ABOVE, point="f64", high=1.0, off_delay_ns=2 * NS),
    alarm("c", AlarmKind.OUTSIDE, point="s16", low=-10.0, high=10.0),
    alarm("d", AlarmKind.EQUALS, point="bits", low=0.0),
    alarm("e", AlarmKind.BELOW, point="f32", low=0.0),
)
ALL = tuple(range(len(POINTS)))
payloads = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(
        lambda a, b, rest: struct.pack(">d", a) + struct.pack(">f", b) + rest,
        st.floats(-2, 2) | st.sampled_from([float("nan"), float("inf"), 1e9, 1e308]),
        st.floats(-2, 2, width=32),
        st.binary(min_size=20, max_size=20),
    ),
)
qualities = st.sampled_from([GOOD, GOOD, GOOD, NO_REPLY, Quality.exception(2)])
polls = st.lists(st.tuples(payloads, qualities, st.integers(0, 3 * NS)), max_size=25)


def run(bench: Bench, polls: list[tuple[bytes, Quality, int]], start_ns: int = 0) -> list[object]:
    moves: list[object] = []
    now = start_ns
    for payload, quality, step in polls:
        now += step
        moves.append(bench.judge(payload, now, quality, ALL))
    return moves


@given(polls=polls)
@modest
def test_every_mode_gives_the_same_bits(kernel_set: Kernels, polls: list[tuple[bytes, Quality, int]]):
    bench = Bench.of(kernel_set, POINTS, ALARMS)
    plain = Bench.of(load("python"), POINTS, ALARMS)
    assert run(bench, polls) == run(plain, polls)
    assert bench.state_bits() == plain.state_bits()


@given(polls=polls, cut=st.integers(0, 25))
@modest
def test_two_batches_with_carried_state_equal_one_batch(
    kernel_set: Kernels, polls: list[tuple[bytes, Quality, int]], cut: int
):
    whole, first, second = (Bench.of(kernel_set, POINTS, ALARMS) for _ in range(3))
    a = run(first, polls[:cut])
    second.take_state(first)
    b = run(second, polls[cut:], sum(step for _, _, step in polls[:cut]))
    assert a + b == run(whole, polls)
    assert second.state_bits() == whole.state_bits()


@given(polls=polls)
@modest
def test_points_of_a_block_do_not_touch_each_other(
    kernel_set: Kernels, polls: list[tuple[bytes, Quality, int]]
):
    together = Bench.of(kernel_set, POINTS, ALARMS)
    apart = Bench.of(kernel_set, POINTS, ALARMS)
    run(together, polls)
    now = 0
    for payload, quality, step in polls:
        now += step
        for index in reversed(ALL):
            apart.judge(payload, now, quality, (index,))
    assert together.state_bits() == apart.state_bits()


def test_a_block_without_points_is_fine(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point()])
    before = bench.state_bits()
    numbers = bench.tables.moves
    assert bench.kernels.judge(b"", 0, numbers, 0, 5, 0, *bench.all, bench.tables.moves) == 0
    assert bench.state_bits() == before


def test_a_bad_outcome_keeps_the_last_value_and_its_time(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(filters=(Median(samples=3),))])
    bench.judge(f64(4.0), 10)
    bench.judge(b"", 20, NO_REPLY)
    assert (bench.i(QUALITY), bench.i(POLL_NS), bench.i(GOOD_NS)) == (NO_REPLY, 20, 10)
    assert (bench.f(VALUE), bench.f(FILTERED), bench.f(GOOD_VALUE)) == (4.0, 4.0, 4.0)


def test_an_implausible_value_is_shown_but_neither_filtered_nor_remembered_as_good(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(plausible=(0.0, 10.0), filters=(Lowpass(tau_ns=NS),))])
    bench.judge(f64(4.0), 0)
    bench.judge(f64(400.0), NS)
    assert bench.i(QUALITY) == IMPLAUSIBLE
    assert (bench.f(VALUE), bench.f(FILTERED), bench.f(GOOD_VALUE), bench.i(GOOD_NS)) == (400.0, 4.0, 4.0, 0)


def test_an_uncertain_time_does_not_spoil_a_value_and_the_worse_quality_stands(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(plausible=(0.0, 10.0))])
    bench.judge(f64(4.0), 1, CLOCK)
    assert (bench.i(QUALITY), bench.f(GOOD_VALUE), bench.i(COUNT)) == (CLOCK, 4.0, 1)
    bench.judge(f64(11.0), 2, STALE)
    assert (bench.i(QUALITY), bench.f(GOOD_VALUE)) == (IMPLAUSIBLE, 4.0)
    bench.judge(f64(math.nan), 3, CLOCK)
    assert bench.i(QUALITY) == INVALID


def test_changed_says_whether_value_or_quality_differ_from_the_poll_before(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(type=PointType.U64, invalid=(9,))])
    big = 2**63
    script = [(big, GOOD), (big, GOOD), (big + 1, GOOD), (9, GOOD), (9, GOOD), (0, NO_REPLY), (big + 1, GOOD)]
    changed = []
    for t, (raw, quality) in enumerate(script):
        bench.judge(raw.to_bytes(8, "big"), t, quality)
        changed.append(bench.i(CHANGED))
    # big and big + 1 are the same double: the registers are compared, not the number.
    assert changed == [1, 0, 1, 1, 0, 1, 1]
    assert bench.i(RAW) == -(2**63) + 1


def test_changed_compares_what_the_filter_puts_out(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(type=PointType.U16, filters=(Deadband(width=2.0),))])
    changed = []
    for t, raw in enumerate([10, 11, 12, 13, 13]):
        bench.judge(u16(raw), t)
        changed.append(bench.i(CHANGED))
    assert changed == [1, 0, 0, 1, 0]


def test_packed_bits_are_judged_like_registers(kernel_set: Kernels):
    points = [point(f"c{i}", area=Area.COIL, type=PointType.BOOL, address=100 + i) for i in range(10)]
    alarms = [alarm(f"a{i}", AlarmKind.EQUALS, point=f"c{i}", low=1.0) for i in range(10)]
    bench = Bench.of(kernel_set, points, alarms)
    moves = bench.judge(b"\x05\x02", 1, GOOD, tuple(range(10)), address=100)
    assert moves == [(0, RAISED), (2, RAISED), (9, RAISED)]


def test_a_new_point_has_never_been_polled(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(), point("q", address=4)])
    bench.judge(f64(1.0), 5)
    assert (bench.i(QUALITY, row(1)), bench.i(GOOD_NS, row(1)), bench.i(COUNT, row(1))) == (NEVER, NEVER, 0)


def test_an_invalid_value_is_bad_in_the_window_and_for_the_point(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point()])
    bench.judge(f64(float("nan")), 1)
    assert bench.i(QUALITY) == INVALID
    assert bench.read_window()[0][:4] == [0, 1, 0, INVALID]
