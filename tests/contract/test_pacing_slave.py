"""The slave that judges masters in benchmarks/bus.py: it must be able to find fault, and find none where
there is none. The line is so slow that t3.5 is 128 ms: a busy machine does not make a hasty master lawful."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tty

import pytest

from edge_agent.bus.wire.frames import crc16, with_crc
from edge_agent.bus.wire.timing import rtu_timing, t3_5_ns
from edge_agent.clock import SystemClock
from edge_agent.model import MonoNs, SerialLink
from tests.conftest import ROOT

pytestmark = pytest.mark.needs("cc")

BAUD = 300
T3_5_NS = t3_5_ns(BAUD)
REQUEST = with_crc(bytes((7, 4, 0, 0x10, 0, 1)))
REPLY_LENGTH = 7
PATIENCE_S = 20


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("slave") / "pacing_slave"
    source = ROOT / "benchmarks" / "c" / "pacing_slave.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, source, "-lpthread"], check=True)
    return path


class Slave:
    def __init__(self, child: subprocess.Popen[str], lines: int) -> None:
        self.child = child
        self.paths = [self.event("port")["path"] for _ in range(lines)]
        self.event("ready")

    def event(self, name: str):
        assert self.child.stdout is not None
        said = json.loads(self.child.stdout.readline())
        assert said["event"] == name
        return said

    def report(self):
        """By line."""
        self.child.send_signal(signal.SIGUSR1)
        return [self.event("report") for _ in self.paths]


@pytest.fixture
def start(program):
    children = []

    def start(*, baud: int = BAUD, lines: int = 1, chunks: str = "single") -> Slave:
        command = [program, str(baud), str(lines), chunks]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        return Slave(child, lines)

    yield start
    for child in children:
        child.terminate()
        child.communicate()
        assert child.returncode == 0


class Master:
    """Raw bytes on a port; when to send is the test's affair."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.clock = SystemClock()

    def send(self, request: bytes = REQUEST) -> None:
        os.write(self.fd, request)

    def read(self, length: int = REPLY_LENGTH) -> bytes:
        heard = b""
        while len(heard) < length:
            ready, _, _ = select.select([self.fd], [], [], PATIENCE_S)
            assert ready, f"{len(heard)} of {length} bytes came"
            heard += os.read(self.fd, length - len(heard))
        return heard

    def rest(self, ns: int) -> None:
        self.clock.sleep_until(MonoNs(self.clock.mono_ns() + ns))

    def exchange(self) -> bytes:
        self.send()
        return self.read()


@pytest.fixture
def master(request):
    made = []

    def master(path: str) -> Master:
        made.append(Master(path))
        return made[-1]

    yield master
    for one in made:
        os.close(one.fd)


def test_a_master_that_keeps_t3_5_is_not_blamed(start, master) -> None:
    slave = start()
    one = master(slave.paths[0])
    for _ in range(3):
        one.exchange()
        one.rest(T3_5_NS)
    (said,) = slave.report()
    assert said["requests"] == 2
    assert (said["too_soon"], said["during_reply"], said["garbled"]) == (0, 0, 0)
    assert said["min_gap_us"] >= said["t3_5_us"]
    assert min(said["idle_us"]) >= 0


def test_a_master_that_sends_at_once_is_counted_each_time(start, master) -> None:
    slave = start()
    one = master(slave.paths[0])
    for _ in range(4):
        one.exchange()
    (said,) = slave.report()
    assert said["requests"] == said["too_soon"] == 3
    assert said["min_gap_us"] < said["t3_5_us"]


def test_one_request_too_soon_among_others_is_found(start, master) -> None:
    slave = start()
    one = master(slave.paths[0])
    for rest_ns in (T3_5_NS, 0, T3_5_NS):
        one.exchange()
        one.rest(rest_ns)
    one.exchange()
    (said,) = slave.report()
    assert (said["requests"], said["too_soon"]) == (3, 1)


def test_a_request_inside_a_reply_is_counted_and_not_answered(start, master) -> None:
    slave = start()
    one = master(slave.paths[0])
    one.send()
    heard = one.read(2)
    one.send()
    heard += one.read(REPLY_LENGTH - 2)
    assert crc16(heard) == 0
    assert select.select([one.fd], [], [], 0.2)[0] == []
    (said,) = slave.report()
    assert said["during_reply"] == 1


def test_no_lawful_master_is_faster_than_the_least_time(start, master) -> None:
    slave = start(baud=9600)
    one = master(slave.paths[0])
    for _ in range(10):
        one.exchange()
        one.rest(t3_5_ns(9600))
    (said,) = slave.report()
    char_ns = rtu_timing(SerialLink(path="", baud=9600)).char_ns
    least_ns = (len(REQUEST) + REPLY_LENGTH) * char_ns + 2 * t3_5_ns(9600)
    assert said["least_ns"] == pytest.approx(said["requests"] * least_ns, rel=1e-6)
    assert said["least_ns"] <= said["elapsed_ns"] - said["late_ns"]


@pytest.mark.parametrize("chunks", ["single", "fifo:8", "usb:1000", "usb:16000"])
def test_a_reply_is_whole_and_valid_however_it_is_cut(start, master, chunks) -> None:
    slave = start(baud=115200, chunks=chunks)
    one = master(slave.paths[0])
    for count in (1, 10, 125):
        one.send(with_crc(bytes((9, 3, 0x01, 0x00, 0, count))))
        reply = one.read(5 + 2 * count)
        assert reply[:3] == bytes((9, 3, 2 * count))
        assert crc16(reply) == 0
        one.rest(t3_5_ns(115200))
    (said,) = slave.report()
    assert (said["requests"], said["garbled"], said["overruns"]) == (2, 0, 0)


def test_what_is_no_request_is_counted_and_not_answered(start, master) -> None:
    slave = start(baud=115200)
    one = master(slave.paths[0])
    one.send(REQUEST[:-1] + bytes((REQUEST[-1] ^ 1,)))
    assert select.select([one.fd], [], [], 0.1)[0] == []
    one.exchange()
    (said,) = slave.report()
    assert said["garbled"] == 1


def test_lines_are_judged_apart(start, master) -> None:
    slave = start(lines=2)
    good, bad = (master(path) for path in slave.paths)
    for _ in range(2):
        good.exchange()
        good.rest(T3_5_NS)
        bad.exchange()
    bad.exchange()
    first, second = slave.report()
    assert (first["requests"], first["too_soon"]) == (1, 0)
    assert (second["requests"], second["too_soon"]) == (2, 1)


def test_a_report_begins_anew(start, master) -> None:
    slave = start()
    one = master(slave.paths[0])
    one.exchange()
    one.exchange()
    assert slave.report()[0]["too_soon"] == 1
    assert slave.report()[0]["too_soon"] == 0


def test_maps_are_counted_by_their_lowest_address(start, master) -> None:
    slave = start(baud=115200)
    one = master(slave.paths[0])
    for address in (4, 0, 4, 2, 0, 4, 2, 0):
        one.send(with_crc(bytes((1, 4, 0, address, 0, 1))))
        one.read(7)
        one.rest(t3_5_ns(115200))
    (said,) = slave.report()
    assert (said["map"]["function"], said["map"]["address"], said["map"]["times"]) == (4, 0, 3)
