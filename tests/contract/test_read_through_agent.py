"""A running agent on a simulated line that is never idle: it reads and probes for others, and polls on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edge_agent.bus.outcomes import Values
from edge_agent.cli import main
from edge_agent.daemon import status
from edge_agent.daemon.asking import ask
from edge_agent.daemon.commands import Read
from edge_agent.errors import EdgeAgentError
from edge_agent.model import Area
from edge_agent.simulator import SimulatedLine
from edge_agent.simulator.script import Setting, load_script
from tests.contract import framings
from tests.contract.bus_slaves import TcpSlave

BAUD = 4800
SCRIPT = """
[device.meter]
unit_id = 1
[device.meter.point]
first = { area = "holding", address = 0, type = "u16", signal = { constant = 7 } }
last = { area = "holding", address = 24, type = "u16", signal = { constant = 9 } }
serial = { area = "input", address = 500, type = "u32", signal = { constant = 123456 } }
[device.pump]
unit_id = 2
[device.pump.point]
speed = { area = "holding", address = 0, type = "u16", signal = { constant = 1500 } }
[device.spare]
unit_id = 77
[device.spare.point]
level = { area = "input", address = 500, type = "u32", signal = { constant = 5 } }
"""
# A poll of the meter takes the line for 130 ms, so that both due every 100 ms keep it full.
CONFIG = """
[agent]
site = "contract"
id = "a"
[bus.line1]
serial = "{line}"
baud = 4800
timeout = "400ms"
max_load = 1.0
[device.meter]
bus = "line1"
unit_id = 1
[device.meter.point]
first = { area = "holding", address = 0, type = "u16", poll = "100ms", group = "all" }
last = { area = "holding", address = 24, type = "u16", poll = "100ms", group = "all" }
[device.pump]
bus = "line1"
unit_id = 2
[device.pump.point]
speed = { area = "holding", address = 0, type = "u16", poll = "100ms" }
[uplink]
url = "mqtt://127.0.0.1:9"
[spool]
path = "{spool}"
"""
ODD = 500


def run_agent(folder: Path, text: str) -> tuple[subprocess.Popen[bytes], Path]:
    """(process, status socket)."""
    config, socket = folder / "agent.toml", folder / "status.sock"
    config.write_text(text)
    with (folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", "run", "--config", config, "--socket", socket],
            stdout=log,
            stderr=log,
            env={**os.environ, "EDGE_AGENT_KERNELS": "python"},
        )
    return agent, socket


def wait(condition, what: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (EdgeAgentError, KeyError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true")


class Rig:
    def __init__(self, folder: Path) -> None:
        script = folder / "line.toml"
        script.write_text(SCRIPT)
        self.line = SimulatedLine(
            load_script(script, Setting(seed=1)).devices, baud=BAUD, link=folder / "tty"
        )
        self.line.start()
        text = CONFIG.replace("{line}", self.line.path).replace("{spool}", str(folder / "spool"))
        self.agent, self.socket = run_agent(folder, text)

    def wait(self, condition, what: str) -> None:
        wait(condition, what)

    def device(self, name: str):
        devices = status.fetch(self.socket)["buses"][0]["devices"]
        return next(device for device in devices if device["name"] == name)

    def served(self):
        return self.line.log.served()

    def close(self) -> None:
        self.agent.terminate()
        try:
            assert self.agent.wait(30) == 0
        finally:
            self.agent.kill()
            self.agent.wait()
            self.line.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    made = Rig(tmp_path_factory.mktemp("agent"))
    try:
        made.wait(lambda: made.device("meter")["state"] == made.device("pump")["state"] == "up", "both up")
        yield made
    finally:
        made.close()


@pytest.fixture
def edge_agent(rig, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        result = main([*words, "--socket", str(rig.socket)])
        out, err = capsys.readouterr()
        return result, out, err

    return run


READ = ("--unit-id", "1", "--area", "input", f"{ODD}-{ODD + 1}", "--type", "u32")


def odd(entry) -> bool:
    return bool(entry.address == ODD)


def test_a_read_is_made_next_whatever_the_line_is_busy_with(rig) -> None:
    command = Read(bus="line1", unit_id=1, area=Area.INPUT, address=ODD, count=2)
    places = []
    for _ in range(11):
        before = len(rig.served())
        told = ask(rig.socket, command)
        assert isinstance(told.outcome, Values)
        assert told.outcome.data.hex() == "0001e240"
        places.append(next(place for place, entry in enumerate(rig.served()[before:]) if odd(entry)))
    print(f"transactions before each: {places}")
    # The one in progress; a second one where this process is slow.
    assert sorted(places)[len(places) // 2] <= 1
    assert max(places) <= 8


def test_a_port_owned_by_an_agent_is_read_by_it_and_polling_goes_on(rig, edge_agent) -> None:
    before = len(rig.served())
    result, out, err = edge_agent("read", "--port", rig.line.path, *READ)
    assert result == 0
    assert out.split()[-1] == "123456"
    assert "port owned by the running agent on bus line1" in err
    assert f"{BAUD} 8N1" in err
    after = len(rig.served())
    assert sum(odd(entry) for entry in rig.served()[before:]) == 1
    rig.wait(lambda: len(rig.served()) > after + 4, "polling that goes on")


def test_the_port_is_known_under_another_name(rig, edge_agent, tmp_path) -> None:
    (tmp_path / "by-id").symlink_to(os.path.realpath(rig.line.path))
    result, out, _ = edge_agent("read", "--port", str(tmp_path / "by-id"), *READ, "--json")
    assert result == 0
    assert json.loads(out) == {
        "bus": "line1",
        "unit_id": 1,
        "area": "input",
        "values": [{"address": ODD, "raw": "0001e240", "value": 123456}],
    }


def test_a_device_is_read_by_its_name(edge_agent) -> None:
    result, out, err = edge_agent("read", "--device", "pump", "0")
    assert (result, out.split()[-1]) == (0, "1500")
    assert "asked the running agent on bus line1" in err
    result, _, err = edge_agent("read", "--device", "pmup", "0")
    assert result == 2
    assert "meter, pump" in err
    result, _, err = edge_agent("read", "--device", "pump", "--unit-id", "2", "0")
    assert result == 2
    assert "--unit-id: is not given with --device" in err


def test_a_unit_that_is_not_configured_is_read_too(edge_agent, rig) -> None:
    words = ("--unit-id", "77", "--area", "input", "500-501", "--type", "u32")
    result, out, _ = edge_agent("read", "--port", rig.line.path, *words)
    assert (result, out.split()[-1]) == (0, "5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit-id", "1", "900"), "exception 2, illegal data address"),
        (("--unit-id", "99", "0"), "nothing heard"),
    ],
)
def test_why_nothing_came_is_said_as_for_a_port_of_ones_own(edge_agent, rig, words, said) -> None:
    result, out, err = edge_agent("read", "--port", rig.line.path, *words, "--json")
    assert result == 1
    assert said in err
    assert said in json.loads(out)["error"]["message"]


def test_a_port_that_no_agent_owns_is_still_said_to_be_in_use(rig, edge_agent, tmp_path, capsys) -> None:
    words = ["read", "--port", rig.line.path, *READ, "--socket", str(tmp_path / "none.sock")]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert f"(pid {rig.agent.pid})" in err
    assert "--socket" in err


def test_many_readers_share_the_line_with_the_polls_one_by_one(rig) -> None:
    before = len(rig.served())
    command = Read(bus="line1", unit_id=1, area=Area.INPUT, address=ODD, count=2)

    def read_some() -> None:
        for _ in range(4):
            ask(rig.socket, command)

    readers = [threading.Thread(target=read_some) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    kinds = [odd(entry) for entry in rig.served()[before:]]
    assert sum(kinds) == 24
    assert not any(one and other for one, other in pairwise(kinds))


def test_a_silent_device_is_probed_at_once_and_polled_again(rig, edge_agent) -> None:
    rig.line.faults.set("pump", "silence")
    rig.wait(lambda: rig.device("pump")["probing"], "the pump given up")
    result, out, _ = edge_agent("status", "--probe", "pump")
    assert result == 1
    assert "nothing heard" in out
    rig.line.faults.clear()
    # The agent's own probe may be first: then the device is simply read.
    result, out, _ = edge_agent("status", "--probe", "pump")
    assert result == 0
    assert "it answers" in out
    assert "is polled" in out
    rig.wait(lambda: rig.device("pump")["state"] == "up", "the pump back")
    result, out, _ = edge_agent("status", "--probe", "pump", "--json")
    assert json.loads(out) == {
        "device": "pump", "bus": "line1", "unit_id": 2, "outcome": "ok", "alive": True, "probing": False,
    }  # fmt: skip


def test_a_device_that_is_not_there_is_said_with_those_that_are(edge_agent) -> None:
    result, _, err = edge_agent("status", "--probe", "pmup")
    assert result == 1
    assert "no device pmup" in err
    assert "meter, pump" in err


def test_what_was_asked_is_counted(rig) -> None:
    counters = status.fetch(rig.socket)["counters"]
    asked = counters["bus_lane_asked{line1}"]
    assert asked >= 30
    assert counters["bus_lane_served{line1}"] == asked


# --- a device server, which gives every reply to all its connections -------------------------------

BEHIND_SERVER = """
[agent]
site = "contract"
id = "a"
[bus.plant]
tcp = "127.0.0.1:{port}"
framing = "rtu"
baud = 115200
[device.meter]
bus = "plant"
unit_id = 1
[device.meter.point]
first = { area = "holding", address = 0, type = "u16", poll = "100ms" }
[uplink]
url = "mqtt://127.0.0.1:9"
[spool]
path = "{spool}"
"""


@pytest.fixture
def server(tmp_path):
    slave = TcpSlave(framing=framings.RTU)
    text = BEHIND_SERVER.replace("{port}", str(slave.port)).replace("{spool}", str(tmp_path / "spool"))
    agent, socket = run_agent(tmp_path, text)
    wait(lambda: status.fetch(socket)["buses"][0]["devices"][0]["state"] == "up", "the meter up")
    yield slave, socket
    agent.terminate()
    assert agent.wait(30) == 0
    slave.close()


def test_a_device_server_is_read_by_the_agent_that_polls_it_and_not_searched(server, capsys) -> None:
    slave, socket = server
    where = f"127.0.0.1:{slave.port}"
    words = ("--framing", "rtu", "--unit-id", "1", "40", "--socket", str(socket))
    assert main(["read", "--tcp", where, *words]) == 0
    out, err = capsys.readouterr()
    assert out.split()[-1] == str(int.from_bytes(framings.data_for(3, 40, 1), "big"))
    assert "owned by the running agent on bus plant" in err
    asked = len(slave.requests)
    assert main(["scan", f"tcp://{where}", "--yes", "--socket", str(socket)]) == 1
    assert "polled by the running agent as bus plant" in capsys.readouterr().err
    assert all(request[0] == 1 for request in slave.requests[asked:])
