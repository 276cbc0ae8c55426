"""The only door to pyserial: a serial port that reads and writes bytes, and fails in one way.

Owns opening (raw, exclusive, low latency where the driver has it) and the waits on the descriptor.
Must not know what the bytes mean. pyserial opens and configures; its own read and write are not used,
because on Linux they neither see gaps between characters nor survive a vanished adapter in one way.

Invariants: whatever the system or pyserial raises (OSError, SerialException, termios.error, TypeError
after a close) leaves as PortError with a reason and a hint; no call blocks beyond its bound.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
from pathlib import Path
from typing import Any, Protocol

import serial

from edge_agent.bus.ports import rs485
from edge_agent.bus.ports.port_faults import FOREIGN as _FOREIGN
from edge_agent.bus.ports.port_faults import failed as _failed
from edge_agent.bus.ports.port_faults import lost as _lost
from edge_agent.bus.ports.port_faults import refused
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import NS, MonoNs, Parity, SerialLink

_WRITE_BOUND_NS = NS // 2
"""A request has 8 bytes and a UART takes them at once; a port that takes them no sooner is stuck."""
_READ_BYTES = 4096
_PTY_MAJORS = range(136, 144)


class Port(Protocol):
    """Bytes in, bytes out. `fake.FakePort` is another one."""

    def write(self, data: bytes) -> None:
        """Hand all bytes to the system. Raises PortError when it does not take them in time."""

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        """Sleep to `quiet_until`, then return what has come as soon as there is something; empty when
        nothing came by `until`. Raises PortError when the port has gone."""

    def unsent(self) -> int:
        """Bytes the driver still holds."""

    def descriptor(self) -> int | None:
        """What the compiled loop reads and writes itself; None: only by the methods here."""

    def failed(self, code: int) -> PortError:
        """The error for the errno that the compiled loop met; 0: ready to be read, but empty."""

    def close(self) -> None: ...


class SerialPort:
    """An open serial port. Made by `open_port`."""

    def __init__(self, port: serial.Serial, path: str, clock: Clock) -> None:
        self._serial = port
        self._fd: int = port.fileno()
        self._path = path
        self._clock = clock
        self._input = select.poll()
        self._input.register(self._fd, select.POLLIN)
        self._output = select.poll()
        self._output.register(self._fd, select.POLLOUT)

    def write(self, data: bytes) -> None:
        try:
            sent = self._write_some(data)
            if sent < len(data):
                self._write_rest(data[sent:])
        except _FOREIGN as error:
            raise _failed(self._path, error) from error

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        try:
            self._clock.sleep_until(quiet_until)
            # Most replies are complete by now: one system call. With VMIN 0, as pyserial sets it,
            # "nothing yet" is an empty read here.
            data = self._read_now()
            if data:
                return data
            left = until - self._clock.mono_ns()
            events = self._input.poll(-(-left // 1_000_000)) if left > 0 else None
            if not events:
                return b""
            data = self._read_now()
        except _FOREIGN as error:
            raise _failed(self._path, error) from error
        if not data:
            # Ready but empty: hung up, or a second process took the bytes.
            raise _lost(self._path)
        return data

    def unsent(self) -> int:
        try:
            answer = fcntl.ioctl(self._fd, termios.TIOCOUTQ, struct.pack("i", 0))
        except _FOREIGN:
            return 0
        return int(struct.unpack("i", answer)[0])

    def descriptor(self) -> int:
        return self._fd

    def failed(self, code: int) -> PortError:
        return _failed(self._path, OSError(code, os.strerror(code))) if code else _lost(self._path)

    def close(self) -> None:
        # A close waits up to half a minute for bytes a stopped line does not take: they are thrown away.
        with contextlib.suppress(*_FOREIGN):
            termios.tcflush(self._fd, termios.TCOFLUSH)
        # The port of a program that keeps it open as well would stay exclusive, to ourselves too.
        with contextlib.suppress(*_FOREIGN):
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        # The lock goes with the descriptor; pyserial's close may raise on an adapter that has gone.
        with contextlib.suppress(*_FOREIGN):
            self._serial.close()
        # Or pyserial, where its close raised, would close the number again when it is collected: by then
        # it may be somebody else's.
        self._serial.is_open = False

    def _read_now(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return b""

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            return 0

    def _write_rest(self, data: bytes) -> None:
        give_up = self._clock.mono_ns() + _WRITE_BOUND_NS
        while data:
            left = give_up - self._clock.mono_ns()
            if left <= 0:
                raise PortError(
                    f"{self._path}: the port takes no bytes",
                    reason="io",
                    hint="is hardware or software flow control on, or the adapter stuck?",
                )
            self._output.poll(-(-left // 1_000_000))
            data = data[self._write_some(data) :]


def open_port(link: SerialLink, clock: Clock) -> SerialPort:
    """Open raw, exclusive and non-blocking. Raises PortError."""
    try:
        port = _open(link)
    except _FOREIGN as error:
        raise refused(link.path, error) from error
    fd = port.fileno()
    # flock (by pyserial) is only seen by those who ask for it; TIOCEXCL makes the next open fail.
    # Neither exists everywhere, nor does low latency: a pseudo-terminal has no such ioctl.
    with contextlib.suppress(*_FOREIGN):
        fcntl.ioctl(fd, termios.TIOCEXCL)
    with contextlib.suppress(*_FOREIGN, NotImplementedError):
        port.set_low_latency_mode(True)
    try:
        if link.rs485 is not None:
            # After pyserial's open, which raises RTS: the driver puts it back to listening.
            rs485.apply(fd, link.rs485, link.path)
        _assert_raw(fd, link.path)
        return SerialPort(port, link.path, clock)
    except (PortError, *_FOREIGN) as error:
        # As at a close: a program that has the port open as well would keep it exclusive.
        with contextlib.suppress(*_FOREIGN):
            fcntl.ioctl(fd, termios.TIOCNXCL)
        with contextlib.suppress(*_FOREIGN):
            port.close()
        if isinstance(error, PortError):
            raise
        raise _failed(link.path, error) from error


def _open(link: SerialLink) -> serial.Serial:
    parity = {Parity.NONE: serial.PARITY_NONE, Parity.EVEN: serial.PARITY_EVEN, Parity.ODD: serial.PARITY_ODD}
    options: dict[str, Any] = {
        "baudrate": link.baud, "bytesize": link.data_bits, "stopbits": link.stop_bits,
        "timeout": 0, "write_timeout": 0, "exclusive": True,
    }  # fmt: skip
    try:
        return serial.Serial(link.path, parity=parity[link.parity], **options)
    except termios.error as error:
        # A pseudo-terminal drops PARENB and CS7, and from the second open on refuses to be told again.
        plain = link.parity is Parity.NONE and link.data_bits == 8
        if plain or error.args[0] != errno.EINVAL or not _is_pty(link.path):
            raise
        return serial.Serial(link.path, parity=serial.PARITY_NONE, **{**options, "bytesize": 8})


def _is_pty(path: str) -> bool:
    status = Path(path).stat()
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PTY_MAJORS


def _assert_raw(fd: int, path: str) -> None:
    """No byte may be changed, swallowed or echoed by the line discipline."""
    iflag, oflag, _, lflag, *_ = termios.tcgetattr(fd)
    bad_input = iflag & (termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    bad_local = lflag & (termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    if bad_input or oflag & termios.OPOST or bad_local:
        raise PortError(
            f"{path}: the driver does not accept raw mode", reason="io", hint="use another adapter"
        )
