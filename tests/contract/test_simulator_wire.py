"""What a program on the other side of the port really gets, fault by fault. The reader is `os.read`.

Times are not asserted, only that nothing is missing, doubled or invented.
"""

from __future__ import annotations

import os
import select
import socket
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.errors import EdgeAgentError, InputError, PortError
from edge_agent.simulator import SimulatedLine, SimulatedTcp, wire
from edge_agent.simulator.log import Answer, Happened, read
from edge_agent.simulator.pty_port import PtyPort
from tests.unit.simulator.factory import press, request

GOOD = wire.rtu_frame(2, b"\x03\x04\x04\xd2\x00\x00")
QUIET_S = 0.08
"""Longer than any gap within a reply here; only ends a wait."""


class Reader:
    """A port opened as a program opens it."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def ask(self, frame: bytes, first_s: float = 5.0) -> bytes:
        """Send, and read until the line has been quiet."""
        os.write(self.fd, frame)
        return self.hear(first_s)

    def hear(self, first_s: float) -> bytes:
        heard, wait_s = b"", first_s
        while select.select([self.fd], [], [], wait_s)[0]:
            heard += os.read(self.fd, 4096)
            wait_s = QUIET_S
        return heard

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def line() -> Iterator[SimulatedLine]:
    with SimulatedLine([press()], baud=115200) as line:
        yield line


@pytest.fixture
def reader(line: SimulatedLine) -> Iterator[Reader]:
    reader = Reader(line.path)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("bad_crc", lambda heard: len(heard) == len(GOOD) and not wire.is_rtu_frame(heard)),
        ("wrong_function", lambda heard: wire.is_rtu_frame(heard) and heard[1] == 4),
        ("wrong_count", lambda heard: wire.is_rtu_frame(heard) and len(heard) in (7, 11)),
        ("wrong_unit", lambda heard: wire.is_rtu_frame(heard) and heard[0] == 3),
        ("glitch_before:bytes=3", lambda heard: heard[3:] == GOOD),
        ("glitch_after:bytes=3", lambda heard: heard[:-3] == GOOD),
        ("exception:code=6", lambda heard: heard == wire.rtu_frame(2, b"\x83\x06")),
        ("short", lambda heard: 0 < len(heard) < len(GOOD) and GOOD.startswith(heard)),
        ("pause:gap=20ms", lambda heard: heard == GOOD),
        ("echo", lambda heard: heard == request() + GOOD),
        ("late:timeout=50ms,factor=1-3", lambda heard: heard == GOOD),
    ],
)
def test_fault_on_the_wire_is_the_fault_that_was_asked_for(
    line: SimulatedLine, reader: Reader, fault, expected
):
    line.faults.set("press", fault)
    assert expected(reader.ask(request()))
    line.faults.clear()
    assert reader.ask(request()) == GOOD
    played, healthy = line.log.served()
    assert played.fault == fault.partition(":")[0]
    assert (healthy.fault, healthy.answer) == ("", Answer.VALUES)


def test_silence_is_silent_and_logged(line: SimulatedLine, reader: Reader):
    line.faults.set("press", "silence:limit=1")
    assert reader.ask(request(), first_s=QUIET_S) == b""
    assert reader.ask(request()) == GOOD
    assert [entry.answer for entry in line.log.served()] == [Answer.NONE, Answer.VALUES]


def test_babble_fills_the_line_until_it_is_over(line: SimulatedLine, reader: Reader):
    line.faults.set("press", "babble:burst=200ms,limit=1")
    assert len(reader.ask(request())) > 100
    assert reader.ask(request()) == GOOD


def test_babble_nobody_reads_is_dropped_and_the_simulator_lives(line: SimulatedLine, reader: Reader):
    line.faults.set("press", "babble:burst=60s,limit=1")
    os.write(reader.fd, request())
    assert _until(lambda: line.stats().overrun_bytes > 0)
    line.faults.clear()
    reader.hear(QUIET_S)
    assert reader.ask(request()) == GOOD


def test_unplugging_is_a_hang_up_and_the_link_comes_back_elsewhere(tmp_path: Path):
    link = tmp_path / "dev" / "ttySIM0"
    with SimulatedLine([press()], link=link, log=tmp_path / "log") as line:
        assert line.path == str(link)
        reader = Reader(line.path)
        assert reader.ask(request()) == GOOD
        line.unplug()
        assert not link.is_symlink()
        with pytest.raises(OSError, match="Input/output error"):
            os.write(reader.fd, request())
        reader.close()
        line.unplug()
        line.replug()
        again = Reader(line.path)
        assert again.ask(request()) == GOOD
        again.close()
    assert not link.is_symlink()
    events = [entry.event for entry in read(tmp_path / "log") if isinstance(entry, Happened)]
    assert events == ["start", "unplug", "replug", "stop"]


def test_port_is_raw_without_parity(line: SimulatedLine, reader: Reader):
    iflag, oflag, cflag, lflag = termios.tcgetattr(reader.fd)[:4]
    assert not cflag & termios.PARENB
    assert not lflag & (termios.ICANON | termios.ECHO)
    assert not oflag & termios.OPOST
    assert not iflag & (termios.IXON | termios.ICRNL)


def test_port_left_exclusive_by_a_killed_program_can_be_opened_again(line: SimulatedLine):
    import array
    import fcntl

    first = Reader(line.path)
    fcntl.ioctl(first.fd, termios.TIOCEXCL)
    first.close()

    def is_free() -> bool:
        reader = Reader(line.path)
        flag = array.array("i", [0])
        fcntl.ioctl(reader.fd, 0x80045440, flag)
        reader.close()
        return flag[0] == 0

    assert _until(is_free)


def test_port_in_use_stays_exclusive(tmp_path: Path):
    import array
    import fcntl

    port = PtyPort()
    reader = Reader(port.path)
    fcntl.flock(reader.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.ioctl(reader.fd, termios.TIOCEXCL)
    port.release_exclusive()
    flag = array.array("i", [0])
    fcntl.ioctl(reader.fd, 0x80045440, flag)
    assert flag[0] == 1
    reader.close()
    port.unplug()


def test_link_over_a_file_is_refused_and_over_a_stale_link_is_not(tmp_path: Path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(PortError, match="is no link"):
        PtyPort(taken)
    assert taken.read_text() == "mine"
    stale = tmp_path / "stale"
    stale.symlink_to("/dev/pts/99999")
    port = PtyPort(stale)
    assert stale.readlink() == Path(os.ttyname(os.open(port.path, os.O_RDWR | os.O_NOCTTY)))
    port.unplug()


def test_simulator_leaves_no_descriptor_and_no_thread_behind():
    import threading

    before, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(3):
        with SimulatedLine([press()]) as line, SimulatedTcp([press()]):
            line.unplug()
    with pytest.raises(EdgeAgentError):
        SimulatedLine([press()], log=Path("/nonexistent/log"))
    with pytest.raises(EdgeAgentError):
        SimulatedLine([press()], link=Path("/proc/port"))
    with pytest.raises(InputError):
        SimulatedLine([press(), press()])
    with pytest.raises(InputError):
        SimulatedTcp([press(), press()])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert threading.active_count() == threads


# --- TCP --------------------------------------------------------------------------------------

ASKED = wire.tcp_frame(5, 2, request()[1:-2])
ANSWERED = wire.tcp_frame(5, 2, GOOD[1:-2])


def test_tcp_stream_cut_anywhere_is_answered(tmp_path: Path):
    with (
        SimulatedTcp([press()], log=tmp_path / "log") as server,
        socket.create_connection(server.address) as client,
    ):
        client.settimeout(5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(ASKED)):
            client.sendall(ASKED[:cut])
            client.sendall(ASKED[cut:])
            assert client.recv(100) == ANSWERED


def test_tcp_garbage_and_a_crowd_are_turned_away_and_the_others_served():
    with SimulatedTcp([press()]) as server:
        with socket.create_connection(server.address) as bad:
            bad.settimeout(5)
            bad.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert bad.recv(100) == b""
        crowd = [socket.create_connection(server.address) for _ in range(20)]
        crowd[0].settimeout(5)
        crowd[0].sendall(ASKED)
        assert crowd[0].recv(100) == ANSWERED
        assert _until(lambda: server.refused == 5)
        for client in crowd:
            client.close()


def test_tcp_connection_lost_before_the_reply_cuts_it():
    with SimulatedTcp([press()], delay_ns=50_000_000) as server:
        with socket.create_connection(server.address) as client:
            client.sendall(ASKED)
            assert _until(lambda: server.requests == 1)
        assert _until(lambda: len(server.log.served()) == 1)
        assert server.log.served()[0].answer is Answer.CUT


def test_tcp_unplugged_refuses_and_replugged_serves_at_the_same_address():
    with SimulatedTcp([press()]) as server:
        server.unplug()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(server.address, timeout=5)
        server.replug()
        with socket.create_connection(server.address, timeout=5) as client:
            client.sendall(ASKED)
            assert client.recv(100) == ANSWERED


def test_tcp_address_in_use_is_a_port_error():
    with SimulatedTcp([press()]) as server, pytest.raises(PortError, match="cannot listen"):
        SimulatedTcp([press()], port=server.address[1])


def _until(condition, patience_s: float = 10.0) -> bool:
    """Whether `condition` came true; waits without caring how long it takes."""
    for _ in range(round(patience_s / 0.02)):
        if condition():
            return True
        select.select([], [], [], 0.02)
    return bool(condition())


def test_a_strict_line_understands_its_own_speed_only() -> None:
    with SimulatedLine([press()], baud=38400, strict_baud=True) as line:
        reader = Reader(line.path)
        for speed, answered in ((termios.B9600, False), (termios.B38400, True), (termios.B115200, False)):
            *head, _, _, cc = termios.tcgetattr(reader.fd)
            termios.tcsetattr(reader.fd, termios.TCSANOW, [*head, speed, speed, cc])
            assert bool(reader.ask(request(), first_s=5.0 if answered else QUIET_S)) == answered
        assert line.stats().counts.requests == 1
        reader.close()
