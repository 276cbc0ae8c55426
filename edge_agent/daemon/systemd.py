"""The only door to systemd: readiness, status, watchdog, journal.

The notification protocol (sd_notify(3): one datagram to $NOTIFY_SOCKET) is spoken directly: libsystemd with
what it links to takes a megabyte. Logs go to the journal where python3-systemd is installed, else to stderr.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Mapping

IDENTIFIER = "edge-agent"


def notify(*assignments: str) -> bool:
    """Send `READY=1`, `STATUS=...`, `WATCHDOG=1`, ... to the service manager.

    Returns False, and does nothing, when no service manager listens. Never raises: a lost
    notification must not stop a daemon that works.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    # "@" stands for the leading NUL of an abstract socket address.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1.0)
            channel.sendto("\n".join(assignments).encode(), target)
    except OSError:
        return False
    return True


def watchdog_ns(environment: Mapping[str, str] | None = None) -> int | None:
    """The watchdog's period in ns, None when the service manager set none for this process."""
    environment = os.environ if environment is None else environment
    try:
        period_us = int(environment.get("WATCHDOG_USEC", "0"))
        pid = int(environment.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return period_us * 1000 if period_us > 0 and pid == os.getpid() else None


def setup_logging(level: int = logging.INFO) -> None:
    """Logs to the journal with fields when stderr is the journal, else to stderr in one line each."""
    root = logging.getLogger()
    root.handlers[:] = [_journal_handler() or _stderr_handler()]
    root.setLevel(level)


def _journal_handler() -> logging.Handler | None:
    if not _stderr_is_journal():
        return None
    try:
        # A megabyte and eight milliseconds: only where there is a journal.
        from systemd import journal
    except ImportError:
        return None
    handler: logging.Handler = journal.JournalHandler(SYSLOG_IDENTIFIER=IDENTIFIER)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def _stderr_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    return handler


def _stderr_is_journal() -> bool:
    """Whether stderr is the stream systemd connected (JOURNAL_STREAM=device:inode, systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
