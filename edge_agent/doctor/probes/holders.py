"""Who has a device open, by the device and not by its name.

`bus.ports.owner` asks by name, for an error message. Here a wrong name would be a wrong accusation: every
container has a /dev/pts/1 of its own, and may have a node of its own for the adapter of its host.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_PTMX = (5, 2)


def of(path: str, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """(pid, name) of every process with this device open, but the caller, and but the program that made it
    where it is a pseudo-terminal. Those of other users are seen by root only."""
    wanted = Path(path).stat()
    found = []
    for pid in _pids(proc):
        opened = list(_devices(proc, pid))
        is_maker = _is_pty(wanted) and any(_number(one) == _PTMX for one in opened)
        if pid != os.getpid() and not is_maker and any(_is_same(wanted, one) for one in opened):
            found.append((pid, _name(proc, pid)))
    return found


def _devices(proc: Path, pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError):
        for descriptor in (proc / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):  # Closed between listing and looking.
                # Looked at by its name first: what is on a network share might not come back.
                if str(descriptor.readlink()).startswith("/dev/"):
                    yield descriptor.stat()


def _pids(proc: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()]
    return []


def _name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return "unknown"


def _number(status: os.stat_result) -> tuple[int, int]:
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _is_pty(status: os.stat_result) -> bool:
    return os.major(status.st_rdev) in range(136, 144)


def _is_same(wanted: os.stat_result, other: os.stat_result) -> bool:
    if not stat.S_ISCHR(other.st_mode) or _number(wanted) != _number(other):
        return False
    return not _is_pty(wanted) or wanted.st_dev == other.st_dev
