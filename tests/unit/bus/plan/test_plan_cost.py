"""The plan is the cheapest there is: against every partition, and against greedy merging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.plan.cost import (
    ASSUMED_TURNAROUND_NS,
    STEPS,
    TCP_TURNAROUND_NS,
    LineCost,
    Turnaround,
    line_cost,
)
from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import Area, BusDef, DeviceDef, PointDef, PointType, Quirks, SerialLink, TcpLink
from tests.unit.bus import greedy
from tests.unit.bus.helpers import point

MS = 1_000_000
KINDS = [PointType.U16, PointType.F32, PointType.F64]


def planner_of(points: Sequence[PointDef], cost: LineCost, **quirks) -> Planner:
    device = DeviceDef(name="d", bus="b", unit_id=5, quirks=Quirks(**quirks), points=tuple(points))
    return Planner(0, device, list(enumerate(points)), cost)


def at(*addresses, **more):
    return [point(address, f"p{number}", **more) for number, address in enumerate(addresses)]


def cost_at(baud: int, **quirks) -> LineCost:
    device = DeviceDef(name="d", bus="b", unit_id=5, quirks=Quirks(**quirks))
    return line_cost(BusDef(name="b", link=SerialLink(path="x", baud=baud)), device)


# --- against every partition ----------------------------------------------------------------------


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for smaller in partitions(rest):
        yield [[first], *smaller]
        for number, part in enumerate(smaller):
            yield [*smaller[:number], [first, *part], *smaller[number + 1 :]]


class Judge:
    """The rules of a request once more, written down for a set of points and not for a pair."""

    def __init__(self, points: Sequence[PointDef], quirks: Quirks, refusals: Refusals) -> None:
        self.points, self.quirks, self.refusals = points, quirks, refusals

    def legal(self, part: list[int]) -> bool:
        spans = sorted(
            {(self.points[i].address, self.points[i].address + self.points[i].words) for i in part}
        )
        area = self.points[part[0]].area
        if any(self.points[i].area is not area for i in part):
            return False
        if len(spans) == 1:
            return True
        first, end = spans[0][0], max(end for _, end in spans)
        asked = {n for low, high in spans for n in range(low, high)}
        touched = set(range(first, end))
        quirks = self.quirks
        longest, gap = (
            (quirks.max_read_bits, quirks.max_gap_bits)
            if area.is_bits
            else (quirks.max_read_words, quirks.max_gap_words)
        )
        run = 0
        for n in range(first, end):
            run = 0 if n in asked else run + 1
            if run > gap:
                return False
        bad = {n for where, low, high in quirks.forbidden if where is area for n in range(low, high + 1)}
        bad |= {at for where, at in quirks.read_alone if where is area}
        bad |= {n for low, high in self.refusals.holes(area) for n in range(low, high)}
        if end - first > longest or touched & bad:
            return False
        if any(where is area and first < at < end for where, at in quirks.barriers):
            return False
        return not any(first < at <= max(low for low, _ in spans) for at in self.refusals.cuts(area))

    def cost(self, part: list[int], cost: LineCost, turnaround_ns: int) -> int:
        first = min(self.points[i].address for i in part)
        end = max(self.points[i].address + self.points[i].words for i in part)
        return cost.read_ns(self.points[part[0]].area, end - first, turnaround_ns)


words = st.tuples(st.integers(0, 40), st.sampled_from(KINDS), st.sampled_from([Area.HOLDING, Area.INPUT]))
bits = st.tuples(st.integers(0, 60), st.just(PointType.BOOL), st.just(Area.COIL))
place = st.integers(0, 40)
few = st.lists(place, max_size=2)


@given(
    st.lists(words, min_size=1, max_size=7) | st.lists(bits, min_size=1, max_size=7),
    st.integers(4, 30),
    st.integers(0, 40),
    few,
    few,
    few,
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([2, 3])), max_size=4),
    st.sampled_from([1200, 9600, 19200, 115200]),
    st.sampled_from([100_000, 2 * MS, 10 * MS, 50 * MS]),
)
@settings(max_examples=300, deadline=None)
def test_no_partition_costs_less(shape, longest, gap, barriers, forbidden, alone, refused, baud, turnaround):
    points = [point(a, f"p{n}", type=kind, area=area) for n, (a, kind, area) in enumerate(shape)]
    quirks = Quirks(
        max_read_words=longest,
        max_read_bits=longest,
        max_gap_words=gap,
        max_gap_bits=gap,
        barriers=tuple((points[0].area, a) for a in barriers),
        forbidden=tuple((points[0].area, a, a) for a in forbidden),
        read_alone=tuple((points[0].area, a) for a in alone),
    )
    cost = cost_at(baud)
    planner = Planner(
        0, DeviceDef(name="d", bus="b", unit_id=5, quirks=quirks), list(enumerate(points)), cost
    )
    planner.assume(turnaround)
    refusals = Refusals()
    for number, code in refused:
        requests = planner.plan(range(len(points)), refusals).requests
        if requests:
            request = requests[number % len(requests)]
            refusals.refuse(request, planner.definitions(request), code)
    made = planner.plan(range(len(points)), refusals)
    asked = [index for index in range(len(points)) if not refusals.code(index)]
    assert sorted(index for request in made.requests for index in request.points) == asked
    judge = Judge(points, quirks, refusals)
    assert all(judge.legal(list(request.points)) for request in made.requests)
    least = min(
        sum(judge.cost(part, cost, planner.turnaround.ns) for part in parts)
        for parts in partitions(asked)
        if all(judge.legal(part) for part in parts)
    )
    assert sum(planner.line_ns(request) for request in made.requests) == least


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=80),
    st.sampled_from([Area.HOLDING, Area.DISCRETE]),
    st.integers(2, 125),
    st.integers(0, 200),
    st.sampled_from([100_000, 2 * MS, 50 * MS]),
)
@settings(max_examples=150, deadline=None)
def test_the_plan_is_never_dearer_than_greedy_merging(addresses, area, longest, gap, turnaround):
    points = at(*addresses, area=area)
    limits = {
        "max_read_words": longest,
        "max_read_bits": longest,
        "max_gap_words": gap,
        "max_gap_bits": gap,
    }
    planner = planner_of(points, cost_at(9600), **limits)
    planner.assume(turnaround)
    made = planner.plan(range(len(points)), Refusals()).requests
    merged = greedy.spans([(one, number) for number, one in enumerate(points)], Quirks(**limits), Refusals())
    dear = greedy.line_ns(merged, planner.cost, planner.turnaround.ns)
    assert sum(planner.line_ns(request) for request in made) <= dear


# --- what the cost decides ------------------------------------------------------------------------


def test_a_gap_is_read_along_only_where_that_is_cheaper_than_a_request_of_its_own():
    points = at(0, 25)
    quick = planner_of(points, cost_at(9600), max_gap_words=124)
    quick.assume(2 * MS)
    assert len(quick.plan([0, 1], Refusals()).requests) == 2
    slow = planner_of(points, cost_at(9600), max_gap_words=124)
    slow.assume(50 * MS)
    assert len(slow.plan([0, 1], Refusals()).requests) == 1
    # At 115200 baud t3.5 is as long as twenty characters: the same device, the other choice.
    fast = planner_of(points, cost_at(115200), max_gap_words=124)
    fast.assume(2 * MS)
    assert len(fast.plan([0, 1], Refusals()).requests) == 1


def test_the_longest_read_is_cut_where_a_gap_is_saved():
    # From the left, 0 to 19 fit into one read with a gap of 8 in it; the gap is better left out.
    points = [*at(*range(6)), *at(*range(14, 26))]
    planner = planner_of(points, cost_at(9600), max_read_words=20, max_gap_words=8)
    made = planner.plan(range(len(points)), Refusals()).requests
    assert [(request.address, request.count) for request in made] == [(0, 6), (14, 12)]


def test_an_address_read_alone_and_a_block_read_whole_are_not_read_across():
    across = at(10, 12)
    cost = cost_at(9600)
    alone = planner_of(across, cost, read_alone=((Area.HOLDING, 11),))
    assert len(alone.plan([0, 1], Refusals()).requests) == 2
    whole = planner_of(across, cost, read_whole=((Area.HOLDING, 11, 1),))
    assert len(whole.plan([0, 1], Refusals()).requests) == 2


def test_points_on_the_same_registers_are_read_once_even_alone():
    slices = [point(7, "a", bits=(0, 1)), point(7, "b", bits=(1, 1))]
    for quirks in ({"read_alone": ((Area.HOLDING, 7),)}, {"one_point_per_request": True}):
        made = planner_of(slices, cost_at(9600), **quirks).plan([0, 1], Refusals()).requests
        assert [(request.address, request.count, request.points) for request in made] == [(7, 1, (0, 1))]


def test_a_plan_is_kept_per_set_of_due_points_and_step_of_the_turnaround():
    planner = planner_of(at(0, 30), cost_at(9600), max_gap_words=124)
    refusals = Refusals()
    first = planner.plan([0, 1], refusals)
    assert planner.plan([1, 0], refusals) is first
    planner.assume(50 * MS)
    other = planner.plan([0, 1], refusals)
    assert other is not first
    planner.assume(51 * MS)
    assert planner.plan([0, 1], refusals) is other


# --- the turnaround -------------------------------------------------------------------------------


def test_a_turnaround_is_assumed_until_it_is_measured():
    turnaround = Turnaround(ASSUMED_TURNAROUND_NS)
    turnaround.assume(0)
    assert (turnaround.ns, turnaround.measured) == (ASSUMED_TURNAROUND_NS, False)
    turnaround.assume(21 * MS)
    assert (turnaround.ns, turnaround.measured) == (20 * MS, True)


@given(st.integers(1, 30_000 * MS))
@settings(max_examples=100)
def test_a_step_is_no_further_off_than_a_quarter_of_an_octave(measured):
    turnaround = Turnaround(ASSUMED_TURNAROUND_NS)
    turnaround.assume(measured)
    assert turnaround.ns in STEPS
    if STEPS[0] <= measured <= STEPS[-1]:
        assert turnaround.ns / measured == pytest.approx(1, rel=0.2)


@given(st.integers(MS, 100 * MS), st.lists(st.floats(0.9, 1.1), max_size=50))
@settings(max_examples=100)
def test_an_average_that_wavers_by_a_tenth_changes_the_step_once_at_most(centre, wavering):
    turnaround = Turnaround(ASSUMED_TURNAROUND_NS)
    turnaround.assume(centre)
    steps = [turnaround.ns]
    for factor in wavering:
        turnaround.assume(round(centre * factor))
        steps.append(turnaround.ns)
    assert len(set(steps)) <= 2
    assert sum(a != b for a, b in pairwise(steps)) <= 1


def test_the_cost_is_that_of_the_line_and_of_the_devices_own_pauses():
    # 9600 8N1: 1.0417 ms a byte, t3.5 of 38.5 bits; 13 + 4 bytes.
    cost = cost_at(9600)
    assert cost.read_ns(Area.INPUT, 2, 5 * MS) == pytest.approx((17 * 10 + 38.5) / 9600 * 1e9 + 5e6, rel=1e-6)
    assert cost_at(9600, turnaround_ns=30 * MS).silence_ns == 30 * MS
    assert cost_at(9600, interframe_ns=MS).silence_ns == MS
    assert cost.data_ns(Area.COIL, 9) == 2 * cost.char_ns
    # A device must itself keep t3.5 before it replies: at 1200 baud that is 32 ms.
    assert cost_at(1200).assumed_turnaround_ns == pytest.approx(38.5 / 1200 * 1e9, rel=1e-6)
    network = line_cost(BusDef(name="n", link=TcpLink(host="h")), DeviceDef(name="d", bus="n", unit_id=1))
    assert network.assumed_turnaround_ns == TCP_TURNAROUND_NS
    assert network.data_ns(Area.HOLDING, 125) < network.fixed_ns(TCP_TURNAROUND_NS) / 4
