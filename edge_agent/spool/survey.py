"""Looks at a spool without touching it, while an agent may be using it: for `edge-agent spool`.

Takes no lock and changes nothing. What vanishes or is used again while it is looked at is no damage; the
newest segment of a stream may end in a frame that is just being written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.records.values import STREAMS
from edge_agent.spool import checkpoints, hints, recovery
from edge_agent.spool import segment as seg
from edge_agent.spool.births import Birth, Births
from edge_agent.spool.checkpoints import Checkpoints
from edge_agent.spool.files import Files, Node, unreadable_is_damaged
from edge_agent.spool.log import CURSOR_BYTES
from edge_agent.spool.lossbook import LossBook
from edge_agent.spool.segment import Scan
from edge_agent.spool.slots import SlotFile
from edge_agent.spool.state import Segment, StreamState

_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Damage:
    path: Path
    offset: int
    what: str


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One segment as it was read."""

    segment: Segment
    scan: Scan
    data: bytes

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """(position, seq, bytes) of every whole record."""
        who = self.segment.identity
        for seq, offset in zip(self.scan.seqs, self.scan.offsets, strict=True):
            frame = seg.read_frame(self.data, offset, who.salt)
            if frame is not None:
                yield who.base + seq, seq, frame[1]


@dataclass(slots=True)
class Survey:
    """`segments` reads one file after another; what is wrong with them is in `damage` afterwards."""

    files: Files
    root: Path
    damage: list[Damage] = field(default_factory=list)

    def segments(self, stream: str) -> Iterator[Surveyed]:
        """Oldest first."""
        listed = self._listed(stream)
        for place, segment in enumerate(listed):
            newest = place + 1 == len(listed)
            end = None if newest else listed[place + 1].identity.first_position
            if end == segment.identity.first_position:
                self.damage.append(Damage(segment.path, 0, "another file has the same records"))
                continue
            if not segment.gone and (one := self._read(segment, end)):
                yield one

    def births(self) -> list[Birth]:
        """The dictionaries that are stored, and what is wrong with them."""
        folder = self.root / "births"
        births = Births(self.files, folder, self.root / "quarantine")
        for name in births.look():
            self.damage.append(Damage(folder / name, 0, "not a birth, or damaged"))
        return births.list()

    def state_files(self) -> None:
        """What is wrong with what is not in segments."""
        for name, size in (("cursors", CURSOR_BYTES), ("losses", LossBook.SLOT_BYTES)):
            path = self.root / name
            there = self.files.node(path) is not Node.NOTHING and self.files.size(path)
            # Twice: it may just be written.
            if there and not any(self._is_whole(path, size) for _ in range(2)):
                self.damage.append(Damage(path, 0, "neither slot is whole"))
        if all(Checkpoints(self.files, self.root).is_damaged() for _ in range(2)):
            self.damage.append(Damage(self.root / checkpoints.NAMES[0], 0, "no checkpoint is whole"))

    def _is_whole(self, path: Path, slot_bytes: int) -> bool:
        with unreadable_is_damaged():
            return SlotFile(self.files, path, slot_bytes).load() is not None
        return False

    def undeclared(self) -> int:
        """Losses that no durable record declares yet, as far as they can be read."""
        with unreadable_is_damaged():
            return len(LossBook(self.files, self.root / "losses").load())
        return 0

    def quarantined(self) -> int:
        return len(self.files.list_dir(self.root / "quarantine"))

    def acknowledged(self) -> dict[str, StreamState]:
        """Which positions nobody waits for, as far as the cursors say. Reads no segment but the newest."""
        states = {}
        for stream in STREAMS:
            segments = self._listed(stream)
            tail = 1
            if segments:
                newest = self._read(segments[-1], None)
                last = newest.scan.end_seq if newest else segments[-1].identity.first_seq
                tail = segments[-1].identity.base + last + 1
            states[stream] = StreamState(stream, b"", segments, tail)
        with unreadable_is_damaged():
            hints.apply(SlotFile(self.files, self.root / "cursors", CURSOR_BYTES).load(), states)
        return states

    def _listed(self, stream: str) -> list[Segment]:
        found = []
        for name in self.files.list_dir(self.root / stream):
            path = self.root / stream / name
            with contextlib.suppress(FileNotFoundError):
                segment = recovery.look(self.files, path, stream)
                if segment is not None:
                    found.append(segment)
                elif self.files.node(path) is not Node.NOTHING:
                    self._say(Damage(path, 0, "not a segment of this stream that this version knows"))
        return sorted(found, key=lambda segment: segment.identity.first_position)

    def _read(self, segment: Segment, end: int | None) -> Surveyed | None:
        """`end`: the position the next segment begins with. What looks damaged is looked at again: it may
        just have been written, or removed and used again."""
        last_seq = None if end is None else end - 1 - segment.identity.base
        for _ in range(_LOOKS):
            try:
                data = recovery.read_salvaging(self.files, segment.path, segment.size)
            except FileNotFoundError:
                return None
            found = seg.scan(data, segment.identity, last_seq)
            damage = list(_damage(segment, data, found))
            if not damage:
                break
        if damage and not self._is_still(segment):
            return None
        for one in damage:
            self._say(one)
        return Surveyed(segment, found, data)

    def _say(self, damage: Damage) -> None:
        if damage not in self.damage:
            self.damage.append(damage)

    def _is_still(self, segment: Segment) -> bool:
        """Whether the file was not removed, and perhaps used again, while it was read."""
        return self.files.node(segment.path) is Node.FILE


def _damage(segment: Segment, data: bytes, found: Scan) -> Iterator[Damage]:
    if found.seqs and seg.decode_header(data) is None:
        yield Damage(segment.path, 0, "the header is destroyed; the name says what it said")
    for one in found.missing:
        yield Damage(segment.path, one.offset, _missing(one.first_seq, one.last_seq))


def _missing(first: int, last: int) -> str:
    return f"record {first} is damaged" if first == last else f"records {first} to {last} are damaged"
