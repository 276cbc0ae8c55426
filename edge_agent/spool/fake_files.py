"""A file system in memory that can fail the k-th operation and lose power: shipped for tests.

Like a disk with a write cache: what was not synced may be lost, also in parts and out of order. At
`crash` every 512-byte block written since the last sync of its file is kept or lost by the dice, and
names made, renamed or removed since the last sync of a directory take effect up to a random one of them,
as a journal would have it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.spool.files import Node

_BLOCK = 512


@dataclass(slots=True)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)

    def settle(self, rng: random.Random) -> None:
        """What a power cut leaves: durable bytes, and some blocks of what came after."""
        size = max(len(self.durable), rng.randint(min(len(self.data), len(self.durable)), len(self.data)))
        left = bytearray(self.durable[:size]).ljust(size, b"\0")
        for at in range(0, size, _BLOCK):
            if rng.random() < 0.5:
                left[at : at + _BLOCK] = self.data[at : at + _BLOCK][: size - at].ljust(
                    min(_BLOCK, size - at), b"\0"
                )
        self.data, self.durable = bytearray(left), left


class PowerCut(Exception):
    """Raised by the operation at which the power is cut."""


class FakeFiles:
    """Implements `Files`. `capacity` bounds all data; `fail_at` fails the k-th operation from now."""

    def __init__(self, seed: int = 0, capacity: int = 1 << 40) -> None:
        self.operations = 0
        self.cut_at: int | None = None
        self.fail: Callable[[str, Path], int] = lambda _operation, _path: 0
        """(operation, path) to an errno, 0 to let it pass."""
        self.capacity = capacity
        self.free_now: int | None = None
        """What `free_bytes` says instead of the truth."""
        self._rng = random.Random(seed)
        self._names: dict[Path, _Inode] = {}
        self._journal: list[dict[Path, _Inode | None]] = []
        """Changes of names, each whole or not at all, that no sync of a directory has made durable."""
        self._durable_names: dict[Path, _Inode] = {}
        self._open: dict[int, tuple[Path, _Inode]] = {}
        self._next_fd = 100
        self._locks: dict[int, tuple[Path, _Inode]] = {}

    def crash(self) -> None:
        """Lose power, and come back."""
        for change in self._journal[: self._rng.randint(0, len(self._journal))]:
            self._apply(change, self._durable_names)
        self._names = dict(self._durable_names)
        for inode in {id(inode): inode for inode in self._names.values()}.values():
            inode.settle(self._rng)
        self._journal.clear()
        self._open.clear()
        self._locks.clear()
        self.cut_at = None

    def kill(self) -> None:
        """What SIGKILL does: descriptors and locks go, data stays."""
        self._open.clear()
        self._locks.clear()

    def flip(self, path: Path, bit: int) -> None:
        """Bit rot."""
        self._names[path].data[bit // 8] ^= 1 << bit % 8

    def paths(self) -> list[Path]:
        return sorted(self._names)

    # --- Files --------------------------------------------------------------------------------------

    def make_dirs(self, path: Path) -> None:
        self._step("make_dirs", path)

    def list_dir(self, path: Path) -> list[str]:
        self._step("list_dir", path)
        return sorted(name.name for name in self._names if name.parent == path)

    def node(self, path: Path) -> Node:
        self._step("node", path)
        if path in self._names:
            return Node.FILE
        return Node.FOLDER if any(path in name.parents for name in self._names) else Node.NOTHING

    def create(self, path: Path) -> int:
        self._step("create", path)
        if path in self._names:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        return self._make(path)

    def open_slots(self, path: Path) -> int:
        self._step("open", path)
        return self._opened(path, self._names[path]) if path in self._names else self._make(path)

    def reopen(self, path: Path) -> int:
        self._step("reopen", path)
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return self._opened(path, self._names[path])

    def write(self, fd: int, data: bytes) -> None:
        path, inode = self._open[fd]
        self._step("write", path, lambda: inode.data.extend(data[: self._rng.randint(0, len(data))]))
        room = max(0, self.capacity - self._used())
        inode.data.extend(data[:room])
        if room < len(data):
            raise OSError(errno.ENOSPC, "no space", str(path))

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        path, inode = self._open[fd]

        def some(count: int) -> None:
            inode.data.extend(bytes(max(0, offset + count - len(inode.data))))
            inode.data[offset : offset + count] = data[:count]

        self._step("write_at", path, lambda: some(self._rng.randint(0, len(data))))
        growth = offset + len(data) - len(inode.data)
        if growth > 0 and self._used() + growth > self.capacity:
            some(self._rng.randint(0, len(data) - growth) if growth < len(data) else 0)
            raise OSError(errno.ENOSPC, "no space", str(path))
        some(len(data))

    def sync(self, fd: int) -> None:
        path, inode = self._open[fd]
        self._step("sync", path)
        inode.durable = bytearray(inode.data)

    def sync_path(self, path: Path) -> None:
        self._step("sync_path", path)
        self._names[path].durable = bytearray(self._names[path].data)

    def close(self, fd: int) -> None:
        self._step("close", (self._open | self._locks).get(fd, (Path(), None))[0])
        self._open.pop(fd, None)
        self._locks.pop(fd, None)

    def sync_dir(self, path: Path) -> None:
        self._step("sync_dir", path)
        # Not what came after the last change in this directory; what came before is in the same journal.
        last = max((n for n, change in enumerate(self._journal) if path in _folders(change)), default=-1)
        for change in self._journal[: last + 1]:
            self._apply(change, self._durable_names)
        del self._journal[: last + 1]

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename", old)
        if old not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(old))
        self._change({new: self._names[old], old: None})

    def unlink(self, path: Path) -> None:
        self._step("unlink", path)
        if path in self._names:
            self._change({path: None})

    def empty(self, path: Path) -> None:
        self._step("empty", path)
        self._names[path].data = bytearray()

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        self._step("read", path)
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        data = self._names[path].data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def size(self, path: Path) -> int:
        self._step("size", path)
        return len(self._names[path].data)

    def is_at(self, fd: int, path: Path) -> bool:
        self._step("is_at", path)
        return self._names.get(path) is (self._open | self._locks)[fd][1]

    def free_bytes(self, path: Path) -> int:
        self._step("free_bytes", path)
        return max(0, self.capacity - self._used()) if self.free_now is None else self.free_now

    def lock(self, path: Path, owner: str) -> int | None:
        self._step("lock", path)
        inode = self._names.setdefault(path, _Inode())
        if any(held is inode for _, held in self._locks.values()):
            return None
        inode.data[:] = owner.encode()
        self._next_fd += 1
        self._locks[self._next_fd] = path, inode
        return self._next_fd

    # --- inside -------------------------------------------------------------------------------------

    def _step(self, operation: str, path: Path, partly: Callable[[], object] | None = None) -> None:
        self.operations += 1
        if self.cut_at is not None and self.operations >= self.cut_at:
            if partly:
                partly()
            raise PowerCut(f"{operation} {path}")
        if code := self.fail(operation, path):
            if partly:
                partly()
            raise OSError(code, f"injected into {operation}", str(path))

    def _used(self) -> int:
        return sum(len(inode.data) for inode in self._names.values())

    def _make(self, path: Path) -> int:
        inode = _Inode()
        self._change({path: inode})
        return self._opened(path, inode)

    def _opened(self, path: Path, inode: _Inode) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = (path, inode)
        return self._next_fd

    def _change(self, change: dict[Path, _Inode | None]) -> None:
        self._apply(change, self._names)
        self._journal.append(change)

    @staticmethod
    def _apply(change: dict[Path, _Inode | None], names: dict[Path, _Inode]) -> None:
        for path, inode in change.items():
            if inode is None:
                names.pop(path, None)
            else:
                names[path] = inode


def _folders(change: dict[Path, _Inode | None]) -> set[Path]:
    return {path.parent for path in change}
