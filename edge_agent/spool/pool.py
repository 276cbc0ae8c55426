"""Files of freed segments, to be used again: a commit into blocks that are there writes no metadata.

The writer thread's. A file comes here when nobody needs what it holds; its header is destroyed first. Before
it is written to again its old name is durably gone: whatever of the new content a power cut leaves, it is
never taken for the old segment's, nor the old frames (salted) for the new one's. The name goes with the next
sync of its folder, which the next segment there needs anyway; only a file that is taken sooner has its own.

A run uses again only what it freed itself: after a crash two names may stand for one file, so what is
found at open is removed. Few are kept, and they are the first that is given up for space.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from edge_agent.spool.files import Files
from edge_agent.spool.segment import HEADER_BYTES

MOST = 4
"""More than the streams begin between two rounds of keeping house."""


@dataclass(slots=True)
class _Free:
    path: Path
    came_from: Path
    settled: bool = False
    """Its old name is durably gone."""


class Pool:
    """`put` and `take` never fail: what cannot be used again is removed, or left for the next start."""

    def __init__(self, files: Files, folder: Path, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self._files = files
        self._folder = folder
        self._free: deque[_Free] = deque()
        self._number = 0

    def __len__(self) -> int:
        return len(self._free)

    @property
    def bytes_used(self) -> int:
        return len(self._free) * self.segment_bytes

    def clear(self) -> None:
        """Remove everything that is there; OSError if that cannot be listed."""
        self._free.clear()
        for name in self._files.list_dir(self._folder):
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / name)

    def forget(self) -> None:
        """The directory is somebody else's now."""
        self._free.clear()

    def put(self, path: Path) -> bool:
        """Take over a file of the full size; false if it stays under its old name, for the caller to
        remove."""
        if len(self._free) >= MOST:
            return False
        self._number += 1
        free = self._folder / f"{self._number}.free"
        try:
            self._files.rename(path, free)
        except OSError:
            return False
        try:
            self._destroy_header(free)
        except OSError:
            self._remove(free)
            return True
        self._free.append(_Free(free, path.parent))
        return True

    def synced(self, folder: Path) -> None:
        """A sync of this folder has worked."""
        for free in self._free:
            free.settled = free.settled or free.came_from == folder

    def take(self, path: Path) -> int | None:
        """A file under its new name, open for writing; None if there is none that can be used."""
        while self._free:
            free = next((one for one in self._free if one.settled), self._free[0])
            self._free.remove(free)
            try:
                return self._reopened(free, path)
            except OSError:
                self._remove(free.path)
        return None

    def drop(self) -> bool:
        """Give back the space of one; false if there is none."""
        if not self._free:
            return False
        self._remove(self._free.popleft().path)
        return True

    def _reopened(self, free: _Free, path: Path) -> int:
        if not free.settled:
            self._files.sync_dir(free.came_from)
        fd = self._files.reopen(free.path)
        try:
            self._files.rename(free.path, path)
        except OSError:
            with contextlib.suppress(OSError):
                self._files.close(fd)
            raise
        return fd

    def _destroy_header(self, path: Path) -> None:
        fd = self._files.reopen(path)
        try:
            self._files.write_at(fd, bytes(HEADER_BYTES), 0)
            self._files.sync(fd)
        finally:
            self._files.close(fd)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._files.unlink(path)
