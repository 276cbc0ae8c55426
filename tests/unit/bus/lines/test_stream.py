"""A serial line with a network in between, in virtual time: replies that come whole and late, and a
connection that is lost while the line behind it goes on."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.stream import StreamLine, StreamPort
from edge_agent.bus.outcomes import NoReply, PortDown, Values
from edge_agent.bus.wire.frames import with_crc
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import device_server_timing
from edge_agent.clock import FakeClock
from edge_agent.errors import PortError
from edge_agent.model import NS, DeviceServerLink, MonoNs
from tests.unit.bus.helpers import reply, request
from tests.unit.bus.site import MS, InTurn, Rig, device, scattered, site

TIMEOUT = 100 * MS
LOST = PortError("x: connection lost", reason="lost", hint="h")


class FakeStream:
    """A `FakePort` as a connection."""

    def __init__(self, port: FakePort) -> None:
        self.port = port
        self.write, self.close = port.write, port.close

    def read(self, until: MonoNs) -> bytes:
        return self.port.read(MonoNs(0), until)


class Bench:
    """Each connection is a new port; `refuse` makes the next ones fail."""

    def __init__(self, *responders, link=None):
        self.clock = FakeClock()
        self.timing = device_server_timing(link or DeviceServerLink(host="h"))
        self.ports: list[FakePort] = []
        self._responders = list(responders)
        self.manners = Manners(timeout=AdaptiveTimeout(TIMEOUT))
        self.line = StreamLine(self._connect, self.timing, self.clock, manners={0: self.manners})
        self.line.open()

    def _connect(self):
        if not self._responders:
            raise PortError("x: refused", reason="refused", hint="h")
        self.ports.append(FakePort(self.clock, self._responders.pop(0)))
        return StreamPort(FakeStream(self.ports[-1]), self.clock)

    @property
    def port(self) -> FakePort:
        return self.ports[-1]

    def run(self, *plan):
        return [one.outcome for one in self.line.run(plan, MonoNs(self.clock.mono_ns() + 60 * NS))]


def good(data: bytes, after_ms: float = 5):
    address, count = int.from_bytes(data[2:4], "big"), data[5]
    body = b"".join((address + i).to_bytes(2, "big") for i in range(count))
    return [(int(after_ms * MS), with_crc(bytes((data[0], data[1], len(body))) + body))]


def address_of(outcome) -> int:
    assert isinstance(outcome, Values), outcome
    return int.from_bytes(outcome.data[:2], "big")


def test_t3_5_of_the_line_behind_the_server_is_kept():
    bench = Bench(good, link=DeviceServerLink(host="h", baud=1200))
    bench.run(*[request()] * 5)
    times = [at for at, _ in bench.port.sent]
    for before, after in pairwise(times):
        assert after - (before + 5 * MS) >= bench.timing.interframe_ns >= 32 * MS


def test_a_long_reply_that_is_handed_on_whole_is_waited_for():
    bench = Bench(lambda data: good(data, 8 * 1.15 + 90 + 255 * 1.14))
    assert address_of(bench.run(request(125, address=7))[0]) == 7
    # The wait for a silent device does not grow with it: it is the timeout and what the reply would take.
    silent = Bench(lambda data: [])
    silent.run(request(1))
    assert silent.clock.mono_ns() - silent.port.sent[0][0] < TIMEOUT + 40 * MS


def test_a_reply_in_packets_with_a_pause_is_whole():
    bench = Bench(lambda data: [(5 * MS, reply(request())[:3]), (90 * MS, reply(request())[3:])])
    assert isinstance(bench.run(request())[0], Values)


def test_a_late_reply_is_discarded_and_counted():
    late = iter([150, 5, 5])
    bench = Bench(lambda data: good(data, next(late)))
    first, second, third = bench.run(*(request(address=n) for n in (1, 2, 3)))
    assert first == NoReply()
    assert [address_of(second), address_of(third)] == [2, 3]
    assert bench.line.counts.late_replies == 1


def test_a_request_that_was_cut_off_is_waited_for_on_the_next_connection():
    bench = Bench(lambda data: [(MS, LOST)], good)
    assert bench.run(request(address=1)) == [PortDown("lost")]
    bench.line.open()
    bench.port.babble(good(bytes.fromhex("010300010002"), 250))
    start = bench.clock.mono_ns()
    assert address_of(bench.run(request(address=2))[0]) == 2
    assert bench.line.counts.late_replies == 1
    assert bench.port.sent[0][0] - start >= 3 * TIMEOUT


def test_a_quarantine_outlives_the_connection():
    bench = Bench(lambda data: [(TIMEOUT + 60 * MS, LOST)], good)
    (silent, after) = bench.run(request(address=1), request(address=2))
    assert silent == NoReply()
    assert address_of(after) == 2
    (first, _), (second, _) = bench.ports[0].sent[0], bench.ports[1].sent[0]
    assert second - first >= 3 * TIMEOUT


def test_a_connection_lost_before_the_request_is_made_again_once_and_unnoticed():
    bench = Bench(good, good)
    bench.run(request(address=1))
    bench.port.babble([(0, LOST)])
    assert address_of(bench.run(request(address=2))[0]) == 2
    assert bench.line.counts.opened == 2
    bench.port.babble([(0, LOST)])
    assert bench.run(request(address=3), request(address=4)) == [PortDown("refused")] * 2


def test_what_is_not_a_lost_connection_is_not_tried_again():
    bench = Bench(good, good)
    bench.port.babble([(0, PortError("x", reason="io", hint="h"))])
    assert bench.run(request()) == [PortDown("io")]
    assert bench.line.counts.opened == 1


@pytest.mark.parametrize("baud", [None, 115200])
def test_babble_ends_in_bounded_time(baud):
    bench = Bench(good, link=DeviceServerLink(host="h", baud=baud))
    noise = random.Random(3)
    bench.port.babble([(ms * MS, noise.randbytes(2)) for ms in range(1, 4000)])
    start = bench.clock.mono_ns()
    bench.run(request())
    assert bench.clock.mono_ns() - start < 2 * NS


@example(80684, 170)  # A probe that had to wait for a debt kept the worker from sleeping.
@given(st.integers(0, 2**32), st.integers(1, 350))
@settings(max_examples=25, deadline=None)
def test_late_replies_of_a_device_server_never_give_another_requests_values(seed, late_ms):
    """A worker against devices that are late at random, over connections that are lost at random; what
    was owed to the connection before comes over the next one."""
    chance, turns = random.Random(seed), {1: InTurn(), 2: InTurn()}

    def respond(data):
        (_, whole) = good(data)[0]
        delay_ns = (late_ms if chance.random() < 0.3 else 5) * MS
        at = turns[data[0]].delay_ns(rig.clock.mono_ns(), delay_ns)
        if chance.random() < 0.05:
            return [(MS, LOST), (at, whole)]
        return [(at, whole)]

    devices = [scattered("a", 1, 4, 400), device("b", 2, 2, 300)]
    link = DeviceServerLink(host="h", baud=19200)
    rig = Rig(
        site(*devices, timeout_ns=150 * MS, link=link),
        respond=respond,
        kind=StreamLine,
        wrap=lambda port: StreamPort(FakeStream(rig.port), rig.clock),
    )
    rig.run(30)
    values = [block for block in rig.blocks if isinstance(block.outcome, Values)]
    assert values
    for block in values:
        assert address_of(block.outcome) == block.request.address
