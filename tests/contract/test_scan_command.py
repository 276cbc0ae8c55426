"""`edge-agent scan` against simulated devices: three that answer each in their way, and everything else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from edge_agent.bus.ports import owner
from edge_agent.bus.ports import port as port_module
from edge_agent.bus.wire.frames import with_crc
from edge_agent.cli import main
from edge_agent.clock import SystemClock
from edge_agent.model import SerialLink
from edge_agent.simulator import SimulatedLine
from tests.contract.bus_slaves import PtySlave, TcpSlave, tcp_reply
from tests.unit.simulator.factory import device, point

METER, DRIVE, OLD = 3, 17, 30


def reply(frame: bytes) -> bytes:
    return with_crc(bytes((frame[0], frame[1], 2, 0, 7)))


@pytest.fixture
def line():
    """At 19200: a meter, a drive that only says no, an old device that takes a quarter of a second."""
    plant = [
        device((point(address=0), 66.0), name=name, unit_id=unit)
        for name, unit in (("meter", METER), ("drive", DRIVE), ("old", OLD))
    ]
    with SimulatedLine(plant, baud=19200, strict_baud=True) as made:
        made.faults.set("drive", "exception:code=2")
        made.faults.set("old", "late:timeout=250ms,factor=1-1")
        yield made


def scan(path: str, *words: str) -> int:
    return main(["scan", path, "--units", "1-32", *words])


def test_speed_and_units_are_found(line, capsys):
    assert scan(line.path, "--format", "8N1") == 0
    out, err = capsys.readouterr()
    head, meter, drive, old = out.splitlines()
    assert head.startswith("UNIT")
    assert meter.split()[:3] == [str(METER), "19200", "8N1"]
    assert "value 0x0042 (holding 0)" in meter
    assert drive.split()[:3] == [str(DRIVE), "19200", "8N1"]
    assert "exception 2, illegal data address" in drive
    assert old.split()[:3] == [str(OLD), "19200", "8N1"]
    assert float(old.split()[3]) >= 200
    assert err.splitlines()[0].startswith("32 unit ids at 4 settings: about")
    assert "hint" not in err
    words = f"--port {line.path} --baud 19200 --format 8N1 --unit-id {METER} --area holding 0"
    assert err.splitlines()[-1] == f"next: edge-agent read {words}"
    assert main(["read", *words.split()]) == 0
    assert line.stats().counts.too_soon == 0


def test_the_json_is_one_object_and_progress_stays_out_of_it(line, capsys):
    assert scan(line.path, "--baud", "19200", "--format", "8N1", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["unit_id"] for one in said["found"]] == [METER, DRIVE, OLD]
    assert said["complete"]
    assert not any(one["double"] for one in said["found"])


def test_at_the_wrong_speeds_nothing_is_found_and_it_says_what_to_try(line, capsys):
    assert scan(line.path, "--baud", "9600,38400", "--units", "1-5") == 1
    out, err = capsys.readouterr()
    assert out == "nothing found\n"
    assert "try --baud all" in err


def test_every_setting_is_tried_where_that_is_asked_for(line, capsys):
    words = ("--baud", "19200,9600", "--format", "8N1", "--units", "3", "--every-setting", "--json")
    assert scan(line.path, *words) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == ["9600 8N1", "19200 8N1"]


def test_two_devices_with_one_id_are_told(capsys):
    slave = PtySlave(lambda frame: 2 * reply(frame) if frame[0] == 2 else b"")
    assert main(["scan", slave.path, "--units", "1-4", "--baud", "19200", "--format", "8N1"]) == 0
    slave.close()
    out, err = capsys.readouterr()
    assert "twice" in out
    assert "two devices have this unit id" in err


def test_a_gateway_by_tcp_is_searched_the_same_way(capsys):
    slave = TcpSlave()
    assert main(["scan", f"tcp://127.0.0.1:{slave.port}", "--units", "1-3", "--timeout", "50ms"]) == 0
    slave.close()
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[:3] for row in rows] == [["1", "-", "-"], ["2", "-", "-"]]


def test_a_server_that_hangs_up_on_a_foreign_unit_id_is_searched_to_the_end(capsys):
    def answer(request: bytes) -> bytes:
        if request[6] == 2:
            slave.hang_up()
            return b""
        return tcp_reply(request)

    slave = TcpSlave(answer)
    where = f"tcp://127.0.0.1:{slave.port}"
    assert main(["scan", where, "--units", "1-2,20", "--timeout", "50ms", "--json"]) == 0
    assert [one["unit_id"] for one in json.loads(capsys.readouterr().out)["found"]] == [1, 20]
    slave.close()
    assert main(["scan", where, "--units", "1-2,20", "--timeout", "50ms"]) == 1
    assert "refused" in capsys.readouterr().err


def test_a_port_in_use_is_refused_with_its_owner(line, capsys):
    held = port_module.open_port(SerialLink(path=line.path), SystemClock())
    assert scan(line.path) == 1
    held.close()
    assert f"(pid {os.getpid()})" in capsys.readouterr().err
    assert line.stats().counts.requests == 0


def test_a_port_that_another_program_has_without_a_lock_is_refused_too(line, capsys):
    """`cat` asks for nothing and would be disturbed."""
    program = (
        "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, line.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        status = scan(line.path)
        other.communicate()
    assert status == 1
    assert f"(pid {other.pid})" in capsys.readouterr().err
    assert not owner.others(line.path)


def test_ctrl_c_shows_what_was_found_so_far(capsys):
    before = signal.getsignal(signal.SIGINT)  # Ignored where the tests run in the background of a shell.
    asked = threading.Event()

    def answer(frame: bytes) -> bytes:
        if frame[0] == 9:
            asked.set()
        return reply(frame) if frame[0] == 2 else b""

    def interrupt() -> None:
        assert asked.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    slave, killer = PtySlave(answer), threading.Thread(target=interrupt)
    killer.start()
    status = main(["scan", slave.path, "--baud", "19200", "--format", "8N1"])
    killer.join()
    slave.close()
    out, err = capsys.readouterr()
    assert status == 130
    assert out.splitlines()[1].split()[0] == "2"
    assert "not everything was asked" in err
    assert len(slave.requests) < 100
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_port_that_goes_shows_what_was_found_and_fails(capsys, words):
    slave = PtySlave()

    def answer(frame: bytes) -> bytes:
        if frame[0] == 9:
            threading.Thread(target=slave.unplug).start()
        return reply(frame) if frame[0] == 2 else b""

    slave.reply = answer
    assert main(["scan", slave.path, "--baud", "19200", "--format", "8N1", *words]) == 1
    slave.close()
    out, err = capsys.readouterr()
    assert "hint:" in err
    if words:
        said = json.loads(out)
        assert ([one["unit_id"] for one in said["found"]], said["complete"]) == ([2], False)
        assert said["error"]["message"] in err
    else:
        assert out.splitlines()[1].split()[0] == "2"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("second_device", ["unit 3", "this unit id"]),
        ("second_master", ["another master"]),
        ("wrong_speed", ["unit 3", "almost the right speed"]),
        ("bad_crc", ["unit 3", "noise"]),
        ("silence", ["nothing was heard"]),
    ],
)
def test_what_is_wrong_with_a_line_is_told(kind, words, capsys):
    plant = [device((point(address=0), 66.0), name="meter", unit_id=METER)]
    with SimulatedLine(plant, baud=19200) as line:
        line.faults.set("meter", kind)
        scan(line.path, "--baud", "19200", "--format", "8N1", "--units", "1-12", "--json")
    said = json.loads(capsys.readouterr().out)
    assert any(all(word in hint for word in words) for hint in said["hints"]), said["hints"]


@pytest.mark.parametrize("kind", ["echo", "partial_echo"])
def test_an_adapter_that_hears_itself_changes_nothing(kind, capsys):
    plant = [device((point(address=0), 66.0), name="meter", unit_id=METER)]
    with SimulatedLine(plant, baud=19200) as line:
        line.faults.set("meter", kind)
        assert scan(line.path, "--baud", "19200", "--format", "8N1", "--units", "1-5", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["unit_id"] for one in said["found"]] == [METER]
    assert said["hints"] == []
