"""A pseudo-terminal that stands for a serial port. Shell: owns the file descriptors and the link.

The simulator keeps the port's own side open too, so that a port nobody uses makes no hang-up to spin
on, and closes both ends to unplug it. Closing is what a program sees when an adapter is pulled:
reads end, writes fail, the device file is gone. Parity stays off: a pty does not keep it.
"""

from __future__ import annotations

import array
import fcntl
import os
import termios
import tty
from pathlib import Path

from edge_agent.errors import PortError

_TIOCGEXCL = 0x80045440
"""Whether a terminal is exclusive (asm-generic/ioctls.h; termios does not name it)."""


_BAUDS = {
    value: int(name[1:]) for name, value in vars(termios).items() if name[0] == "B" and name[1:].isdecimal()
}


class PtyPort:
    """The master side of one pty; `path` is what the agent opens."""

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = -1
        self._slave = -1
        self._device = ""
        self.overrun_bytes = 0
        """Bytes that nobody had read for so long that the port's buffer was full."""
        self.plug()

    @property
    def path(self) -> str:
        return str(self._link) if self._link else self._device

    @property
    def is_plugged(self) -> bool:
        return self._master >= 0

    def fileno(self) -> int:
        return self._master

    def plug(self) -> None:
        """Make a new pty, as a re-plugged adapter is a new device, and point the link at it."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        self._device = os.ttyname(self._slave)
        if self._link:
            try:
                _point(self._link, self._device)
            except PortError:
                self.unplug()
                raise

    def unplug(self) -> None:
        if not self.is_plugged:
            return
        if self._link and self._link.is_symlink() and str(self._link.readlink()) == self._device:
            self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def read(self) -> bytes:
        """What the agent has written since; empty if nothing."""
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""

    def baud(self) -> int:
        """The speed the program on the other side has set; 0 if it is none of the usual ones.

        A pty does nothing with it, but keeps it, and both sides are one terminal.
        """
        speed = termios.tcgetattr(self._slave)[4]
        return _BAUDS.get(speed, 0)

    def write(self, data: bytes) -> bool:
        """Whether all of `data` went into the port's buffer. What does not fit is lost, as in a UART."""
        try:
            count = os.write(self._master, data)
        except BlockingIOError:
            count = 0
        self.overrun_bytes += len(data) - count
        return count == len(data)

    def release_exclusive(self) -> None:
        """Let the port be opened again after a program that had it alone was killed.

        A real port forgets TIOCEXCL when its last user is gone; here the simulator itself still has
        it open. An agent that lives holds the file's lock as well.
        """
        flag = array.array("i", [0])
        fcntl.ioctl(self._slave, _TIOCGEXCL, flag)
        if not flag[0]:
            return
        try:
            fcntl.flock(self._slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.ioctl(self._slave, termios.TIOCNXCL)
        fcntl.flock(self._slave, fcntl.LOCK_UN)


def _point(link: Path, device: str) -> None:
    """Make or replace the link in one step; what is no link is left alone."""
    if link.exists() and not link.is_symlink():
        raise PortError(
            f"{link} is there and is no link", reason="busy", hint="choose another path for --link"
        )
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(device)
        fresh.replace(link)
    except OSError as error:
        message = f"{link} cannot be made: {error.strerror}"
        raise PortError(message, reason="io", hint="choose a directory you may write to") from None
