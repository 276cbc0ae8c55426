"""The file operations the spool needs, as a Protocol, and the real ones.

Everything the spool does to a disk goes through here, so that tests can fail the k-th operation or
cut the power after it (`fake_files.py`). Errors are OSError, as the system gives them: the log decides
by errno what they mean. Knows nothing of records or segments.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Paths are absolute. A descriptor is an int of this object, not always of the system."""

    def make_dirs(self, path: Path) -> None: ...
    def list_dir(self, path: Path) -> list[str]:
        """Names in a directory; empty where it does not exist."""

    def create(self, path: Path) -> int:
        """A new file for writing; FileExistsError if it is there already."""

    def open_slots(self, path: Path) -> int:
        """A file for reading and writing in place, made if it is not there."""

    def write(self, fd: int, data: bytes) -> None:
        """All of `data` at the end of what was written so far; OSError if not all of it."""

    def write_at(self, fd: int, data: bytes, offset: int) -> None: ...
    def sync(self, fd: int) -> None:
        """What was written survives a power cut from here on (fdatasync)."""

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
    def free_bytes(self, path: Path) -> int:
        """What an ordinary user may still write to the file system."""

    def lock(self, path: Path, owner: str) -> int | None:
        """Take the file's lock and write `owner` into it; None if another process holds it."""


class OsFiles:
    """The real file system."""

    def make_dirs(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)

    def list_dir(self, path: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            return []

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def open_slots(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

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
        os.truncate(path, 0)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            left = max(0, os.fstat(fd).st_size - offset) if size < 0 else size
            chunks = []
            while left and (chunk := os.pread(fd, left, offset)):
                chunks.append(chunk)
                left, offset = left - len(chunk), offset + len(chunk)
            return b"".join(chunks)
        finally:
            os.close(fd)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def free_bytes(self, path: Path) -> int:
        stat = os.statvfs(path)
        return stat.f_bavail * stat.f_frsize

    def lock(self, path: Path, owner: str) -> int | None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.pwrite(fd, owner.encode(), 0)
        return fd
