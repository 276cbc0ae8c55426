"""`edge-agent plan`: the requests, what they take, and what every point can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from edge_agent.daemon import status

FILE = """
[agent]
site = "plant-a"
id = "hall-1"
[bus.line1]
serial = "/dev/ttyUSB0"
baud = 9600
[device.meter]
bus = "line1"
unit_ids = "1-2"
profile = "eastron/sdm630"
points = ["freq", "v_l1", "v_l2", "v_l3"]
[device.plc]
bus = "line1"
unit_id = 9
point.level = { area = "input", address = 0, type = "u16", poll = "continuous" }
[uplink]
url = "mqtt://localhost"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(FILE)
    return path


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["plan", "--json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)["buses"][0]


def test_every_request_is_listed_with_its_points_and_what_it_takes(file, capsys) -> None:
    bus = planned(capsys, str(file))
    first = bus["requests"][0]
    assert {key: first[key] for key in first if key != "line_s"} == {
        "device": "meter_1",
        "unit_id": 1,
        "area": "input",
        "address": 0,
        "count": 6,
        "every_s": 1.0,
        "bytes": 25,
        "points": ["v_l1", "v_l2", "v_l3"],
    }
    # 25 bytes of 10 bits, t3.5 of 38.5 bits, 5 ms.
    assert first["line_s"] == pytest.approx((250 + 38.5) / 9600 + 0.005, abs=1e-6)
    assert [one["points"] for one in bus["requests"] if one["device"] == "meter_2"] == [
        ["v_l1", "v_l2", "v_l3"],
        ["freq"],
    ]


def test_every_point_has_its_achievable_period(file, capsys) -> None:
    points = {(p["device"], p["point"]): p for p in planned(capsys, str(file))["points"]}
    assert len(points) == 9
    assert points["meter_1", "v_l1"]["period_s"] == points["meter_1", "v_l1"]["achievable_s"] == 1.0
    assert points["plc", "level"]["period_s"] is None
    assert 0.02 < points["plc", "level"]["achievable_s"] < 0.1


def test_turnarounds_are_assumed_given_or_measured(file, capsys, monkeypatch) -> None:
    assert {one["turnaround_s"] for one in planned(capsys, str(file))["turnarounds"]} == {0.005}
    given = planned(capsys, str(file), "--turnaround", "20ms")
    assert {one["turnaround_s"] for one in given["turnarounds"]} == {0.02}
    seen = {"buses": [{"devices": [{"name": "meter_2", "latency_ms": {"average": 41.0}}]}]}
    monkeypatch.setattr(status, "fetch", lambda path: seen)
    measured = planned(capsys, str(file), "--measured")
    assert [one["turnaround_s"] for one in measured["turnarounds"]] == [0.005, 0.04, 0.005]
    assert [one["source"] for one in measured["turnarounds"]] == ["assumed", "measured", "assumed"]
    assert {one["source"] for one in given["turnarounds"]} == {"given"}
    assert measured["load"] > planned(capsys, str(file))["load"]


def test_a_given_reply_time_is_taken_as_it_is(file, capsys) -> None:
    assert main(["plan", str(file), "--turnaround", "30ms"]) == 0
    assert "reply times given: 30 ms of meter_1, meter_2, plc" in capsys.readouterr().out


def test_what_was_measured_and_what_is_assumed_are_told_apart(file, capsys, monkeypatch) -> None:
    devices = [
        {"name": name, "latency_ms": {"average": ms}} for name, ms in (("meter_2", 41.0), ("plc", 0.0))
    ]
    monkeypatch.setattr(status, "fetch", lambda path: {"buses": [{"devices": devices}]})
    assert main(["plan", str(file), "--measured"]) == 0
    out = capsys.readouterr().out
    assert "  reply times measured: 40 ms of meter_2\n" in out
    assert "  reply times assumed: 5 ms of meter_1, plc\n" in out


def test_measured_by_an_agent_that_has_none_of_the_devices_is_refused(file, capsys, monkeypatch) -> None:
    devices = [{"name": "press", "latency_ms": {"average": 41.0}}]
    monkeypatch.setattr(status, "fetch", lambda path: {"buses": [{"devices": devices}]})
    assert main(["plan", str(file), "--measured"]) == 2
    err = capsys.readouterr().err
    assert "knows no device of this file" in err
    assert "it has: press" in err


@pytest.mark.parametrize(("text", "status"), [("0s", 2), ("1us", 0), ("500ms", 0), ("501ms", 2), ("7d", 2)])
def test_no_reply_comes_later_than_the_timeout(file, capsys, text, status) -> None:
    assert main(["plan", str(file), "--turnaround", text]) == status
    err = capsys.readouterr().err
    assert ("--turnaround: " in err) == (status == 2)
    if status == 2 and text != "0s":
        assert "no reply later than its timeout of 500ms counts, at meter_1" in err


def test_a_table_is_printed_for_people(file, capsys) -> None:
    assert main(["plan", str(file)]) == 0
    out = capsys.readouterr().out
    assert "bus line1  /dev/ttyUSB0 9600 8N1  load 8% of 90%" in out
    assert "meter_1, meter_2  1..2  input  0     6      1 s" in out
    assert "reply times assumed: 5 ms of meter_1, meter_2, plc" in out
    assert "plc               continuous" in out


def test_an_overloaded_bus_is_shown_and_not_refused(file, capsys) -> None:
    file.write_text(FILE.replace('points = ["freq"', 'periods = { fast = "20ms" }\npoints = ["freq"'))
    assert main(["plan", str(file)]) == 0
    out = capsys.readouterr().out
    assert "! needs " in out
    assert "hint: poll v_l1, v_l2, v_l3 of meter_1, meter_2 from 20ms to " in out
    assert "continuous  13.9 s" in out


def test_a_wrong_duration_is_an_input_error(file, capsys) -> None:
    assert main(["plan", str(file), "--turnaround", "fast"]) == 2
    assert "--turnaround: is not a duration" in capsys.readouterr().err


def test_a_wrong_configuration_is_told_as_by_check(file, capsys) -> None:
    file.write_text(FILE.replace("unit_id = 9", "unit_id = 0"))
    assert main(["plan", str(file)]) == 2
    assert "device.plc.unit_id: must not be 0" in capsys.readouterr().err
