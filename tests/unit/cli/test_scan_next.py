"""The command that a search ends with is one that `read` takes, and asks the same of the same device."""

from __future__ import annotations

import shlex

import pytest

from edge_agent.bus.outcomes import Values
from edge_agent.bus.scan.settings import Setting
from edge_agent.bus.scan.unit import Unit
from edge_agent.cli import _parser, _read_task, _scan_task, _scan_view
from edge_agent.model import NS, Area, Parity, Rs485, SerialLink, TcpLink

SLOW = Setting(9600, (8, Parity.EVEN, 1))


def shown(words: list[str], unit_id: int, setting: Setting | None, latency_ns: int) -> _read_task.Task:
    """The task of `read` that is shown after this search has found this unit."""
    task = _scan_task.parse(_parser(["scan"]).parse_args(["scan", *words]))
    unit = Unit(setting, unit_id, 1, [Values(b"\x00\x01", latency_ns)])
    program, *command = shlex.split(_scan_view.next_command(task, unit))
    assert program == "edge-agent"
    return _read_task.parse(_parser(command).parse_args(command))


KINDS = {
    "a port": (["/dev/ttyUSB0"], SLOW, SerialLink(path="/dev/ttyUSB0", baud=9600, parity=Parity.EVEN)),
    "a port whose driver switches the direction": (
        ["/dev/ttyUSB0", "--rs485"],
        SLOW,
        SerialLink(path="/dev/ttyUSB0", baud=9600, parity=Parity.EVEN, rs485=Rs485()),
    ),
    "a port with a blank in its name": (
        ["/dev/my port"],
        SLOW,
        SerialLink(path="/dev/my port", baud=9600, parity=Parity.EVEN),
    ),
    "a host": (["tcp://plc.local"], None, TcpLink(host="plc.local", port=502)),
    "an address of IPv6": (["tcp://[::1]:1502"], None, TcpLink(host="::1", port=1502)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit_id", [1, 247, 248, 255])
def test_read_takes_the_command(kind, unit_id) -> None:
    words, setting, link = KINDS[kind]
    task = shown(
        [*words, "--units", "1-255", "--area", "input", "--address", "7"], unit_id, setting, NS // 50
    )
    assert task.bus is not None
    assert task.bus.link == link
    assert (task.unit_id, task.area, task.first, task.count) == (unit_id, Area.INPUT, 7, 1)


@pytest.mark.parametrize("latency_ns", [NS // 50, NS // 3, NS, 9 * NS, 30 * NS])
def test_read_waits_long_enough_for_a_device_that_was_found_slow(latency_ns) -> None:
    assert shown(["tcp://plc"], 1, None, latency_ns).timeout_ns >= 1.5 * latency_ns


def test_a_usual_device_needs_no_timeout_of_its_own() -> None:
    task = _scan_task.parse(_parser(["scan"]).parse_args(["scan", "/dev/ttyUSB0"]))
    unit = Unit(SLOW, 1, 1, [Values(b"\x00\x01", NS // 50)])
    assert _scan_view.next_command(task, unit) == (
        "edge-agent read --port /dev/ttyUSB0 --baud 9600 --format 8E1 --unit-id 1 --area holding 0"
    )
