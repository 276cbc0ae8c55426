"""A small state file of two slots: what is written goes to the one that is not known to be durable, so
a torn write, or several that were never synced, leave the last synced state whole.

Written in place at a fixed size, so that it needs no free space once it is there, and no rename. A
slot: magic, generation, length, CRC-32 of all that and the content. The valid slot with the higher
generation counts; where neither is valid there is no state, which its users must be able to bear.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

from edge_agent.spool.files import Files

_HEAD = struct.Struct(">4sQI")
_MAGIC = b"EASL"


class SlotFile:
    """One file; one thread."""

    def __init__(self, files: Files, path: Path, slot_bytes: int) -> None:
        self._files = files
        self._path = path
        self._slot_bytes = slot_bytes
        self._generation = 0
        self._durable = 0
        """Place of the slot that must not be written: the last synced one, or the one loaded."""
        self._fd: int | None = None
        self._filled: set[int] = set()
        """Slots that have all their blocks since the file was opened."""

    @property
    def capacity(self) -> int:
        return self._slot_bytes - _HEAD.size - 4

    def load(self) -> bytes | None:
        """The newest whole content; None if there is none. OSError if the file cannot be read: that is
        not the same as having no state."""
        try:
            data = self._files.read(self._path, 0, 2 * self._slot_bytes)
        except FileNotFoundError:
            return None
        best: bytes | None = None
        for place in (0, 1):
            at = place * self._slot_bytes
            found = self._parse(data[at : at + self._slot_bytes])
            if found and found[0] > self._generation:
                self._generation, best = found
                self._durable = place
        return best

    def store(self, content: bytes, *, sync: bool) -> None:
        """Replace the state; OSError if that failed (the old state is then still there)."""
        if len(content) > self.capacity:
            raise ValueError(f"{len(content)} bytes do not fit a slot of {self._slot_bytes}")
        generation, place = self._generation + 1, 1 - self._durable
        slot = _HEAD.pack(_MAGIC, generation, len(content)) + content
        slot += zlib.crc32(slot).to_bytes(4)
        try:
            if self._fd is None:
                self._fd = self._files.open_slots(self._path)
                # What was loaded may be in no more than the system's cache.
                self._files.sync(self._fd)
            # Once the whole slot, so that the blocks are there when the disk is full later; then no more
            # than there is to say.
            padded = slot if place in self._filled else slot.ljust(self._slot_bytes, b"\0")
            self._files.write_at(self._fd, padded, place * self._slot_bytes)
            self._filled.add(place)
            if sync:
                self._files.sync(self._fd)
                self._durable = place
        except OSError:
            # A descriptor whose sync failed may report success next time without having written.
            self.close()
            raise
        self._generation = generation

    def in_place(self) -> bool:
        """Whether the file, if it is open, is still what stands under its name."""
        return self._fd is None or self._files.is_at(self._fd, self._path)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        self._filled.clear()
        if fd is not None:
            with contextlib.suppress(OSError):
                self._files.close(fd)

    def _parse(self, slot: bytes) -> tuple[int, bytes] | None:
        if len(slot) < _HEAD.size + 4:
            return None
        magic, generation, length = _HEAD.unpack_from(slot)
        end = _HEAD.size + length
        if magic != _MAGIC or end + 4 > len(slot):
            return None
        if zlib.crc32(slot[:end]) != int.from_bytes(slot[end : end + 4]):
            return None
        return generation, slot[_HEAD.size : end]
