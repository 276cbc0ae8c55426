"""`edge-agent receive` as a process: its output, its signals, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from tests.contract.agent_records import FakeAgent, alarm, sample, small_site
from tests.contract.broker import Broker, free_port
from tests.contract.uplink_rig import Running

pytestmark = pytest.mark.needs("mosquitto")


def _receive(url: str, *options: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge_agent", "receive", "--url", url, *options],
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip


def _until_listening(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    while "listening" not in (line := process.stderr.readline()):
        assert line, "it ended before it was listening"


def test_one_json_object_a_line_and_a_closing_one(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), b"\x01" * 8)
    with Broker(tmp_path) as broker:
        process = _receive(broker.url, "--json", "--state", str(tmp_path / "state"))
        _until_listening(process)
        with Running(broker.url, agent.outbox) as running:
            agent.add(sample(12), alarm(True))
            running.sender.wake()
            running.until_sent()
            assert process.stdout is not None
            items: list[dict[str, Any]] = []
            while "sample" not in {item["kind"] for item in items}:
                items.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=10)
    items += [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 0, errors
    assert {"status", "start", "birth", "sample", "alarm", "end"} <= {item["kind"] for item in items}
    assert items[-1] == {
        "kind": "end", "records": 5, "values": 1, "alarms": 1, "duplicates": 0, "gaps": 0, "missing": 0,
        "undecodable": 0,
    }  # fmt: skip


def test_lines_for_people_and_an_end_after_some_time(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), b"\x01" * 8)
    with Broker(tmp_path) as broker:
        process = _receive(broker.url, "--seconds", "1.5")
        _until_listening(process)
        with Running(broker.url, agent.outbox) as running:
            agent.add(sample(12), alarm(True))
            running.sender.wake()
            output, _ = process.communicate(timeout=15)
    assert "press.pressure" in output and "1.2 bar" in output and "!!! ALARM: overpressure" in output
    assert output.splitlines()[-1].startswith("received: records=")
    assert process.returncode == 0


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), b"\x01" * 8)
    with Broker(tmp_path) as broker:
        process = _receive(broker.url)
        _until_listening(process)
        assert process.stdout is not None
        process.stdout.close()
        with Running(broker.url, agent.outbox) as running:
            agent.add(sample(12))
            running.sender.wake()
            process.wait(10)
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert "Traceback" not in errors and "Exception ignored" not in errors


def test_without_a_broker_it_says_why_and_fails(tmp_path: Path) -> None:
    process = _receive(f"mqtt://127.0.0.1:{free_port()}", "--seconds", "0.3")
    output, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "is a broker running there" in errors and output.startswith("received: records=0")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--url", "mqtt://broker.example"), "insecure"),
        (("--url", "nonsense"), "must begin with"),
        (("--url", "mqtt://127.0.0.1", "--site", "a/b"), "--site"),
        (("--url", "mqtt://127.0.0.1", "--state", "/proc/version"), "no state of a receiver"),
    ],
)
def test_what_cannot_work_is_refused_with_a_hint(options: tuple[str, ...], words: str) -> None:
    command = [sys.executable, "-m", "edge_agent", "receive", *options, "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
