"""Scripts: the documented example loads, and what is wrong is said with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent.errors import InputError
from edge_agent.model import Area, Order, PointType
from edge_agent.simulator.script import Script, Setting, parse_script
from edge_agent.simulator.script_signals import SIGNAL
from edge_agent.simulator.signals import Counter, Integral, Sum, Text, events
from tests.unit.simulator.factory import press

DOCS = Path(__file__).resolve().parents[3] / "docs" / "simulator.md"


def parsed(text: str) -> Script:
    return parse_script(text.encode(), "plant.toml", Setting())


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parsed(text)
    return [f"{problem.line} {problem.key}: {problem.message}" for problem in caught.value.problems]


POINT = '[device.press]\nunit_id = 2\n[device.press.point.p]\narea = "holding"\naddress = 1\ntype = "u16"\n'


def test_example_of_the_documentation_loads_and_has_what_it_says():
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    script = parsed(example)
    (device,) = script.devices
    points = {entry.point.name: entry for entry in device.points}
    pressure = points["pressure"]
    assert (pressure.point.area, pressure.point.address) == (Area.HOLDING, 100)
    assert (pressure.point.type, pressure.point.order) == (PointType.F32, Order.ABCD)
    assert isinstance(pressure.signal, Sum)
    (event,) = events(pressure.signal)
    assert list(event.intervals(0, 20)) == [(6.0, 10.0)]
    above = {t: pressure.signal.value(t / 10) > 8.0 for t in range(200)}
    assert all(above[t] == (60 <= t < 100) for t in above)
    assert isinstance(points["cycles"].signal, Counter)
    assert isinstance(points["energy"].signal, Integral)
    assert isinstance(points["name"].signal, Text)
    assert [str(fault) for fault in script.faults["press"]] == ["bad_crc:p=0.01"]


def test_documentation_names_every_signal_and_every_fault():
    from edge_agent.simulator.faults import FAULT_WORDS, FaultKind

    text = DOCS.read_text()
    for word in (*SIGNAL.keys, *FaultKind, *FAULT_WORDS):
        assert f"`{word}`" in text, word


def test_point_without_a_signal_gets_a_believable_one():
    (device,) = parsed(POINT + 'unit = "V"\n').devices
    signal = device.points[0].signal
    assert not isinstance(signal, (Counter, Text))
    assert 200 < signal.value(0) < 260


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["0 device: is missing"]),
        ("[device.press]\nunit_id = 2\n", ["1 device.press: has no points"]),
        (
            "[device.press]\nunit_id = 0\n",
            ["1 device.press: has no points", "2 device.press.unit_id: must be 1 to 255"],
        ),
        (POINT + "signals = 1\n", ["7 device.press.point.p.signals: is not a known key"]),
        (POINT + "signal = {}\n", ["7 device.press.point.p.signal: is empty"]),
        (POINT + "signal = { sine = {} }\n", ["amplitude: is missing", "period: is missing"]),
        (POINT + "signal = { noise = -1 }\n", ["signal.noise: must be at least 0"]),
        (POINT + "signal = { counter = {}, constant = 1 }\n", ["signal: cannot add to counter"]),
        (POINT + 'signal = { integral = { of = "x" } }\n', ["integral.of: names no point with a signal"]),
        (POINT + 'signal = { event = { add = 1, every = "2s", lasts = "3s" } }\n', ["do not fit into every"]),
        (POINT.replace("u16", "string"), ["3 device.press.point.p: has no length"]),
        (POINT.replace("holding", "coil"), ["type: must be bool"]),
        (POINT.replace("u16", "f32") + "signal = { counter = {} }\n", ["counter: needs a whole number"]),
        (POINT.replace("address = 1", 'address = "1"'), ["address: must be a whole number"]),
        (POINT.replace("address = 1", "address = 65536"), ["address: must be 0 to 65535"]),
        (POINT.replace("unit_id = 2", 'unit_id = 2\nfault = "bad"'), ["fault: bad: is not a fault"]),
        (POINT.replace("unit_id = 2", 'unit_id = 2\nprofile = "a/b"'), ["cannot be given beside"]),
        ('[device.m]\nunit_id = 1\nprofile = "a/b"\n', ["3 device.m.profile: cannot be used here"]),
        ("x = [", ["Invalid"]),
    ],
)
def test_wrong_scripts_are_refused_with_line_key_and_reason(text: str, expected: list[str]):
    found = problems(text)
    assert len(found) == len(expected)
    for words, problem in zip(expected, found, strict=True):
        assert words in problem


def test_all_problems_are_told_at_once():
    text = POINT.replace("unit_id = 2", "unit_id = 300").replace("u16", "u17") + "signal = { sin = 1 }\n"
    assert len(problems(text)) == 3


def test_profile_of_a_script_comes_from_the_library():
    def profiles(profile_id: str, name: str, unit_id: int):
        assert (profile_id, name, unit_id) == ("a/b", "m", 7)
        return press(name=name, unit_id=unit_id)

    text = b'[device.m]\nunit_id = 7\nprofile = "a/b"\n'
    (device,) = parse_script(text, "plant.toml", Setting(profiles=profiles)).devices
    assert (device.name, device.unit_id) == ("m", 7)
