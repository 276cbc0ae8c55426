"""The compiled loop of a serial line and its body as plain Python, on real descriptors: a socket that hears
itself answers a request that is shaped like its own reply."""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from edge_agent.bus.wire.frames import with_crc
from edge_agent.clock import SystemClock
from edge_agent.kernels import Kernels, loopback
from edge_agent.kernels import talk as at

MS = 1_000_000
NOW = SystemClock().mono_ns
FRAME = loopback.FRAME


@pytest.fixture
def mirror() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.setblocking(False)
        one.bind("")
        one.connect(one.getsockname())
        yield one


@dataclass
class Call:
    """One call of `talk`: frames to send, and what the tables said afterwards."""

    kernels: Kernels
    fd: int
    frames: list[bytes]
    reply_bytes: int = len(FRAME)
    header: bytes = FRAME[:3]
    ready_ns: int = field(default_factory=NOW)
    deadline_ns: int = field(default_factory=lambda: NOW() + 10_000 * MS)
    slice_ns: int = 5 * MS
    pause_ns: int = 0
    turnaround_ns: int = 0

    def __post_init__(self) -> None:
        count = len(self.frames)
        self.state = (ctypes.c_int64 * at.STATE_CELLS)()
        self.state[at.READY_NS], self.state[at.DEADLINE_NS] = self.ready_ns, self.deadline_ns
        self.state[at.SLICE_NS] = self.slice_ns
        self.state[at.CHAR_NS], self.state[at.GAP_NS] = 1000, MS
        self.rows = (ctypes.c_int64 * (at.TALK_ROW * count))()
        requests = (ctypes.c_uint8 * (at.REQUEST_ROOM * count))()
        self.replies = (ctypes.c_uint8 * (at.REPLY_ROOM * count))()
        for number, frame in enumerate(self.frames):
            row = number * at.TALK_ROW
            self.rows[row + at.REQUEST_BYTES] = len(frame)
            self.rows[row + at.REPLY_BYTES] = self.reply_bytes
            self.rows[row + at.HEADER] = int.from_bytes(self.header, "little")
            self.rows[row + at.PAUSE_NS], self.rows[row + at.TURNAROUND_NS] = (
                self.pause_ns,
                self.turnaround_ns,
            )
            self.rows[row + at.TIMEOUT_NS] = 1000 * MS
            place = number * at.REQUEST_ROOM
            requests[place : place + len(frame)] = list(frame)
        self.made = self.kernels.talk(self.fd, count, self.state, self.rows, requests, self.replies)

    def cell(self, name: int, row: int = 0) -> int:
        return self.rows[row * at.TALK_ROW + name]

    @property
    def status(self) -> int:
        return self.state[at.STATUS]

    def heard(self, row: int = 0) -> bytes:
        place = row * at.REPLY_ROOM
        return bytes(self.replies[place : place + self.cell(at.HEARD, row)])


def test_the_self_test_passes(kernel_set: Kernels) -> None:
    assert loopback.check(kernel_set.talk) == ""


def test_the_self_test_notices_a_loop_that_hears_nothing() -> None:
    assert "status 0" in loopback.check(lambda *_: 0)


def test_a_plain_reply_is_made_and_handed_on(kernel_set: Kernels, mirror: socket.socket) -> None:
    call = Call(kernel_set, mirror.fileno(), [FRAME])
    assert (call.made, call.status, call.heard()) == (1, at.DONE, FRAME)


@pytest.mark.parametrize("bit", range(8 * len(FRAME)))
def test_no_flipped_bit_is_taken_for_the_reply(kernel_set: Kernels, mirror: socket.socket, bit: int) -> None:
    frame = (int.from_bytes(FRAME, "big") ^ 1 << bit).to_bytes(len(FRAME), "big")
    call = Call(kernel_set, mirror.fileno(), [frame])
    assert (call.made, call.status, call.heard()) == (0, at.WAITING, frame)


