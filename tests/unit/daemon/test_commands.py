"""Commands: what is understood, what is refused, and that any bytes are one or the other."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.bus.schedule.lane import Answer, LaneFull
from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.daemon import asking
from edge_agent.daemon.commands import (
    MAX_LINE,
    CommandError,
    Probe,
    Read,
    line_of,
    outcome_of,
    parse,
    reply_line,
)
from edge_agent.daemon.desk import Desk
from edge_agent.daemon.status import CLIENT_NS
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceServerLink,
    MonoNs,
    PointType,
    SerialLink,
    SpoolDef,
    TcpLink,
)
from tests.unit.bus.site import device, site

READ = {"command": "read", "bus": "b", "unit_id": 1, "area": "holding", "address": 0, "count": 2}


def said(**changes):
    return json.dumps({key: value for key, value in (READ | changes).items() if value is not None}).encode()


@pytest.mark.parametrize(
    "command",
    [
        Read(bus="b", unit_id=7, area=Area.COIL, address=0xFFFF, count=1),
        Read(port="/dev/ttyUSB0", unit_id=255, area=Area.HOLDING, address=0, count=125),
        Read(device="meter", area=Area.INPUT, address=3, count=4),
        Probe(device="zähler"),
    ],
)
def test_a_command_survives_its_way(command):
    assert parse(line_of(command)) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "JSON"),
        (b"[" * MAX_LINE, "JSON"),
        (b"1" * MAX_LINE, "JSON"),
        (b" " * (MAX_LINE + 1), "4096"),
        (b"{}", "command"),
        (said(command="write"), "read"),
        (said(command=["read"]), "read"),
        (said(bus=None), "one of"),
        (said(device="d"), "one of"),
        (said(bus=3), "bus"),
        (said(bus=""), "bus"),
        (said(bus="x" * 2000), "bus"),
        (said(bus="a\0b"), "bus"),
        (said(bus=None, port="/dev/\ud800"), "port"),
        (said(bus="a\nb"), "bus"),
        (said(unit_id=0), "unit_id"),
        (said(unit_id=256), "unit_id"),
        (said(unit_id=True), "unit_id"),
        (said(unit_id=1.0), "unit_id"),
        (said(area="register"), "area"),
        (said(area=3), "area"),
        (said(address=-1), "address"),
        (said(address=65536), "address"),
        (said(count=0), "count"),
        (said(count=126), "count"),
        (said(address=65535, count=2), "count"),
        (said(count=10**400), "count"),
        (said(count=None), "count"),
        (said(values=[1]), "values"),
        (b'{"command": "probe"}', "device"),
        (b'{"command": "probe", "device": "d", "unit_id": 1}', "unit_id"),
        (b'{"command": "probe", "device": {}}', "device"),
    ],
)
def test_what_is_wrong_is_said(line, words):
    with pytest.raises(CommandError, match=words):
        parse(line)


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*READ, "x"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
@settings(max_examples=300)
def test_whatever_comes_is_a_command_or_an_error(line):
    try:
        command = parse(line)
    except CommandError as error:
        assert error.message
    else:
        assert parse(line_of(command)) == command


@pytest.mark.parametrize(
    "outcome",
    [Values(b"\x00\xff", 5), DeviceException(2, 7), NoReply(), BadFrame(BadCause.CRC, 9), PortDown("lost")],
)
def test_an_outcome_survives_its_way(outcome):
    line = reply_line(outcome, {"bus": "b"})
    assert line.endswith(b"\n")
    assert outcome_of(json.loads(line)["outcome"]) == outcome


@pytest.mark.parametrize(
    "data", [{}, {"kind": "wet"}, {"kind": "values"}, {"kind": "values", "data": 3, "latency_ns": 1},
             {"kind": "bad_frame", "cause": "x", "heard": 1}],
)  # fmt: skip
def test_what_is_no_outcome_is_refused(data):
    with pytest.raises(ValueError, match=r"not a|valid|hex"):
        outcome_of(data)


# --- the desk -------------------------------------------------------------------------------------


class Bus:
    def __init__(self):
        self.asked = []
        self.full = False

    def ask(self, asked):
        if self.full:
            raise LaneFull("16 requests wait\n    hint: later")
        self.asked.append(asked)


class Counter:
    """A desk with two buses, and what it replied."""

    def __init__(self, tmp_path):
        self.port = tmp_path / "ttyS0"
        self.port.touch()
        where = site(device("a", 1), device("careful", 2, forbidden=((Area.HOLDING, 10, 19),)))
        first = where.buses[0]
        link = SerialLink(path=str(self.port))
        second = BusDef(name="two", link=link, devices=(device("z", 1),))
        where = replace(where, buses=(first, second))
        self.site = where
        self.buses = [Bus(), Bus()]
        self.counters = Counters()
        self.desk = Desk(where, self.buses, FakeClock(), self.counters)
        self.replies = []

    def configure(self, *devices):
        self.desk = Desk(site(*devices), self.buses, FakeClock(), self.counters)

    def relink(self, *links):
        buses = tuple(replace(bus, link=link) for bus, link in zip(self.site.buses, links, strict=True))
        self.desk = Desk(replace(self.site, buses=buses), self.buses, FakeClock(), self.counters)

    def take(self, **changes):
        self.desk.take(said(**changes), lambda line: self.replies.append(json.loads(line)))
        return self.replies[-1] if self.replies else None


@pytest.fixture
def counter(tmp_path):
    return Counter(tmp_path)


def test_a_read_goes_to_the_device_of_its_unit_or_to_a_guest(counter):
    counter.take()
    counter.take(unit_id=9)
    counter.take(bus="two")
    assert [one.what for one in counter.buses[0].asked] == [
        ReadRequest(0, 1, Area.HOLDING, 0, 2, ()),
        ReadRequest(-9, 9, Area.HOLDING, 0, 2, ()),
    ]
    assert [one.what.device for one in counter.buses[1].asked] == [2]


def test_a_purge_is_handed_to_the_spool_answered_and_recorded(counter, tmp_path):
    asked: list[Any] = []
    audits: list[Any] = []
    own = str(tmp_path / "spool")
    store = SimpleNamespace(purge=lambda streams, answer: asked.append((streams, answer)))
    site = replace(counter.site, spool=SpoolDef(path=own))
    desk = Desk(site, counter.buses, FakeClock(), counter.counters, store=store, audit=audits.append)

    def take(**fields):
        line = json.dumps({"command": "purge", "path": own, "streams": ["sample", "alarm"], **fields})
        desk.take(line.encode(), lambda reply: counter.replies.append(json.loads(reply)), "local uid 7")
        return counter.replies[-1] if counter.replies else None

    assert take() is None
    (streams, answer), *_ = asked
    assert streams == ("sample", "alarm")
    answer({"sample": 3, "alarm": 0})
    assert counter.replies == [{"purged": {"sample": 3, "alarm": 0}}]
    answer(OSError("disk gone"))
    assert counter.replies[-1]["reason"] == "failed"
    assert [(one.who, one.result) for one in audits] == [
        ("local uid 7", "done"), ("local uid 7", "failed: disk gone")
    ]  # fmt: skip
    assert take(path="/elsewhere")["reason"] == "unknown"
    for streams in ([], ["event"], "sample", [1], [["sample"]], None):
        assert take(streams=streams)["reason"] == "malformed"
    assert len(asked) == 1


def test_a_device_is_found_by_its_name(counter):
    counter.take(bus=None, unit_id=None, device="z")
    assert counter.buses[1].asked[0].what == ReadRequest(2, 1, Area.HOLDING, 0, 2, ())
    counter.take(command="probe", bus=None, unit_id=None, area=None, address=None, count=None, device="z")
    assert counter.buses[1].asked[1].what == 2


def test_the_configured_name_of_a_port_may_be_a_link_and_that_of_a_client_is_not_followed(counter, tmp_path):
    by_id = tmp_path / "by-id"
    by_id.symlink_to(counter.port)
    counter.relink(SerialLink(path="/dev/fake"), SerialLink(path=str(by_id)))
    counter.take(bus=None, port=str(counter.port))
    assert len(counter.buses[1].asked) == 1
    assert counter.take(bus=None, port=str(by_id))["reason"] == "unknown"


def test_a_mistake_in_the_agent_is_an_error_to_the_client_and_the_thread_goes_on(counter, monkeypatch):
    def fail(asked):
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(counter.buses[0], "ask", fail)
    reply = counter.take()
    assert (reply["reason"], counter.counters.snapshot()) == ("failed", {"commands_failed{failed}": 1})
    monkeypatch.undo()
    counter.take()
    assert len(counter.buses[0].asked) == 1


def test_a_device_server_is_found_by_its_address_and_a_gateway_is_no_port(counter):
    by_server = DeviceServerLink(host="10.0.0.5", port=4001)
    by_gateway = TcpLink(host="10.0.0.5", port=502)
    counter.relink(by_gateway, by_server)
    counter.take(bus=None, port="10.0.0.5:4001")
    assert len(counter.buses[1].asked) == 1
    # Modbus TCP keeps its connections apart: whoever wants to may go there directly.
    assert counter.take(bus=None, port="10.0.0.5:502")["reason"] == "unknown"


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"bus": "three"}, "unknown", "no bus three"),
        ({"bus": None, "port": "/dev/ttyS9"}, "unknown", "no bus on /dev/ttyS9"),
        ({"bus": None, "unit_id": None, "device": "q"}, "unknown", "no device q"),
        ({"unit_id": 2, "address": 9}, "forbidden", "careful must not be asked for holding 9-10"),
        ({"count": 0}, "malformed", "count"),
    ],
)
def test_what_is_not_carried_out_is_said_at_once_with_its_reason_and_counted(counter, changes, reason, words):
    reply = counter.take(**changes)
    assert reply["reason"] == reason
    assert words in reply["error"]
    assert counter.counters.snapshot() == {f"commands_failed{{{reason}}}": 1}
    assert not any(bus.asked for bus in counter.buses)


@pytest.mark.parametrize(("bus_s", "device_s", "patience_s"), [(1, None, 32), (60, None, 150), (1, 20, 70)])
def test_a_client_is_kept_for_the_slowest_device_and_waits_longer_itself(bus_s, device_s, patience_s):
    quirks = {} if device_s is None else {"response_timeout_ns": device_s * NS}
    desk = Desk(site(device("a", 1, **quirks), timeout_ns=bus_s * NS), [], FakeClock(), Counters())
    assert desk.patience_ns == patience_s * NS
    assert desk.patience_ns + 2 * CLIENT_NS < asking._TIMEOUT_S * NS


PRESS: dict[str, Any] = {
    "forbidden": ((Area.HOLDING, 10, 19),),
    "barriers": ((Area.HOLDING, 50),),
    "read_alone": ((Area.HOLDING, 100), (Area.HOLDING, 300)),
    "read_whole": ((Area.HOLDING, 102, 2),),
    "max_read_words": 10,
}


@pytest.mark.parametrize(
    ("address", "count", "hint"),
    [
        (100, 1, ""),
        (102, 2, ""),
        (104, 10, ""),
        (200, 12, ""),  # A point of the agent, as is the next.
        (300, 2, ""),
        (50, 2, ""),
        (104, 21, "at most 10 registers at once"),
        (100, 2, "holding 100 is only read by itself"),
        (102, 1, "holding 102-103 is only read whole"),
        (102, 3, "holding 102-103 is only read whole"),
        (9, 2, "holding 10-19 is forbidden"),
        (19, 21, "holding 10-19 is forbidden"),
        (49, 2, "only read apart"),
    ],
)
def test_a_read_may_be_what_the_agent_polls_and_not_what_the_quirks_forbid(counter, address, count, hint):
    press = device("press", 1, **PRESS)
    wide = replace(press.points[0], address=200, type=PointType.STRING, length_words=12)
    inside = replace(press.points[0], address=102)
    double = replace(press.points[0], address=300, type=PointType.U32)
    counter.configure(replace(press, points=(wide, inside, double)))
    reply = counter.take(address=address, count=count)
    assert hint in (reply or {"hint": ""})["hint"]
    assert len(counter.buses[0].asked) == (not hint)


def test_a_full_lane_is_said_with_its_hint(counter):
    counter.buses[0].full = True
    reply = counter.take()
    assert (reply["reason"], reply["hint"]) == ("full", "later")


def test_the_reply_comes_with_the_answer_and_says_who_was_asked(counter):
    assert counter.take() is None
    counter.buses[0].asked[0].answer(Answer(Values(b"\0\1\0\2", 5), MonoNs(0)))
    assert counter.replies == [
        {
            "bus": "b",
            "link": "/dev/fake 19200 8N1",
            "unit_id": 1,
            "device": "a",
            "probing": False,
            "outcome": {"kind": "values", "data": "00010002", "latency_ns": 5},
        }
    ]


def test_a_bus_that_was_not_free_in_time_is_said(counter):
    counter.take()
    counter.buses[0].asked[0].answer(Answer(None, MonoNs(0)))
    assert counter.replies[0]["reason"] == "late"
    assert "30 s" in counter.replies[0]["error"]
