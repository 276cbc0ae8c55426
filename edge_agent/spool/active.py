"""The file a stream is being written to: made or taken out of the pool, grown, synced, let go.

A file that is new grows by zeros, each time to twice its size: so its commits seldom change metadata, and a
run that stores little leaves little. One out of the pool has its size already. Knows no records; OSErrors
go up, and whoever gets one calls `abandon`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.spool.files import Files
from edge_agent.spool.pool import Pool

LEAST_FILE_BYTES = 8 << 10
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Disk:
    """Where a stream's files are, and what they are made of and guarded by."""

    folder: Path
    files: Files
    lock: threading.Lock
    pool: Pool


class ActiveFile:
    """At most one at a time."""

    def __init__(self, disk: Disk) -> None:
        self.at = 0
        """Where the next bytes go."""
        self.capacity = disk.pool.segment_bytes
        self._folder = disk.folder
        self._files = disk.files
        self._pool = disk.pool
        self._fd: int | None = None
        self._unnamed = False
        """Its name may not be durable yet."""

    @property
    def is_open(self) -> bool:
        return self._fd is not None

    def begin(self, path: Path) -> int:
        """A new file; how large it is already."""
        self._files.unlink(path)
        taken = self._pool.take(path)
        self._fd = self._files.create(path) if taken is None else taken
        self._unnamed, self.at = True, 0
        return 0 if taken is None else self.capacity

    def has_room(self, count: int) -> bool:
        return self.at + count <= self.capacity

    def size_with(self, size: int, count: int) -> int:
        """How large a file of this size becomes when so many bytes are put; a record always fits one."""
        end = self.at + count
        if end <= size:
            return size
        grown = min(max(2 * size, LEAST_FILE_BYTES), self.capacity)
        return max(grown, -(-end // _PAGE) * _PAGE)

    def growth(self, size: int, incoming: int) -> int:
        """What is more on the disk when so much is put, here or in the next file."""
        if self.is_open and self.has_room(incoming):
            return self.size_with(size, incoming) - size
        return 0 if self._pool else max(2 * incoming, LEAST_FILE_BYTES)

    def put(self, chunks: Sequence[bytes], size: int, new_size: int) -> None:
        """Write on, and zeros up to `new_size` where that is larger."""
        assert self._fd is not None, "a file was begun"
        data = b"".join(chunks)
        end = self.at + len(data)
        if new_size > size:
            data = data.ljust(new_size - self.at, b"\0")
        self._files.write_at(self._fd, data, self.at)
        self.at = end

    def sync(self) -> None:
        """What was put survives a power cut from here on."""
        assert self._fd is not None, "a file was begun"
        self._files.sync(self._fd)
        if self._unnamed:
            self._files.sync_dir(self._folder)
            self._pool.synced(self._folder)
            self._unnamed = False

    def is_at(self, path: Path) -> bool:
        """Whether it is still what stands under this name; true where there is none."""
        return self._fd is None or self._files.is_at(self._fd, path)

    def abandon(self) -> bool:
        """Touch it no more; false if there was none."""
        fd, self._fd = self._fd, None
        self._unnamed = False
        if fd is None:
            return False
        with contextlib.suppress(OSError):
            self._files.close(fd)
        return True

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            self._files.close(fd)