def test_another_unit_or_function_or_length_goes_back(kernel_set: Kernels, mirror: socket.socket) -> None:
    for header in (b"\2\1\3", b"\1\2\3", b"\1\1\4", b"\1\x81\3"):
        call = Call(kernel_set, mirror.fileno(), [with_crc(header + FRAME[3:6])])
        assert (call.made, call.status, call.cell(at.HEARD)) == (0, at.WAITING, len(FRAME))


def test_a_reply_that_breaks_off_and_one_that_is_too_long_go_back(
    kernel_set: Kernels, mirror: socket.socket
) -> None:
    for frame in (FRAME[:5], FRAME + b"\0"):
        call = Call(kernel_set, mirror.fileno(), [frame])
        assert (call.made, call.status, call.heard()) == (0, at.WAITING, frame)


def test_bytes_out_of_turn_keep_the_request_from_being_sent(
    kernel_set: Kernels, mirror: socket.socket
) -> None:
    mirror.send(b"\xff\0")
    call = Call(kernel_set, mirror.fileno(), [FRAME])
    assert (call.made, call.status, call.heard()) == (0, at.NOISE, b"\xff\0")
    with pytest.raises(BlockingIOError):
        mirror.recv(1)


def test_silence_goes_back_after_a_slice_and_the_request_stays_sent(kernel_set: Kernels) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        call = Call(kernel_set, near.fileno(), [FRAME])
        assert (call.made, call.status, call.cell(at.HEARD)) == (0, at.WAITING, 0)
        assert call.cell(at.START_NS) <= call.cell(at.SENT_NS)
        assert far.recv(100) == FRAME


def test_nothing_begins_at_the_deadline_or_beyond_a_slice(kernel_set: Kernels, mirror: socket.socket) -> None:
    now = NOW()
    for ready, deadline in ((now, now), (now + 20 * MS, now + 10 * MS), (now + 3600_000 * MS, now + 9**20)):
        call = Call(kernel_set, mirror.fileno(), [FRAME], ready_ns=ready, deadline_ns=min(deadline, 2**62))
        assert (call.made, call.status) == (0, at.NOT_BEGUN)
    with pytest.raises(BlockingIOError):
        mirror.recv(1)


def test_the_pauses_of_a_plan_are_kept(kernel_set: Kernels, mirror: socket.socket) -> None:
    ready = NOW() + 2 * MS
    for pause, turnaround in ((3 * MS, 0), (0, 3 * MS)):
        call = Call(
            kernel_set, mirror.fileno(), [FRAME] * 4, ready_ns=ready,
            pause_ns=pause, turnaround_ns=turnaround,
        )  # fmt: skip
        assert (call.made, call.status) == (4, at.DONE)
        assert call.cell(at.START_NS) >= ready
        for row in range(1, 4):
            assert call.cell(at.START_NS, row) >= call.cell(at.LAST_NS, row - 1) + 3 * MS


def test_what_ends_a_plan_leaves_the_replies_before_it(kernel_set: Kernels, mirror: socket.socket) -> None:
    call = Call(kernel_set, mirror.fileno(), [FRAME, FRAME, FRAME[:-1] + b"\0", FRAME])
    assert (call.made, call.status, call.heard(1)) == (2, at.WAITING, FRAME)


def test_a_port_that_takes_no_bytes_is_said_with_how_many_it_took(kernel_set: Kernels) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                near.send(bytes(1 << 16))
        call = Call(kernel_set, near.fileno(), [FRAME])
        assert (call.made, call.status, call.cell(at.HEARD)) == (0, at.SHORT, 0)


def test_a_port_whose_other_end_has_gone_is_lost(kernel_set: Kernels) -> None:
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        far.shutdown(socket.SHUT_WR)
        call = Call(kernel_set, near.fileno(), [FRAME])
        assert (call.status, call.state[at.ERRNO]) == (at.FAILED, 0)
        far.close()
        call = Call(kernel_set, near.fileno(), [FRAME])
        assert call.status == at.FAILED
        assert call.state[at.ERRNO] in (errno.EPIPE, errno.ECONNRESET)


def test_no_descriptor_is_an_errno(kernel_set: Kernels) -> None:
    call = Call(kernel_set, -1, [FRAME])
    assert (call.made, call.status, call.state[at.ERRNO]) == (0, at.FAILED, errno.EBADF)
