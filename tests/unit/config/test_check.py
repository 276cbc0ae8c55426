"""`edge-agent check`: problems to stderr and status 2, or a summary and status 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.bus.ports import by_id
from edge_agent.cli import main
from tests.conftest import ROOT

GOOD = """
[agent]
site = "plant-a"
id = "hall-1"
[bus.line1]
serial = "/dev/ttyUSB0"
baud = 9600
[bus.net]
tcp = "10.0.0.5"
[device.meter]
bus = "line1"
unit_ids = "1-2"
profile = "eastron/sdm120"
points = ["v", "i"]
periods = { fast = "1s" }
[device.plc]
bus = "net"
unit_id = 1
point.level = { area = "input", address = 0, type = "u16", poll = "continuous" }
[uplink]
url = "mqtt://localhost"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_summed_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"{file} is good: agent hall-1 of site plant-a" in out
    assert "bus line1 on /dev/ttyUSB0: 2 devices, 4 points, about 2.0 requests/s" in out
    assert "bus net on 10.0.0.5:502: 1 devices, 1 points, about 0.0 requests/s, 0% of the line\n" in out


def test_the_load_is_what_frames_silences_and_a_quick_device_take(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", str(file)]) == 0
    bus, net = json.loads(capsys.readouterr().out)["buses"]
    # One request of 8 words a second and device: 8 + 21 bytes of 10 bits, 3.5 characters of 11, 5 ms.
    assert bus["load"] == pytest.approx(2 * ((29 * 10 + 3.5 * 11) / 9600 + 0.005), abs=1e-4)
    assert (net["load"], net["continuous_points"]) == (0, 1)


def test_a_line_that_is_asked_for_too_much_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace('"1s"', '"50ms"'))
    assert main(["check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{file}:5: bus.line1: needs 157% of the line at the configured periods" in err
    assert "hint: poll v, i of meter_1, meter_2 from 50ms to 100ms" in err


def test_what_the_hint_says_is_enough(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace('"1s"', '"100ms"'))
    assert main(["check", str(file)]) == 0


def test_a_limit_of_the_load_is_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limited = GOOD.replace("baud = 9600", "baud = 9600\nmax_load = 0.05")
    file.write_text(limited)
    assert main(["check", str(file)]) == 2
    assert "max_load allows 5%" in capsys.readouterr().err


def test_a_numbered_port_is_told_its_lasting_name(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(GOOD.replace("/dev/ttyUSB0", "/dev/null"))
    (tmp_path / "usb-FTDI_A1").symlink_to("/dev/null")
    assert main(["check", str(file)]) == 0
    assert "replug" not in capsys.readouterr().out
    monkeypatch.setattr(by_id, "FOLDER", tmp_path)
    assert main(["check", str(file)]) == 0
    assert f'serial = "{tmp_path}/usb-FTDI_A1" would survive a replug' in capsys.readouterr().out


def test_problems_go_to_stderr_with_status_2(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("unit_id = 1", "unit_id = 0"))
    assert main(["check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{file}:18: device.plc.unit_id: must not be 0" in err


def test_problems_are_data_on_request(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("unit_id = 1", "unit_id = 0"))
    assert main(["check", "--json", str(file)]) == 2
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["ok"], err) == (False, "")
    assert [(p["line"], p["key"]) for p in result["problems"]] == [(18, "device.plc.unit_id")]


def test_a_missing_file_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.toml")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_every_packaged_profile_is_usable_as_it_is(tmp_path: Path) -> None:
    files = sorted((ROOT / "firmware_profiles").rglob("*.toml"))
    devices = "".join(
        f'[device.d{unit}]\nbus = "line1"\nunit_id = {unit}\nprofile = "{path.parent.name}/{path.stem}"\n'
        for unit, path in enumerate(files, 10)
    )
    path = tmp_path / "agent.toml"
    path.write_text(GOOD + devices)
    assert main(["check", str(path)]) == 0
