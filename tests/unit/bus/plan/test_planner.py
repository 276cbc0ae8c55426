"""Plans bring every point, and never ask what the device does not stand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import Area, DeviceDef, PointType, Quirks
from tests.unit.bus.helpers import point


def plan(points, refusals=None, **quirks):
    device = DeviceDef(name="d", bus="b", unit_id=5, quirks=Quirks(**quirks), points=tuple(points))
    planner = Planner(3, device, list(enumerate(points, 10)))
    made = planner.plan([index + 10 for index in range(len(points))], refusals or Refusals())
    return [(request.address, request.count) for request in made.requests]


def at(*addresses, **more):
    return [point(address, f"p{number}", **more) for number, address in enumerate(addresses)]


def test_neighbours_and_small_gaps_are_one_request():
    assert plan(at(0, 1, 2, 6)) == [(0, 7)]
    assert plan(at(0, 1, 2, 8)) == [(0, 3), (8, 1)]
    assert plan(at(0, 1, 4), max_gap_words=0) == [(0, 2), (4, 1)]


def test_order_of_points_in_the_configuration_does_not_matter():
    assert plan(at(6, 0, 2, 1)) == [(0, 7)]


def test_no_request_is_longer_than_the_device_allows():
    assert plan(at(*range(200))) == [(0, 125), (125, 75)]
    assert plan(at(*range(0, 60, 2), type=PointType.F32), max_read_words=29) == [(0, 28), (28, 28), (56, 4)]
    assert plan(at(*range(300), area=Area.COIL), max_read_bits=100) == [(0, 100), (100, 100), (200, 100)]


def test_areas_are_apart():
    mixed = [*at(0, 1), *at(0, 1, area=Area.INPUT), *at(0, 1, area=Area.COIL)]
    assert plan(mixed) == [(0, 2)] * 3


def test_forbidden_registers_are_not_read_across():
    assert plan(at(0, 4), forbidden=((Area.HOLDING, 2, 2),)) == [(0, 1), (4, 1)]
    assert plan(at(0, 4), forbidden=((Area.INPUT, 2, 2),)) == [(0, 5)]


def test_barriers_part():
    assert plan(at(254, 255, 256), barriers=((Area.HOLDING, 256),)) == [(254, 2), (256, 1)]


def test_a_block_is_read_whole_or_not_at_all():
    whole = ((Area.HOLDING, 100, 20),)
    assert plan(at(99, 105, 110, 120), read_whole=whole) == [(99, 1), (100, 20), (120, 1)]
    assert plan(at(99), read_whole=whole) == [(99, 1)]


def test_some_points_are_read_alone():
    assert plan(at(10, 11, 12), read_alone=((Area.HOLDING, 11),)) == [(10, 1), (11, 1), (12, 1)]
    assert plan(at(10, 11, 12), one_point_per_request=True) == [(10, 1), (11, 1), (12, 1)]


def test_a_group_comes_from_one_request_when_it_fits():
    grouped = [point(0, "a", group="g"), point(50, "b", group="g"), point(20, "c")]
    assert plan(grouped) == [(0, 51)]
    assert plan(grouped, max_read_words=40) == [(0, 1), (20, 1), (50, 1)]
    assert plan(grouped, forbidden=((Area.HOLDING, 20, 30),))[0] == (0, 1)


def test_bit_slices_of_one_register_share_its_read():
    slices = [point(7, "a", bits=(0, 1)), point(7, "b", bits=(1, 1)), point(7, "c", bits=(8, 8))]
    assert plan(slices) == [(7, 1)]


def test_points_carry_their_index_in_the_order_of_addresses():
    points = at(12, 10, 11)
    planner = Planner(3, DeviceDef(name="d", bus="b", unit_id=5), list(enumerate(points, 10)))
    (request,) = planner.plan([10, 11, 12], Refusals()).requests
    assert request.points == (11, 12, 10)
    assert (request.device, request.unit_id) == (3, 5)


maps = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from([PointType.U16, PointType.F32, PointType.F64]),
        st.sampled_from([Area.HOLDING, Area.INPUT]),
        st.sampled_from(["", "", "", "g", "h"]),
    ),
    min_size=1,
    max_size=40,
)


@given(
    maps,
    st.integers(4, 125),
    st.integers(0, 10),
    st.lists(st.integers(0, 300), max_size=3),
    st.lists(st.integers(0, 300), max_size=3),
)
@settings(max_examples=150)
def test_every_point_is_in_exactly_one_request_within_all_limits(shape, longest, gap, barriers, forbidden):
    points = [
        point(address, f"p{number}", type=kind, area=area, group=group and group + area)
        for number, (address, kind, area, group) in enumerate(shape)
    ]
    quirks = Quirks(
        max_read_words=longest,
        max_gap_words=gap,
        barriers=tuple((Area.HOLDING, at) for at in barriers),
        forbidden=tuple((Area.INPUT, at, at) for at in forbidden),
    )
    planner = Planner(0, DeviceDef(name="d", bus="b", unit_id=1, quirks=quirks), list(enumerate(points)))
    made = planner.plan(range(len(points)), Refusals()).requests
    assert sorted(index for request in made for index in request.points) == list(range(len(points)))
    for request in made:
        last = request.address + request.count
        inside = [points[index] for index in request.points]
        assert all(request.address <= p.address and p.address + p.words <= last for p in inside)
        assert all(p.area is request.area for p in inside)
        assert request.count <= longest
        if len(inside) > 1 and len({p.address for p in inside}) > 1:
            assert not any(
                request.area is Area.HOLDING and request.address < at < last
                and not any(p.address < at < p.address + p.words for p in inside)
                for at in barriers
            )  # fmt: skip
            assert not any(
                request.area is Area.INPUT and request.address <= at < last
                and not any(p.address <= at < p.address + p.words for p in inside)
                for at in forbidden
            )  # fmt: skip


# --- refusals -------------------------------------------------------------------------------------


def settle(points, illegal, **quirks):
    """Plan and refuse until nothing new is refused; (final requests, refused addresses, tries)."""
    device = DeviceDef(name="d", bus="b", unit_id=5, quirks=Quirks(**quirks), points=tuple(points))
    planner = Planner(0, device, list(enumerate(points)))
    refusals = Refusals()
    tries = 0
    while True:
        made = planner.plan(range(len(points)), refusals)
        bad = [r for r in made.requests if any(r.address <= at < r.address + r.count for at in illegal)]
        if not bad:
            refused = {points[index].address for r, _ in made.refused for index in r.points}
            return made.requests, refused, tries
        tries += 1
        assert tries < 500, "it does not settle"
        refusals.refuse(bad[0], planner.definitions(bad[0]), 2)


@given(st.sets(st.integers(0, 80), min_size=1, max_size=40), st.sets(st.integers(0, 80), max_size=6))
@settings(max_examples=150)
def test_halving_finds_exactly_the_points_the_device_refuses(addresses, illegal):
    made, refused, _ = settle(at(*sorted(addresses)), illegal)
    assert refused == addresses & illegal
    asked = {address for r in made for address in range(r.address, r.address + r.count)}
    assert addresses - illegal <= asked


def test_an_illegal_register_in_a_gap_parts_the_read_and_refuses_no_point():
    made, refused, _ = settle(at(0, 1, 4, 5), {3})
    assert not refused
    assert [(r.address, r.count) for r in made] == [(0, 2), (4, 2)]


def test_a_refused_group_is_parted():
    grouped = [point(n, f"p{n}", group="g") for n in range(4)]
    _, refused, _ = settle(grouped, {2})
    assert refused == {2}


def test_other_exceptions_split_nothing():
    points = at(0, 1)
    planner = Planner(0, DeviceDef(name="d", bus="b", unit_id=5), list(enumerate(points)))
    refusals = Refusals()
    (request,) = planner.plan([0, 1], refusals).requests
    for code in (1, 4, 5, 6, 10, 11):
        assert not refusals.refuse(request, tuple(points), code)
    assert planner.plan([0, 1], refusals).requests == (request,)


def test_what_is_refused_is_asked_again_after_the_device_was_away():
    points = at(0)
    planner = Planner(0, DeviceDef(name="d", bus="b", unit_id=5), list(enumerate(points)))
    refusals = Refusals()
    (request,) = planner.plan([0], refusals).requests
    refusals.refuse(request, tuple(points), 2)
    assert not planner.plan([0], refusals).requests
    refusals.forget()
    assert planner.plan([0], refusals).requests == (request,)
