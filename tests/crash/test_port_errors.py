"""Every error of open, read, write and tcsetattr, once: the worker says so, retries, and polls again."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import select
import termios
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import serial

from edge_agent import kernels
from edge_agent.bus.outcomes import Block, BusEvent, PortDown, Values, quality
from edge_agent.bus.ports import port as port_module
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.errors import PortError
from edge_agent.kernels import talk
from edge_agent.model import SerialLink
from tests.contract.bus_slaves import PtySlave
from tests.unit.bus.site import MS, device, site


def named(*words: str) -> list[OSError]:
    codes = [getattr(errno, word) for word in words]
    return [OSError(code, os.strerror(code)) for code in codes]


# What the manual pages name, each list whole. OSError(EAGAIN) is a BlockingIOError, OSError(EINTR) an
# InterruptedError, as the interpreter makes them too.
READ = named("EAGAIN", "EBADF", "EFAULT", "EINTR", "EINVAL", "EIO", "EISDIR")
WRITE = named("EAGAIN", "EBADF", "EDESTADDRREQ", "EDQUOT", "EFAULT", "EFBIG", "EINTR", "EINVAL", "EIO",
              "ENOSPC", "EPERM", "EPIPE")  # fmt: skip
OPEN = named("EACCES", "EBADF", "EBUSY", "EDQUOT", "EEXIST", "EFAULT", "EFBIG", "EINTR", "EINVAL", "EISDIR",
             "ELOOP", "EMFILE", "ENAMETOOLONG", "ENFILE", "ENODEV", "ENOENT", "ENOMEM", "ENOSPC", "ENOTDIR",
             "ENXIO", "EOPNOTSUPP", "EOVERFLOW", "EPERM", "EROFS", "ETXTBSY", "EWOULDBLOCK")  # fmt: skip
CONFIGURE = named("EBADF", "EINTR", "EINVAL", "EIO", "ENOTTY")
POLL = named("EFAULT", "EINTR", "EINVAL", "ENOMEM")
LOCK = named("EBADF", "EINTR", "EINVAL", "ENOLCK", "EWOULDBLOCK")
IOCTL = named("EBADF", "EFAULT", "EINVAL", "ENOTTY")
CLOSE = named("EBADF", "EINTR", "EIO", "ENOSPC", "EDQUOT")
# Not in the pages, and met in the field: an adapter that went (ENODEV, ENXIO), pyserial's words for it,
# and what a call raises whose port another thread has closed.
GONE: list[Exception] = [
    *named("ENODEV", "ENXIO"),
    serial.SerialException("device reports readiness to read but returned no data"),
    termios.error(errno.EIO, "Input/output error"),
    TypeError("'NoneType' object cannot be interpreted as an integer"),
    ValueError("file descriptor cannot be a negative integer (-1)"),
]
GO_ON = (errno.EAGAIN, errno.EINTR)
CODES_OF_TERMIOS = [error.errno for error in CONFIGURE]


def cases(**calls: list[OSError] | list[Exception]) -> list[Any]:
    """(call, error) with readable ids."""
    return [
        pytest.param(call, error, id=f"{call}-{errno.errorcode.get(code_of(error), type(error).__name__)}")
        for call, errors in calls.items()
        for error in errors
    ]


def code_of(error: Exception) -> int:
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


class Seen:
    """A running worker on a port, and the wait for what it hands on."""

    def __init__(self, path: str, talk: Any = None) -> None:
        self.blocks: list[Block] = []
        self.faults: list[PortError] = []
        """Why the port was closed, once for each value that was not read because of it."""
        self._news = threading.Condition()
        self._stop = threading.Event()
        where = site(device(poll_ms=20), link=SerialLink(path=path, baud=115200), timeout_ns=100 * MS)
        self.worker = BusWorker(where, 0, 1, self._put, SystemClock(), Counters(), talk=talk)
        self._thread = threading.Thread(target=self.worker.run, args=(self._stop,))
        self._thread.start()

    def _put(self, event: BusEvent) -> None:
        with self._news:
            if not isinstance(event, Block):
                return
            if isinstance(event.outcome, PortDown):
                fault = self.worker._line.fault
                assert fault is not None
                assert fault.reason == event.outcome.reason
                self.faults.append(fault)
            self.blocks.append(event)
            self._news.notify()

    def wait(self, wanted: Callable[[Block], bool]) -> Block:
        """The first new block like this; fails after 20 s."""
        with self._news:
            new = len(self.blocks)

            def found() -> Block | None:
                return next((b for b in self.blocks[new:] if wanted(b)), None)

            self._news.wait_for(lambda: found() is not None, 20)
            block = found()
            assert block is not None, f"only {[b.outcome for b in self.blocks[-3:]]}"
            return block

    def good(self) -> Block:
        return self.wait(lambda block: isinstance(block.outcome, Values))

    def down(self) -> Block:
        return self.wait(lambda block: isinstance(block.outcome, PortDown))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the worker does not stop"


@pytest.fixture
def slave():
    made = PtySlave()
    yield made
    made.close()


@pytest.fixture
def seen(slave):
    made = Seen(slave.path)
    yield made
    made.close()


def once(monkeypatch, where: Any, name: str, error: Exception, when: Callable[..., bool]) -> threading.Event:
    """Make `where.name` raise `error` at the next call that `when` accepts."""
    real, fired = getattr(where, name), threading.Event()

    def failing(*args: Any, **more: Any) -> Any:
        if not fired.is_set() and when(*args):
            fired.set()
            raise error
        return real(*args, **more)

    monkeypatch.setattr(where, name, failing)
    return fired


def told(faults: Sequence[PortError]) -> None:
    """Each failure has left a place, one word and a hint."""
    assert faults
    for fault in faults:
        assert fault.reason in ("missing", "permission", "busy", "lost", "io")
        assert fault.hint
        assert str(fault).startswith("/dev/pts/")


@pytest.mark.parametrize(("call", "error"), cases(read=[*READ, *GONE], write=[*WRITE, *GONE]))
def test_an_error_of_read_or_write_costs_one_reopening(seen, monkeypatch, call, error):
    seen.good()
    line_fd = seen.worker._line._port._fd
    fired = once(monkeypatch, os, call, error, lambda fd, *_: fd == line_fd)
    assert fired.wait(10)
    seen.good()
    if code_of(error) in GO_ON:
        assert seen.worker._line.counts.opened == 1
    else:
        assert seen.worker._line.counts.opened == 2
        told(seen.faults)


@pytest.mark.parametrize(
    ("call", "error"), cases(tcsetattr=[*CONFIGURE, *GONE], tcgetattr=[*CONFIGURE, *GONE])
)
def test_an_error_of_configuring_is_retried(slave, monkeypatch, call, error):
    if code_of(error) in CODES_OF_TERMIOS:
        error = termios.error(*error.args)
    fired = once(monkeypatch, termios, call, error, lambda *_: True)
    made = Seen(slave.path)
    try:
        assert fired.wait(10)
        made.good()
        told(made.faults)
    finally:
        made.close()


@pytest.mark.parametrize(("call", "error"), cases(open=[*OPEN, *GONE]))
def test_an_error_of_opening_is_retried_and_named(slave, monkeypatch, call, error):
    once(monkeypatch, os, call, error, lambda path, *_: path == slave.path)
    made = Seen(slave.path)
    try:
        made.good()
        told(made.faults)
        # A full machine and a folder have other remedies than a port that cannot do the speed.
        words = {errno.EMFILE: "LimitNOFILE", errno.ENOMEM: "run out", errno.EISDIR: "folder"}
        assert words.get(code_of(error), "") in made.faults[0].hint
    finally:
        made.close()


@pytest.mark.parametrize(("call", "error"), cases(flock=LOCK))
def test_an_error_of_locking_is_retried(slave, monkeypatch, call, error):
    once(monkeypatch, fcntl, call, error, lambda *_: True)
    made = Seen(slave.path)
    try:
        made.good()
        told(made.faults)
        assert (made.faults[0].reason == "busy") == (code_of(error) == errno.EWOULDBLOCK)
    finally:
        made.close()


@pytest.mark.parametrize(("call", "error"), cases(ioctl=IOCTL))
def test_a_driver_without_an_ioctl_is_used_all_the_same(slave, monkeypatch, call, error):
    """TIOCEXCL, modem lines, low latency, the count of unsent bytes: none is on every port."""

    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(fcntl, call, failing)
    made = Seen(slave.path)
    try:
        if code_of(error) in (errno.EINVAL, errno.ENOTTY):
            made.good()
        else:
            made.down()
            told(made.faults)
            monkeypatch.undo()
            made.good()
    finally:
        made.close()


@pytest.mark.parametrize(("call", "error"), cases(read=POLL, write=POLL))
def test_an_error_of_poll_costs_one_reopening(slave, monkeypatch, call, error):
    watch = PollThatFails(select.POLLIN if call == "read" else select.POLLOUT, error)
    monkeypatch.setattr(select, "poll", watch.make)
    made = Seen(slave.path)
    try:
        made.good()
        if call == "read":
            answer, slave.reply = slave.reply, lambda request: b""
        else:
            once(
                monkeypatch, os, "write", BlockingIOError(errno.EAGAIN, "full"), lambda fd, *_: fd == watch.fd
            )
        watch.armed.set()
        assert watch.fired.wait(10)
        if call == "read":
            slave.reply = answer
        made.good()
        told(made.faults)
        assert made.worker._line.counts.opened == 2
    finally:
        made.close()


@pytest.mark.parametrize(("call", "error"), cases(close=CLOSE))
def test_an_error_of_closing_closes_no_descriptor_twice(seen, slave, monkeypatch, call, error):
    """Linux frees the number whatever close(2) says: a second try would hit whoever got it next."""
    seen.good()
    line_fd, real_close, real_read = seen.worker._line._port._fd, os.close, os.read
    closed: list[int] = []

    def close(fd: int) -> None:
        closed.append(fd)
        real_close(fd)
        if fd == line_fd and closed.count(fd) == 1:
            # A new one each time: its traceback would keep pyserial's object from being collected.
            raise OSError(*error.args)

    def read(fd: int, count: int) -> bytes:
        if fd == line_fd and line_fd not in closed:
            raise OSError(errno.EIO, "unplugged")
        return real_read(fd, count)

    monkeypatch.setattr(os, "close", close)
    monkeypatch.setattr(os, "read", read)
    seen.down()
    seen.good()
    gc.collect()
    seen.good()
    assert closed.count(line_fd) == 1


@pytest.mark.parametrize(
    ("call", "error"), cases(talk=[one for one in [*READ, *WRITE, *POLL] if one.errno not in GO_ON])
)
def test_an_error_that_the_compiled_loop_met_costs_one_reopening(slave, call, error):
    """It does not raise: it says that it failed, and with what."""
    failed: list[int] = []

    def loop(fd: int, count: int, state: Any, *tables: Any) -> int:
        state[talk.STATUS] = talk.NOT_BEGUN if failed else talk.FAILED
        state[talk.ERRNO] = error.errno
        failed.append(fd)
        return 0

    made = Seen(slave.path, loop)
    try:
        made.down()
        made.good()
        told(made.faults)
        assert made.worker._line.counts.opened == 2
    finally:
        made.close()


class PollThatFails:
    """Stands for `select.poll`: once armed, the next wait for `events` raises."""

    def __init__(self, events: int, error: Exception) -> None:
        self._events, self._error = events, error
        self._real = select.poll
        self.fd = -1
        self.armed, self.fired = threading.Event(), threading.Event()

    def make(self) -> Any:
        real, outer, mine = self._real(), self, []

        class Poll:
            def register(self, fd: int, events: int) -> None:
                outer.fd = fd
                mine.append(events)
                real.register(fd, events)

            def poll(self, *timeout: float) -> Any:
                if outer._events in mine and outer.armed.is_set() and not outer.fired.is_set():
                    outer.fired.set()
                    raise outer._error
                return real.poll(*timeout)

        return Poll()


def test_a_short_write_goes_on(seen, monkeypatch):
    seen.good()
    line_fd, real = seen.worker._line._port._fd, os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3] if fd == line_fd else data))
    seen.good()
    monkeypatch.undo()
    assert seen.worker._line.counts.opened == 1


@pytest.mark.parametrize("loop", ["compiled", "python"])
def test_unplug_and_replug_under_another_name(tmp_path, loop):
    """Three replugs behind one link, as udev moves it; each leaves its gap in what is handed on."""
    link = tmp_path / "by-id"
    slave = PtySlave()
    link.symlink_to(slave.path)
    seen = Seen(str(link), kernels.load("native").talk if loop == "compiled" else None)
    try:
        for _ in range(3):
            before = seen.good()
            slave.unplug()
            link.unlink()
            down = seen.down()
            seen.wait(lambda block: block.outcome == PortDown("missing"))
            assert {fault.reason for fault in seen.faults} <= {"lost", "missing", "io"}
            slave = PtySlave()
            link.symlink_to(slave.path)
            back = seen.good()
            gap = [block for block in seen.blocks if before.mono_ns < block.mono_ns < back.mono_ns]
            bad = [block for block in gap if isinstance(block.outcome, PortDown)]
            assert down in bad
            # From the pull on there is nothing but the gap until the first value, and its times are told.
            assert gap[gap.index(bad[0]) :] == bad
            assert [block.mono_ns for block in bad] == sorted(block.mono_ns for block in bad)
            assert {quality(block.outcome).label for block in bad} == {"port_down"}
    finally:
        seen.close()
        slave.close()


def test_a_busy_port_names_its_owner(slave):
    owner = SerialLink(path=slave.path)
    held = port_module.open_port(owner, SystemClock())
    seen = Seen(slave.path)
    try:
        assert seen.down().outcome == PortDown("busy")
        assert f"(pid {os.getpid()})" in seen.worker.snapshot()["message"]
        held.close()
        seen.good()
    finally:
        seen.close()


def test_a_port_that_takes_no_bytes_is_given_up_in_bounded_time(slave, monkeypatch):
    opened = port_module.open_port(SerialLink(path=slave.path), SystemClock())
    monkeypatch.setattr(opened, "_write_some", lambda data: 0)
    with pytest.raises(PortError) as error:
        opened.write(b"12345678")
    assert error.value.reason == "io"
    opened.close()


def test_a_stop_ends_the_worker_inside_a_long_timeout(slave):
    silent = PtySlave(lambda request: b"")
    where = site(device(poll_ms=20), link=SerialLink(path=silent.path), timeout_ns=60_000 * MS)
    worker = BusWorker(where, 0, 1, lambda event: None, SystemClock(), Counters())
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    poll = select.poll()
    while not silent.requests:
        poll.poll(5)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    silent.close()
