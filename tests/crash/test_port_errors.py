"""Every error of open, read, write and tcsetattr, once: the worker says so, retries, and polls again."""

from __future__ import annotations

import errno
import os
import select
import termios
import threading
from collections.abc import Callable
from typing import Any

import pytest
import serial

from edge_agent.bus import port as port_module
from edge_agent.bus.outcomes import Block, BusEvent, PortDown, Values
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.errors import PortError
from edge_agent.model import SerialLink
from tests.contract.bus_slaves import PtySlave
from tests.unit.bus.site import MS, device, site

ERRNOS = (errno.EIO, errno.EBADF, errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.EPERM, errno.ENOMEM,
          errno.EMFILE, errno.ENOTTY, errno.EPIPE)  # fmt: skip
ERRORS: list[Exception] = [
    *(OSError(code, os.strerror(code)) for code in ERRNOS),
    serial.SerialException("device reports readiness to read but returned no data"),
    termios.error(errno.EIO, "Input/output error"),
    TypeError("'NoneType' object cannot be interpreted as an integer"),
    ValueError("file descriptor cannot be a negative integer (-1)"),
]
ids = [f"{type(e).__name__}-{e.args[0] if e.args else ''}" for e in ERRORS]


class Seen:
    """A running worker on a port, and the wait for what it hands on."""

    def __init__(self, path: str) -> None:
        self.blocks: list[Block] = []
        self._news = threading.Condition()
        self._stop = threading.Event()
        where = site(device(poll_ms=20), link=SerialLink(path=path, baud=115200), timeout_ns=100 * MS)
        self.worker = BusWorker(where, 0, 1, self._put, SystemClock(), Counters())
        self._thread = threading.Thread(target=self.worker.run, args=(self._stop,))
        self._thread.start()

    def _put(self, event: BusEvent) -> None:
        with self._news:
            if isinstance(event, Block):
                self.blocks.append(event)
                self._news.notify()

    def wait(self, wanted: Callable[[Block], bool]) -> Block:
        """The first new block like this; fails after 20 s."""
        with self._news:
            self.blocks.clear()

            def found() -> Block | None:
                return next((b for b in self.blocks if wanted(b)), None)

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


@pytest.mark.parametrize("error", ERRORS, ids=ids)
@pytest.mark.parametrize("call", ["read", "write"])
def test_an_error_of_read_or_write_costs_one_reopening(seen, monkeypatch, call, error):
    seen.good()
    line_fd = seen.worker._line._port._fd
    fired = once(monkeypatch, os, call, error, lambda fd, *_: fd == line_fd)
    assert fired.wait(10)
    seen.good()
    assert seen.worker._line.counts.opened == 2


@pytest.mark.parametrize("error", ERRORS, ids=ids)
@pytest.mark.parametrize("call", ["tcsetattr", "tcgetattr"])
def test_an_error_of_configuring_is_retried(slave, monkeypatch, call, error):
    fired = once(monkeypatch, termios, call, error, lambda *_: True)
    made = Seen(slave.path)
    try:
        assert fired.wait(10)
        made.good()
    finally:
        made.close()


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EBUSY, errno.EIO, errno.EMFILE])
def test_an_error_of_opening_is_retried_and_named(slave, monkeypatch, code):
    once(monkeypatch, os, "open", OSError(code, os.strerror(code)), lambda path, *_: path == slave.path)
    made = Seen(slave.path)
    try:
        made.good()
    finally:
        made.close()


@pytest.mark.parametrize(
    "error", [BlockingIOError(errno.EAGAIN, "again"), InterruptedError(errno.EINTR, "intr")]
)
@pytest.mark.parametrize("call", ["read", "write"])
def test_again_and_interrupted_are_no_errors(seen, monkeypatch, call, error):
    seen.good()
    line_fd = seen.worker._line._port._fd
    assert once(monkeypatch, os, call, error, lambda fd, *_: fd == line_fd).wait(10)
    seen.good()
    assert seen.worker._line.counts.opened == 1


def test_a_short_write_goes_on(seen, monkeypatch):
    seen.good()
    line_fd, real = seen.worker._line._port._fd, os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3] if fd == line_fd else data))
    seen.good()
    monkeypatch.undo()
    assert seen.worker._line.counts.opened == 1


def test_unplug_and_replug_under_another_name(tmp_path):
    link = tmp_path / "by-id"
    slave = PtySlave()
    link.symlink_to(slave.path)
    seen = Seen(str(link))
    try:
        seen.good()
        for _ in range(3):
            slave.unplug()
            link.unlink()
            assert isinstance(seen.down().outcome, PortDown)
            slave = PtySlave()
            link.symlink_to(slave.path)
            seen.good()
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
