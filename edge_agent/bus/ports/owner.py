"""Who has a device open: so that "busy" can say by whom. Reads /proc, knows nothing else.

By the device and not by its name: every container has a /dev/pts/1 of its own, and may have a node of its own
for the adapter of its host. Other users' processes are only visible to root; nobody seen proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config.values import printable

_PROC = Path("/proc")
_PTMX = (5, 2)
_PTY_MAJORS = range(136, 144)


@dataclass(frozen=True, slots=True)
class _Owner:
    pid: int
    name: str
    is_maker: bool
    """Of this pseudo-terminal or of others: its other end is always open in the program that made it."""


def owners(path: str, proc: Path = _PROC) -> list[tuple[int, str]]:
    """(pid, name) of every process with this device open, our own included, as far as we may look."""
    return [(one.pid, one.name) for one in _owners(path, proc)]


def others(path: str, proc: Path = _PROC) -> list[tuple[int, str]]:
    """The owners besides ourselves, and besides whoever made the port."""
    return [(one.pid, one.name) for one in _owners(path, proc) if one.pid != os.getpid() and not one.is_maker]


def describe(path: str) -> str:
    """`socat (pid 4711)`, or empty when nobody can be seen."""
    return ", ".join(f"{name} (pid {pid})" for pid, name in owners(path))


def _owners(path: str, proc: Path) -> Iterator[_Owner]:
    try:
        wanted = Path(path).stat()
    except OSError:
        return
    for pid in _pids(proc):
        opened = list(_devices(proc, pid))
        if any(_is_same(wanted, one) for one in opened):
            is_maker = _is_pty(wanted) and any(_number(one) == _PTMX for one in opened)
            yield _Owner(pid, _name(proc, pid), is_maker)


def _pids(proc: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()]
    return []


def _devices(proc: Path, pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError):
        for descriptor in (proc / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):  # Closed between listing and looking.
                # Looked at by its name first: what is on a network share might not come back.
                if str(descriptor.readlink()).startswith("/dev/"):
                    yield descriptor.stat()


def _name(proc: Path, pid: int) -> str:
    try:
        # A program may call itself anything, and the name is shown on terminals.
        return printable((proc / str(pid) / "comm").read_text(errors="replace").strip())
    except OSError:
        return "unknown"


def _is_same(wanted: os.stat_result, other: os.stat_result) -> bool:
    if not stat.S_ISCHR(other.st_mode) or _number(wanted) != _number(other):
        return False
    return not _is_pty(wanted) or wanted.st_dev == other.st_dev


def _is_pty(status: os.stat_result) -> bool:
    return os.major(status.st_rdev) in _PTY_MAJORS


def _number(status: os.stat_result) -> tuple[int, int]:
    return os.major(status.st_rdev), os.minor(status.st_rdev)
