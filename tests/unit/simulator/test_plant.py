"""Devices from profiles: every point of every profile gets a value that the profile finds plausible."""

from __future__ import annotations

import pytest

from edge_agent.model import PointType
from edge_agent.profiles import default_library
from edge_agent.simulator import catalogue
from edge_agent.simulator.device import Memory, SimDevice
from edge_agent.simulator.encode import encode, value_of
from edge_agent.simulator.signals import Counter, Text
from edge_agent.simulator.wire import ReadPdu

LIBRARY = default_library()


def made(profile_id: str) -> SimDevice:
    return catalogue.device_of(LIBRARY.get(profile_id), "meter", 1, seed=4)


def shown(device: SimDevice, t: float) -> dict[str, float]:
    return {
        entry.point.name: entry.signal.value(t)
        for entry in device.points
        if not isinstance(entry.signal, (Counter, Text))
    }


@pytest.mark.parametrize("profile_id", LIBRARY.ids())
def test_every_point_is_served_within_its_plausible_range(profile_id: str):
    device = made(profile_id)
    assert device.points
    for t in (0.0, 17.3, 4000.0, 86_400.0):
        values = shown(device, t)
        for entry in device.points:
            if entry.point.name in values and entry.point.plausible:
                low, high = entry.point.plausible
                assert low <= values[entry.point.name] <= high, entry.point.name


@pytest.mark.parametrize("profile_id", LIBRARY.ids())
def test_every_point_of_a_profile_can_be_read_alone_and_decodes(profile_id: str):
    device = made(profile_id)
    memory = Memory(device)
    for entry in device.points:
        p = entry.point
        data = memory.read(ReadPdu(area=p.area, address=p.address, count=p.words), 100.0)
        assert isinstance(data, bytes), f"{p.name}: exception {data}"
        if p.type is not PointType.STRING and not p.area.is_bits:
            words = tuple(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
            assert value_of(p, words) is not None


@pytest.mark.parametrize("profile_id", ["eastron/sdm630", "eastron/sdm120"])
@pytest.mark.parametrize("t", [0.0, 33.0, 1234.5])
def test_phases_fit_each_other(profile_id: str, t: float):
    values = shown(made(profile_id), t)
    phases = ["_l1", "_l2", "_l3"] if "v_l1" in values else [""]
    for phase in phases:
        v, i, p, pf = (values[name + phase] for name in ("v", "i", "p", "pf"))
        assert p == pytest.approx(v * i * pf, rel=1e-6)
        assert values["s" + phase] == pytest.approx(v * i, rel=1e-6)
        assert values["q" + phase] ** 2 + p**2 == pytest.approx((v * i) ** 2, rel=1e-6)
    assert values["p"] == pytest.approx(sum(values["p" + phase] for phase in phases))


def test_energy_is_the_power_over_time():
    device = made("eastron/sdm630")
    hours = 2.0
    gained = shown(device, 3600 * hours)["e_imp"] - shown(device, 0.0)["e_imp"]
    mean_kw = sum(shown(device, 3600 * hours * (n + 0.5) / 4000)["p"] for n in range(4000)) / 4000 / 1000
    assert gained == pytest.approx(mean_kw * hours, rel=0.005)


def test_seed_makes_another_plant_and_the_same_seed_the_same():
    one, again = made("eastron/sdm120"), made("eastron/sdm120")
    other = catalogue.device_of(LIBRARY.get("eastron/sdm120"), "meter", 1, seed=5)
    assert shown(one, 50.0) == shown(again, 50.0) != shown(other, 50.0)


def test_register_keeps_the_resolution_of_its_scale():
    device = made("saia/ale3")
    for entry in device.points:
        if entry.point.scale != 1.0 and not isinstance(entry.signal, (Counter, Text)):
            value = entry.signal.value(10.0)
            decoded = value_of(entry.point, encode(entry.point, value))
            assert decoded == pytest.approx(value, abs=abs(entry.point.scale) / 2 + 1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eastron/sdm630:1", ("eastron/sdm630", 1, "sdm630_1")),
        ("eastron/sdm630:7=meter", ("eastron/sdm630", 7, "meter")),
        ("eastron/sdm630", ("eastron/sdm630", 1, "sdm630_1")),
    ],
)
def test_choice_of_a_profile_names_unit_and_device(text: str, expected: tuple[str, int, str]):
    assert catalogue.parse_choice(text) == expected
