"""BIRTH records by dictionary hash, for the uplink to send before records that refer to them.

births/<hash>: the BIRTH records of one dictionary as they were encoded (one per part), durable before
the first record that refers to it, kept while it is current or a segment refers to it. File: magic,
epoch, then length u32 and record in turn, and a CRC-32 over everything.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.records.values import EPOCH_BYTES, HASH_BYTES, EncodedRecord
from edge_agent.spool.files import Files, Node, unreadable_is_damaged
from edge_agent.spool.recovery import MAX_FILE_BYTES, set_aside

_MAGIC = b"EABR"


@dataclass(frozen=True, slots=True)
class Birth:
    """The BIRTH records of one dictionary, in the order of their parts."""

    dict_hash: bytes
    current: bool
    records: tuple[bytes, ...]


@dataclass(slots=True)
class _Entry:
    epoch: bytes
    records: list[bytes] = field(default_factory=list)
    stored: bool = False


class Births:
    """The writer thread adds and drops, any thread lists."""

    def __init__(self, files: Files, folder: Path, quarantine: Path) -> None:
        self._files = files
        self._folder = folder
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._entries: dict[bytes, _Entry] = {}
        self._current = b""

    @property
    def bytes_used(self) -> int:
        with self._lock:
            return sum(len(record) + 4 for entry in self._entries.values() for record in entry.records)

    def load(self) -> int:
        """Read what is there; the number of damaged files (removed where possible) and of what is no
        file at all (set aside)."""
        damaged = 0
        for name in self._files.list_dir(self._folder):
            try:
                if self._files.node(self._folder / name) is not Node.FILE:
                    damaged += set_aside(self._files, self._folder / name, self._quarantine)
                    continue
                data = self._files.read(self._folder / name, 0, MAX_FILE_BYTES)
            except OSError:
                # Unreadable now is not damaged: it stays for a run that can read it.
                continue
            entry = _decode(name, data)
            if entry:
                self._entries[bytes.fromhex(name)] = entry
                continue
            damaged += not name.endswith(".new")
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / name)
        return damaged

    def look(self) -> list[str]:
        """Read what is there and change nothing; the names of what is damaged or no birth."""
        bad = []
        for name in self._files.list_dir(self._folder):
            if name.endswith(".new"):
                continue
            entry = None
            if self._files.node(self._folder / name) is Node.FILE:
                with unreadable_is_damaged():
                    entry = _decode(name, self._files.read(self._folder / name, 0, MAX_FILE_BYTES))
            if entry:
                self._entries[bytes.fromhex(name)] = entry
            elif self._files.node(self._folder / name) is not Node.NOTHING:
                bad.append(name)
        return bad

    def add(self, record: EncodedRecord) -> None:
        """Take a BIRTH record; `store` makes it durable."""
        with self._lock:
            entry = self._entries.get(record.dict_hash)
            if entry is None or entry.epoch != record.epoch:
                entry = self._entries[record.dict_hash] = _Entry(record.epoch)
            entry.records.append(record.data)
            entry.stored = False
            self._current = record.dict_hash

    def store(self) -> None:
        """Make every birth durable that is not; OSError leaves them for the next call."""
        pending = [(key, entry) for key, entry in self._entries.items() if not entry.stored]
        for key, entry in pending:
            self._write(self._folder / key.hex(), entry)
            entry.stored = True

    def in_place(self) -> bool:
        """Whether the current birth, if it was stored, is still there."""
        entry = self._entries.get(self._current)
        if entry is None or not entry.stored:
            return True
        return self._files.node(self._folder / self._current.hex()) is Node.FILE

    def renew(self) -> None:
        """The files are gone: `store` writes all again."""
        with self._lock:
            for entry in self._entries.values():
                entry.stored = False

    def keep(self, referred: Set[bytes]) -> None:
        """Drop those that nothing refers to any more."""
        with self._lock:
            gone = [key for key in self._entries if key != self._current and key not in referred]
            for key in gone:
                del self._entries[key]
        for key in gone:
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / key.hex())

    def list(self) -> list[Birth]:
        """Older dictionaries first, the current one last."""
        with self._lock:
            found = [
                Birth(key, key == self._current, tuple(entry.records)) for key, entry in self._entries.items()
            ]
        return sorted(found, key=lambda birth: birth.current)

    def _write(self, path: Path, entry: _Entry) -> None:
        data = _MAGIC + entry.epoch + b"".join(len(r).to_bytes(4) + r for r in entry.records)
        new = path.with_suffix(".new")
        self._files.unlink(new)
        fd = self._files.create(new)
        try:
            self._files.write(fd, data + zlib.crc32(data).to_bytes(4))
            self._files.sync(fd)
        finally:
            self._files.close(fd)
        self._files.rename(new, path)
        self._files.sync_dir(self._folder)


def _decode(name: str, data: bytes) -> _Entry | None:
    """A birth file's content; None if it is damaged."""
    start, end = len(_MAGIC) + EPOCH_BYTES, len(data) - 4
    if len(name) != 2 * HASH_BYTES or end < start or data[:4] != _MAGIC:
        return None
    if zlib.crc32(data[:end]) != int.from_bytes(data[end:]):
        return None
    entry, at = _Entry(data[4:start], stored=True), start
    while at < end:
        size = int.from_bytes(data[at : at + 4])
        entry.records.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return entry
