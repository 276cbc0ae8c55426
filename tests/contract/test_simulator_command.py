"""`edge-agent simulate` as a person or a script uses it: a process, its lines, its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import minimalmodbus
import pytest

from edge_agent.simulator.log import Happened, Served, read

SCRIPT = """
[device.press]
unit_id = 2
[device.press.point.pressure]
area = "holding"
address = 100
type = "u16"
signal = { constant = 5, event = { add = 4, first = "100ms", every = "400ms", lasts = "200ms" } }
"""


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    code = "import sys; from edge_agent.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "simulate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    while (line := line_of(process))["event"] != event:
        pass
    return line


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(SCRIPT)
    return path


def test_first_line_is_the_port_and_the_last_one_counts(tmp_path: Path, script: Path):
    log, link = tmp_path / "served.jsonl", tmp_path / "ttySIM0"
    words = [
        "--script",
        str(script),
        "--profile",
        "eastron/sdm630:1=meter",
        "--log",
        str(log),
        "--link",
        str(link),
    ]
    with command("--json", *words) as process:
        port = line_of(process)
        assert port["path"] == str(link)
        assert [device["name"] for device in port["devices"]] == ["meter", "press"]
        press = minimalmodbus.Instrument(str(link), 2)
        press.serial.timeout = 2.0
        value = press.read_register(100)
        meter = minimalmodbus.Instrument(str(link), 1)
        assert 200 < meter.read_float(0, functioncode=4) < 260
        press.serial.close()
        for event in ("begin", "end"):
            assert until(process, event)["point"] == "pressure"
        process.send_signal(signal.SIGUSR1)
        assert until(process, "report")["requests"] == 2
        process.send_signal(signal.SIGTERM)
        end = until(process, "end")
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert end["answers"] == {"values": 2}
    assert end["lateness"]["writes"] > 0
    entries = read(log)
    assert [entry.registers()[0] for entry in entries if isinstance(entry, Served) and entry.unit == 2] == [
        value
    ]
    assert {"start", "begin", "end", "stop"} <= {
        entry.event for entry in entries if isinstance(entry, Happened)
    }
    assert not link.is_symlink()


def test_faults_are_switched_by_the_control_file(tmp_path: Path, script: Path):
    control = tmp_path / "control"
    words = ["--script", str(script), "--control", str(control), "--link", str(tmp_path / "port"), "--json"]
    with command(*words) as process:
        path = line_of(process)["path"]
        _replace(control, "press=exception:code=6\n")
        until(process, "faults")
        press = minimalmodbus.Instrument(path, 2)
        press.serial.timeout = 2.0
        with pytest.raises(minimalmodbus.SlaveDeviceBusyError):
            press.read_register(100)
        press.serial.close()
        _replace(control, "pres=silence\n")
        assert "is no device here" in until(process, "control_refused")["problem"]
        _replace(control, "line=unplug\n")
        until(process, "unplug")
        assert not Path(path).exists()
        _replace(control, "")
        until(process, "replug")
        assert Path(path).exists()
        process.send_signal(signal.SIGINT)
        assert until(process, "end")["faults"] == {"exception": 1}
        assert process.wait(10) == 0


def test_it_ends_by_itself_and_plain_output_begins_with_the_path(script: Path):
    with command("--script", str(script), "--seconds", "0.2") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.splitlines()[0].startswith("/dev/pts/")
    assert out.splitlines()[-1].startswith("end ")
    assert err == ""


def test_tcp_port_is_named_on_the_first_line(script: Path):
    with command("--script", str(script), "--tcp", "127.0.0.1:0", "--seconds", "0.1", "--json") as process:
        host, _, port = line_of(process)["path"].rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no devices"),
        (["--profile", "eastron/sdm631:1"], "did you mean eastron/sdm630"),
        (["--profile", "eastron/sdm630:0"], "unit id"),
        (["--script", "/nonexistent"], "does not exist"),
        (["--profile", "eastron/sdm630:1", "--fault", "meter=silence"], "is no device here"),
        (["--profile", "eastron/sdm630:1", "--fault", "sdm630_1=quiet"], "is not a fault"),
        (["--profile", "eastron/sdm630:1", "--tcp", "localhost"], "HOST:PORT"),
        (["--profile", "eastron/sdm630:1", "--format", "9N1"], "character format"),
        (["--profile", "eastron/sdm630:1", "--log", "/nonexistent/log"], "cannot be written"),
        (["--profile", "eastron/sdm630:1", "--profile", "eastron/sdm120:1"], "same unit id"),
    ],
)
def test_wrong_options_are_status_2_with_the_reason(words: list[str], message: str, capsys):
    from edge_agent.cli import main

    assert main(["simulate", *words]) == 2
    assert message in capsys.readouterr().err


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
