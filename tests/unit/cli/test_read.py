"""`edge-agent read` on a line in virtual time."""

from __future__ import annotations

import json
import math

import pytest

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.outcomes import PortDown, Values
from edge_agent.bus.ports.port_faults import in_use
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.cli import _agent_line, _json, main, read
from edge_agent.cli._read_task import Task
from edge_agent.clock import FakeClock
from edge_agent.daemon.asking import Told
from edge_agent.daemon.commands import CommandError
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import PortError
from edge_agent.model import NS, Area, BusDef, Order, PointType, SerialLink


def test_repeated_reads_of_a_silent_device_wait_out_the_longest_late_window(capsys) -> None:
    bus = BusDef(name="b", link=SerialLink(path="fake"), timeout_ns=60 * NS)
    task = Task(
        bus=bus,
        unit_id=1,
        area=Area.HOLDING,
        first=0,
        count=1,
        kind=PointType.U16,
        order=Order.ABCD,
        interval_ns=NS,
    )
    clock = FakeClock()
    port = FakePort(clock, lambda _: [])
    manners = {0: Manners(timeout=AdaptiveTimeout(bus.timeout_ns))}
    line = SerialLine(lambda: port, bus_timing(bus), clock, manners=manners)
    line.open()
    ear = read.Ear(clock.mono_ns(), show=False)
    assert [read._once(task, line, ear, clock, False) for _ in range(3)] == [1, 1, 1]
    assert capsys.readouterr().err.count("nothing heard within 60000 ms") == 3
    assert len(port.sent) == 3


# --- a device server, which gives every reply to all its connections ------------------------------

SERVER = ["read", "--tcp", "h:4001", "--framing", "rtu", "--unit-id", "1", "0", "--json"]


NOBODY = NoAgent("none", hint="is it running?", is_there=False)
FORBIDDEN = NoAgent("may not be asked", hint="join its group", is_there=True)


class Elsewhere:
    """A running agent that is asked, and a network that is not to be touched while it answers."""

    def __init__(self, monkeypatch, *replies) -> None:
        self.asked: list[str] = []
        self.opened = 0
        self._replies = list(replies)
        monkeypatch.setattr(_agent_line, "ask", self._ask)
        monkeypatch.setattr(read, "make_line", self._make_line)

    def _ask(self, socket, command):
        self.asked.append(command.port)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return Told(outcome=reply, bus="b", link="l", unit_id=1, device="", probing=False)

    def _make_line(self, *_, **__):
        self.opened += 1
        raise PortError("h:4001: refused", reason="refused")


def test_a_device_server_that_an_agent_polls_is_read_by_the_agent(monkeypatch, capsys) -> None:
    elsewhere = Elsewhere(monkeypatch, Values(b"\0\7", 5))
    assert main(SERVER) == 0
    assert (elsewhere.asked, elsewhere.opened) == (["h:4001"], 0)
    said = capsys.readouterr()
    assert json.loads(said.out)["values"][0]["value"] == 7
    assert "port owned by the running agent on bus b" in said.err


@pytest.mark.parametrize("why", [NOBODY, CommandError("no bus on h:4001", reason="unknown")])
def test_a_device_server_that_no_agent_has_is_read_directly(monkeypatch, why) -> None:
    elsewhere = Elsewhere(monkeypatch, why)
    assert main([*SERVER, "--trace"]) == 1
    assert elsewhere.opened == 1


@pytest.mark.parametrize("reason", ["full", "late", "forbidden"])
def test_what_the_agent_refuses_is_not_read_past_it(monkeypatch, reason) -> None:
    elsewhere = Elsewhere(monkeypatch, CommandError("no", reason=reason))
    assert main(SERVER) == 1
    assert elsewhere.opened == 0


def test_an_agent_that_goes_away_while_it_reads_is_no_leave_to_go_on_without_it(monkeypatch) -> None:
    elsewhere = Elsewhere(monkeypatch, Values(b"\0\7", 5), NOBODY)
    assert main([*SERVER, "--repeat", "2", "--interval", "1ms"]) == 1
    assert elsewhere.opened == 0


def test_an_agent_that_may_not_be_asked_may_own_it(monkeypatch, capsys) -> None:
    elsewhere = Elsewhere(monkeypatch, FORBIDDEN)
    assert main(SERVER) == 1
    assert elsewhere.opened == 0
    assert "join its group" in capsys.readouterr().err


@pytest.mark.parametrize(("why", "hint"), [(NOBODY, "--socket PATH"), (FORBIDDEN, "join its group")])
def test_a_busy_port_is_said_with_how_to_reach_the_agent_that_may_have_it(
    monkeypatch, capsys, why, hint
) -> None:
    class Taken:
        def open(self):
            raise in_use("/dev/ttyS0")

    Elsewhere(monkeypatch, why)
    monkeypatch.setattr(read, "make_line", lambda *_, **__: Taken())
    assert main(["read", "--port", "/dev/ttyS0", "--unit-id", "1", "0"]) == 1
    err = capsys.readouterr().err
    assert "/dev/ttyS0: in use" in err
    assert hint in err
    assert "give the agent a port" not in err


@pytest.mark.parametrize(
    ("outcome", "reason", "message"),
    [
        (CommandError("not in one read", reason="forbidden", hint="apart"), "forbidden", "not in one read"),
        (PortDown("missing"), "missing", "the running agent's port is down: missing (l)"),
        (FORBIDDEN, "failed", "may not be asked"),
    ],
)
def test_json_says_why_there_is_no_answer_at_all(monkeypatch, capsys, outcome, reason, message) -> None:
    Elsewhere(monkeypatch, outcome)
    assert main(SERVER) == 1
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert (error["reason"], error["message"]) == (reason, message)
    assert error["hint"] in said.err
    assert error["hint"]


# --- what is no number ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"), [("7fc00000", "not a number"), ("ff800000", "-inf"), ("3f800000", "1")]
)
def test_what_is_no_number_is_null_in_json_and_said_in_words(monkeypatch, capsys, raw, shown) -> None:
    words = [*SERVER[:-2], "0-1", "--type", "f32"]
    Elsewhere(monkeypatch, *2 * [Values(bytes.fromhex(raw), 5)])
    assert main([*words, "--json"]) == 0

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    (value,) = json.loads(capsys.readouterr().out, parse_constant=refuse)["values"]
    assert value["value"] == (1 if shown == "1" else None)
    assert value["raw"] == raw
    assert main(words) == 0
    assert capsys.readouterr().out.rstrip().endswith(f" {shown}")


def test_no_number_is_null_wherever_it_stands() -> None:
    assert (
        _json.dumps({"a": [1.5, math.nan], "b": (math.inf, None)}) == '{"a": [1.5, null], "b": [null, null]}'
    )
