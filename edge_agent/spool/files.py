"""The file operations the spool needs, as a Protocol, and the real ones.

Everything the spool does to a disk goes through here, so that tests can fail the k-th operation or
cut the power after it (`fake_files.py`). Errors are OSError, as the system gives them: the log decides
by errno what they mean. Knows nothing of records or segments.

Only regular files are ever opened, and none through a symbolic link: a FIFO under the name of a file
would hang a start, a link lead a write to somewhere else. `node` says what stands under a name.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Node(enum.Enum):
    """What stands under a name."""

    NOTHING = enum.auto()
    FILE = enum.auto()
    """A regular one."""
    FOLDER = enum.auto()
    """Also by way of a link: an operator may keep one elsewhere."""
    OTHER = enum.auto()


@contextlib.contextmanager
def unreadable_is_damaged() -> Iterator[None]:
    """For who only looks: a sector that the device does not give is as good as a wrong one."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


class Files(Protocol):
    """Paths are absolute. A descriptor is an int of this object, not always of the system."""

    def make_dirs(self, path: Path) -> None: ...
    def list_dir(self, path: Path) -> list[str]:
        """Names in a directory; empty where it does not exist."""

    def node(self, path: Path) -> Node: ...
    def create(self, path: Path) -> int:
        """A new file for writing; FileExistsError if it is there already."""

    def open_slots(self, path: Path) -> int:
        """A file for reading and writing in place, made if it is not there."""

    def reopen(self, path: Path) -> int:
        """A file that is there, for writing in place. OSError EMLINK if it has another name as well:
        somebody's copy of it must not change with it."""

    def write(self, fd: int, data: bytes) -> None:
        """All of `data` at the end of what was written so far; OSError if not all of it."""

    def write_at(self, fd: int, data: bytes, offset: int) -> None: ...
    def sync(self, fd: int) -> None:
        """What was written survives a power cut from here on (fdatasync)."""

    def sync_path(self, path: Path) -> None:
        """The same for what an earlier process wrote to a file."""

    def close(self, fd: int) -> None: ...
    def sync_dir(self, path: Path) -> None:
        """Names made, renamed or removed in a directory survive a power cut from here on."""

    def rename(self, old: Path, new: Path) -> None: ...
    def unlink(self, path: Path) -> None:
        """Remove a file; no error if it is gone already."""

    def empty(self, path: Path) -> None:
        """Give back all space of a file; the name stays."""

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Bytes of a file from `offset` on, at most `size`; FileNotFoundError if it is gone."""

    def size(self, path: Path) -> int: ...
    def is_at(self, fd: int, path: Path) -> bool:
        """Whether an open file or lock is still the one that stands under its name."""

    def free_bytes(self, path: Path) -> int:
        """What an ordinary user may still write to the file system."""

    def lock(self, path: Path, owner: str) -> int | None:
        """Take the file's lock and write `owner` into it, where the disk has room for that; None if another
        process holds it."""


class OsFiles:
    """The real file system."""

    def make_dirs(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)

    def list_dir(self, path: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            return []

    def node(self, path: Path) -> Node:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return Node.NOTHING
        if stat.S_ISREG(mode):
            return Node.FILE
        return Node.FOLDER if path.is_dir() else Node.OTHER

    def create(self, path: Path) -> int:
        return _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def open_slots(self, path: Path) -> int:
        return _open(path, os.O_RDWR | os.O_CREAT)

    def reopen(self, path: Path) -> int:
        fd = _open(path, os.O_WRONLY)
        if os.fstat(fd).st_nlink != 1:
            os.close(fd)
            raise OSError(errno.EMLINK, "The file has another name", str(path))
        return fd

    def write(self, fd: int, data: bytes) -> None:
        # A short write is how a disk that is nearly full answers first; the rest then fails with ENOSPC.
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync_path(self, path: Path) -> None:
        fd = _open(path, os.O_RDONLY)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def sync_dir(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def empty(self, path: Path) -> None:
        fd = _open(path, os.O_WRONLY)
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        fd = _open(path, os.O_RDONLY)
        try:
            there = max(0, os.fstat(fd).st_size - offset)
            left = there if size < 0 else min(size, there)
            chunks = []
            while left and (chunk := os.pread(fd, left, offset)):
                chunks.append(chunk)
                left, offset = left - len(chunk), offset + len(chunk)
            return b"".join(chunks)
        finally:
            os.close(fd)

    def size(self, path: Path) -> int:
        return path.lstat().st_size

    def is_at(self, fd: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def free_bytes(self, path: Path) -> int:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def lock(self, path: Path, owner: str) -> int | None:
        fd = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if isinstance(error, BlockingIOError):
                return None
            raise
        # Who it is serves a message only. The lock is held all the same: raised from here, the error would
        # leave it to a descriptor that nobody knows, and this process shut out by itself.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, owner.encode(), 0)
        return fd


def _open(path: Path, flags: int) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return fd
