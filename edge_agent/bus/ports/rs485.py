"""RS-485 direction control by the driver: RTS switches the transceiver between sending and listening.

Owns one ioctl. Only the driver can switch in time: a program that sets RTS itself is late by as much as
the scheduler likes, and a slave's first characters are lost. A driver that cannot do it is an error and
no silent fallback, because the line would stay mute, or stay driven and silence everybody else.

Source: struct serial_rs485 of linux/serial.h; the kernel's "RS485 serial communications". The kernel
writes back what the driver made of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from edge_agent.errors import PortError
from edge_agent.model import Rs485

TIOCSRS485 = 0x542F
"""asm-generic/ioctls.h; the termios module does not name it."""
_STRUCT = struct.Struct("=3I20x")
"""flags, delay before and after sending in milliseconds, padding; the same on every architecture."""
_ENABLED = 1 << 0
_RTS_ON_SEND = 1 << 1
_RTS_AFTER_SEND = 1 << 2
_RX_DURING_TX = 1 << 4
_UNSUPPORTED = (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)

Ioctl = Callable[[int, int, bytearray], object]
"""`fcntl.ioctl`: the buffer is changed in place."""


def encode(setting: Rs485) -> bytes:
    """The ioctl's argument, 32 bytes."""
    # Exactly one of the two levels: with both or none the kernel chooses by itself.
    flags = _ENABLED | (_RTS_ON_SEND if setting.rts_on_send else _RTS_AFTER_SEND)
    if setting.rx_during_tx:
        flags |= _RX_DURING_TX
    return _STRUCT.pack(flags, setting.delay_before_send_ms, setting.delay_after_send_ms)


def apply(fd: int, setting: Rs485, path: str, ioctl: Ioctl = fcntl.ioctl) -> None:
    """Switch the open port `fd` to RS-485. Raises PortError when the driver does not do as it is told."""
    asked = encode(setting)
    answer = bytearray(asked)
    try:
        ioctl(fd, TIOCSRS485, answer)
    except OSError as error:
        raise _refused(path, error) from error
    _compare(path, asked, bytes(answer))


def _refused(path: str, error: OSError) -> PortError:
    if error.errno in _UNSUPPORTED:
        return PortError(
            f"{path}: the driver has no RS-485 direction control",
            reason="io",
            hint="remove rs485 where the adapter switches by itself, as most USB adapters do",
        )
    return PortError(
        f"{path}: RS-485 direction control: {os.strerror(error.errno or 0)}",
        reason="io",
        hint="the port is opened again",
    )


_DIFFERENCES = (
    (_ENABLED, "mode"),
    (_RTS_ON_SEND | _RTS_AFTER_SEND, "rts_on_send"),
    (_RX_DURING_TX, "rx_during_tx"),
)


def _compare(path: str, asked: bytes, answer: bytes) -> None:
    """Whether the driver took the setting over; drivers drop in silence what they cannot do."""
    flags, before_ms, after_ms = _STRUCT.unpack(asked)
    got_flags, got_before_ms, got_after_ms = _STRUCT.unpack(answer)
    wrong = [word for bits, word in _DIFFERENCES if (flags ^ got_flags) & bits]
    if got_before_ms != before_ms:
        wrong.append(f"delay_before_send (it makes {got_before_ms} ms of it)")
    if got_after_ms != after_ms:
        wrong.append(f"delay_after_send (it makes {got_after_ms} ms of it)")
    if wrong:
        raise PortError(
            f"{path}: the driver does not take over rs485 {', '.join(wrong)}",
            reason="io",
            hint="leave that key out if the wiring allows it, or use another port",
        )
