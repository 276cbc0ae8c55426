"""Every file in firmware_profiles/ goes through all of this; a new one gets it for nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_agent.model import DeviceDef, PointDef
from edge_agent.profiles import Library, Profile, as_device
from edge_agent.profiles.library import packaged
from tests.conftest import ROOT
from tests.unit.profiles.reference import decode

FILES = sorted((ROOT / "firmware_profiles").rglob("*.toml"))
LIBRARY = Library([packaged()])


def profile_of(path: Path) -> Profile:
    return LIBRARY.get(f"{path.parent.name}/{path.stem}")


@pytest.fixture(params=FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def profile(request: pytest.FixtureRequest) -> Profile:
    return profile_of(request.param)


@pytest.fixture
def device(profile: Profile) -> DeviceDef:
    return as_device(profile, name="it", bus="line", unit_id=1)


def point_of(device: DeviceDef, name: str) -> PointDef:
    return next(point for point in device.points if point.name == name)


def test_the_library_has_every_file() -> None:
    assert [f"{path.parent.name}/{path.stem}" for path in FILES] == LIBRARY.ids()
    assert len(FILES) >= 3


def test_it_says_where_its_facts_come_from(profile: Profile) -> None:
    assert profile.sources
    assert profile.status == "draft" or all(len(source.ref) > 10 for source in profile.sources)


def test_its_golden_vectors_decode_to_their_values(profile: Profile, device: DeviceDef) -> None:
    for test in profile.tests:
        value = decode(point_of(device, test.point), test.raw)
        if isinstance(test.value, int | float):
            assert isinstance(value, int | float)
            assert math.isclose(value, test.value, rel_tol=1e-6, abs_tol=1e-9), test
        else:
            assert value == test.value, test


def test_its_golden_vectors_are_plausible(profile: Profile, device: DeviceDef) -> None:
    for test in profile.tests:
        point = point_of(device, test.point)
        if point.plausible and isinstance(test.value, int | float):
            assert point.plausible[0] <= test.value <= point.plausible[1], test


def test_every_type_and_scale_in_it_has_a_golden_vector(profile: Profile, device: DeviceDef) -> None:
    def form(point: PointDef) -> tuple[object, ...]:
        return point.area.is_bits, point.type, point.order, point.scale, point.offset

    tested = {form(point_of(device, test.point)) for test in profile.tests}
    assert {form(point) for point in device.points} <= tested


def test_every_measurement_has_a_unit_and_a_title(profile: Profile, device: DeviceDef) -> None:
    for point in device.points:
        assert point.title, point.name
        if profile.roles[point.name] in ("measurement", "counter"):
            assert point.unit, point.name


def test_titles_are_told_apart(device: DeviceDef) -> None:
    titles = [(point.title, point.unit) for point in device.points]
    assert len(set(titles)) == len(titles)


def test_every_point_is_in_one_request_within_the_limits(device: DeviceDef) -> None:
    from edge_agent.bus.plan.planner import Planner
    from edge_agent.bus.plan.refusals import Refusals

    planner = Planner(0, device, list(enumerate(device.points)))
    requests = planner.plan(range(len(device.points)), Refusals()).requests
    assert sorted(index for request in requests for index in request.points) == list(
        range(len(device.points))
    )
    for request in requests:
        limit = device.quirks.max_read_bits if request.area.is_bits else device.quirks.max_read_words
        assert request.count <= limit
        for area, first, last in device.quirks.forbidden:
            assert area != request.area or last < request.address or request.address + request.count <= first


def test_the_sdm630_has_its_38_points() -> None:
    device = as_device(LIBRARY.get("eastron/sdm630"), name="m", bus="b", unit_id=1)
    assert len(device.points) == 38
    assert (point_of(device, "v_l2").address, point_of(device, "e_total_l3").address) == (0x0002, 0x016A)
