"""Whatever the system says of a port, as PortError with a reason and a hint. Opens nothing itself.

Every errno has a way through: what is not in the tables is `io`, with the system's own words.
"""

from __future__ import annotations

import errno
import os
import termios

from edge_agent.bus.ports import by_id, owner
from edge_agent.errors import PortError

FOREIGN = (OSError, termios.error, TypeError, ValueError)
"""What a call on a port may raise. pyserial's own errors are OSErrors; TypeError and ValueError come
from a descriptor that was closed, and from a speed that no driver knows."""

_REASONS = {
    errno.ENOENT: "missing", errno.ENODEV: "missing", errno.ENXIO: "missing", errno.ENOTDIR: "missing",
    errno.ELOOP: "missing", errno.ENAMETOOLONG: "missing",
    errno.EACCES: "permission", errno.EPERM: "permission",
    errno.EBUSY: "busy", errno.EAGAIN: "busy",
    errno.EIO: "lost", errno.EBADF: "lost", errno.ENOTTY: "io",
}  # fmt: skip

_HINTS = {
    "permission": "add the user to the group dialout: usermod -aG dialout USER, then log in again",
    "io": "is it a serial port, and does it support this speed and format?",
}
_FULL = "this machine has run out of it: what else runs here?"
_HINTS_BY_ERRNO = {
    errno.EMFILE: "too many files are open in this program: raise LimitNOFILE of the service",
    errno.ENFILE: "too many files are open on this machine: what else runs here?",
    errno.ENOMEM: _FULL, errno.ENOSPC: _FULL, errno.EDQUOT: _FULL,
    errno.EISDIR: "write the port's own name, such as /dev/ttyUSB0; this is a folder",
    errno.EROFS: "the file system is read-only; is it a serial port at all?",
    errno.ETXTBSY: "this is a program that runs, and no serial port",
    errno.EINTR: "it was interrupted and is opened again",
    # Of the device rules of the service: missing rights are EACCES.
    errno.EPERM: "the service may not use this driver; sudo edge-agent doctor says what to allow",
}  # fmt: skip


def refused(path: str, error: BaseException) -> PortError:
    """An error of opening."""
    if isinstance(error, PortError):
        return error
    code = _errno(error)
    reason = _REASONS.get(code, "io")
    if reason == "lost":
        reason = "io"
    if reason == "busy":
        return in_use(path)
    hint = _HINTS_BY_ERRNO.get(code) or (_missing_hint() if reason == "missing" else _HINTS[reason])
    text = os.strerror(code) if code else str(error)
    return PortError(f"{path}: cannot be opened: {text}", reason=reason, hint=hint)


def in_use(path: str) -> PortError:
    who = owner.describe(path)
    return PortError(
        f"{path}: in use" + (f" by {who}" if who else " by another program"),
        reason="busy",
        hint="stop that program, or use another port",
    )


def failed(path: str, error: BaseException) -> PortError:
    """An error of an open port."""
    if isinstance(error, PortError):
        return error
    code = _errno(error)
    if _REASONS.get(code) in ("lost", "missing") or isinstance(error, TypeError | ValueError):
        return lost(path)
    return PortError(
        f"{path}: {os.strerror(code) if code else error}", reason="io", hint="the port is opened again"
    )


def lost(path: str) -> PortError:
    return PortError(
        f"{path}: the port has gone",
        reason="lost",
        hint="was the adapter unplugged, or does a second program read it?",
    )


def _missing_hint() -> str:
    """Names what is plugged in: the cable may sit in another socket, or the adapter have been exchanged."""
    there = by_id.present()
    if not there:
        return "is the adapter plugged in? no other is: /dev/serial/by-id/ is empty"
    return "is the adapter plugged in? what is: " + ", ".join(there[:4]) + (", ..." if len(there) > 4 else "")


def _errno(error: BaseException) -> int:
    """pyserial passes some errors on as text only; the one behind it still has the number."""
    code = getattr(error, "errno", None)
    if code is None and isinstance(error, termios.error) and error.args:
        code = error.args[0]
    if isinstance(code, int):
        return code
    return _errno(error.__context__) if error.__context__ is not None else 0
