"""Who has a device open: so that "busy" can say by whom. Reads /proc, knows nothing else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config.values import printable


def owners(path: str, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """(pid, name) of every process with this device open, our own included, as far as we may look.

    Another user's processes are only visible to root; an empty list proves nothing.
    """
    real = os.path.realpath(path)
    return [(pid, _name(proc, pid)) for pid in _pids(proc) if _has_open(proc, pid, real)]


def describe(path: str) -> str:
    """`socat (pid 4711)`, or empty when nobody can be seen."""
    return ", ".join(f"{name} (pid {pid})" for pid, name in owners(path))


def _pids(proc: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in proc.iterdir():
            if entry.name.isdecimal():
                yield int(entry.name)


def _has_open(proc: Path, pid: int, real: str) -> bool:
    try:
        descriptors = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            if str(descriptor.readlink()) == real and _is_ours(descriptor, real):
                return True
        except OSError:
            continue  # Closed between listing and looking.
    return False


def _is_ours(descriptor: Path, real: str) -> bool:
    """Every container has pseudo-terminals of its own, with the same names as ours."""
    return not _is_pty(real) or descriptor.stat().st_dev == Path(real).stat().st_dev


def _name(proc: Path, pid: int) -> str:
    try:
        # A program may call itself anything, and the name is shown on terminals.
        return printable((proc / str(pid) / "comm").read_text(errors="replace").strip())
    except OSError:
        return "unknown"


def others(path: str, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """The owners besides ourselves, and besides whoever made the port: a pseudo-terminal is always open
    in the program at its other end."""
    makers = {pid for pid, _ in owners("/dev/ptmx", proc)} if _is_pty(path) else set()
    return [(pid, name) for pid, name in owners(path, proc) if pid != os.getpid() and pid not in makers]


def _is_pty(path: str) -> bool:
    return os.path.realpath(path).startswith("/dev/pts/")
