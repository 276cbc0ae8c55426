"""The checkpoint of open windows on disk: two files, written in turn.

    windows-0, windows-1    magic, generation u64, length u32, content, CRC-32 of all that

The one that was not written last is overwritten in place, so a power cut or a failed sync in the middle of
it leaves the other whole, and once both have their size a full disk keeps neither from being written.
The whole one with the higher generation counts. What is in it is the writer's business: bytes here.

No descriptor is kept from one time to the next: it is written once a minute, and a file that was removed
or whose sync failed is thereby opened anew.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import zlib
from pathlib import Path

from edge_agent.spool.files import Files

NAMES = ("windows-0", "windows-1")
MAX_BYTES = 4 << 20
"""More than a site with the most points needs; a larger file is none of ours."""

_HEAD = struct.Struct(">4sQI")
_MAGIC = b"EACP"
_PAGE = 4096
"""Files are as long as whole pages, so that a few points more or less do not change their size."""


class Checkpoints:
    """One per spool; `load` before the threads start, `store` by one thread."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._generation = 0
        self._last = 1
        """Which file must not be written: the newest whole one."""
        self._named: set[int] = set()
        """Files whose name is known to be durable."""
        self.damaged = False
        """Whether something was there and nothing of it could be used."""

    def load(self) -> bytes | None:
        """The newest whole content; None if there is none. Nothing here stops a start."""
        contents = [self._read(self._folder / name) for name in NAMES]
        best = None
        for place, data in enumerate(contents):
            found = _parse(data or b"")
            if found and found[0] > self._generation:
                (self._generation, best), self._last = found, place
        self.damaged = best is None and any(data is None or data for data in contents)
        return best

    def is_damaged(self) -> bool:
        """Whether something is there and nothing of it can be used."""
        self.load()
        return self.damaged

    def store(self, content: bytes) -> None:
        """Durable when this returns; OSError if not, and then the one before it still counts. One that no
        run would read is not stored: who waits for it must know."""
        if len(content) > MAX_BYTES - _HEAD.size - 4:
            raise OSError(errno.EFBIG, "more open windows than a checkpoint holds")
        generation, place = self._generation + 1, 1 - self._last
        path = self._folder / NAMES[place]
        data = _HEAD.pack(_MAGIC, generation, len(content)) + content
        data += zlib.crc32(data).to_bytes(4)
        fd = self._files.open_slots(path)
        try:
            self._files.write_at(fd, data.ljust(-len(data) % _PAGE + len(data), b"\0"), 0)
            self._files.sync(fd)
        finally:
            with contextlib.suppress(OSError):
                self._files.close(fd)
        if place not in self._named:
            self._files.sync_dir(self._folder)
            self._named.add(place)
        self._generation, self._last = generation, place

    def _read(self, path: Path) -> bytes | None:
        """What is in a file, nothing where there is none; None if it cannot be read."""
        try:
            return self._files.read(path, 0, MAX_BYTES)
        except FileNotFoundError:
            return b""
        except OSError:
            return None


def _parse(data: bytes) -> tuple[int, bytes] | None:
    if len(data) < _HEAD.size + 4:
        return None
    magic, generation, length = _HEAD.unpack_from(data)
    end = _HEAD.size + length
    if magic != _MAGIC or end + 4 > len(data):
        return None
    if zlib.crc32(data[:end]) != int.from_bytes(data[end : end + 4]):
        return None
    return generation, data[_HEAD.size : end]
