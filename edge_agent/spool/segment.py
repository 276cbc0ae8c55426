"""The bytes of a segment file: header, frames, and how to find what is whole in a damaged one. Pure.

    header   magic "EASG", version u16, size u16, epoch 8, stream 16, dictionary hash 8,
             first position u64, first seq u64, until i64, made i64, CRC-32
    frame    magic 2, CRC-32, payload length u16, kind u8, flags u8, seq u64, t0 i64, until i64, payload

Big-endian. The name of a file says again which stretch it holds (first position, first seq, epoch), so
a destroyed header costs nothing. A frame's CRC begins with a salt made of the segment's identity: a
frame of another segment, left in a file that was used before or copied to a wrong place, never counts.

A file is longer than its content: zeros, or what an earlier segment in the same file left, stand behind
the last frame. So a commit overwrites blocks that are there, and changes nothing else on the disk.

Frames of kind 0 are no records: a mark carries only `until`; a hole says which seqs were never
written here (their loss is declared elsewhere), so that a missing frame always means damage.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from dataclasses import dataclass, field

from edge_agent.records.pack import MAX_RECORD_BYTES
from edge_agent.records.values import EPOCH_BYTES, HASH_BYTES

VERSION = 1
_HEADER = struct.Struct(">4sHH8s16s8sQQqq")
_HEADER_MAGIC = b"EASG"
HEADER_BYTES = _HEADER.size + 4
_FRAME = struct.Struct(">2sIHBBQqq")
_FRAME_MAGIC = b"\xea\x5f"
_CRC_FROM = 6
"""The CRC covers a frame from behind itself to the end of the payload."""
FRAME_BYTES = _FRAME.size
CONTROL = 0
_MARK, _HOLE = 0, 1
MAX_NAMED = 1 << 53
"""Position and seq that a name alone is believed: a million records a second for three centuries."""
MAX_POSITION = 1 << 62
"""And a header or frame whose CRC is right; far enough from what a header can hold to go on behind it."""
_NAME = re.compile(r"(\d{20})-([0-9a-f]{1,16})-([0-9a-f]{16})\.(seg|gone)")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which stretch of which stream a segment holds. `position = base + seq` throughout."""

    stream: str
    epoch: bytes
    first_position: int
    first_seq: int

    @property
    def name(self) -> str:
        return f"{self.first_position:020d}-{self.first_seq:x}-{self.epoch.hex()}.seg"

    @property
    def base(self) -> int:
        return self.first_position - self.first_seq

    def is_possible(self, limit: int) -> bool:
        """Whether a run can have begun a segment here."""
        return 1 <= self.first_seq <= self.first_position <= limit

    @property
    def salt(self) -> int:
        return zlib.crc32(f"{self.stream} {self.name}".encode())


@dataclass(frozen=True, slots=True)
class Header:
    identity: Identity
    dict_hash: bytes
    """The dictionary its records refer to; zeros for none, one per segment."""
    until_ns: int
    """The stream's `until` of this epoch when the segment was begun; 0 for none."""
    made_ns: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What is stored of one record beside its bytes."""

    seq: int
    kind: int
    t0_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Seqs whose frames are damaged, and the times of the whole frames beside them (0 if none)."""

    first_seq: int
    last_seq: int
    t0_ns: int
    t1_ns: int
    offset: int = 0
    """Where in the file the first of them would begin."""


@dataclass(slots=True)
class Scan:
    """What one pass over a segment's bytes found."""

    seqs: array[int] = field(default_factory=lambda: array("Q"))
    """Whole records, ascending; no list, so that a segment's index stays below 60 KiB."""
    offsets: array[int] = field(default_factory=lambda: array("I"))
    """Where the frame of each begins."""
    last: Frame | None = None
    """The last whole record."""
    end: int = HEADER_BYTES
    """Offset behind the last whole frame."""
    end_seq: int = 0
    """Last seq accounted for: the last record's, or that of a hole behind it."""
    until_ns: int = 0
    """The last `until` of a record or mark."""
    t0_ns: int = 0
    t1_ns: int = 0
    missing: list[Missing] = field(default_factory=list)
    torn_bytes: int = 0
    """Bytes of the frame that follows on the last whole one and is not whole itself."""


def encode_header(header: Header) -> bytes:
    who = header.identity
    data = _HEADER.pack(
        _HEADER_MAGIC, VERSION, HEADER_BYTES, who.epoch, who.stream.encode(), header.dict_hash,
        who.first_position, who.first_seq, header.until_ns, header.made_ns,
    )  # fmt: skip
    return data + zlib.crc32(data).to_bytes(4)


def decode_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if it is damaged, impossible or of another version."""
    if len(data) < HEADER_BYTES or zlib.crc32(data[: _HEADER.size]) != int.from_bytes(
        data[_HEADER.size : HEADER_BYTES]
    ):
        return None
    magic, version, size, epoch, stream, dict_hash, position, seq, until, made = _HEADER.unpack_from(data)
    if magic != _HEADER_MAGIC or version != VERSION or size != HEADER_BYTES:
        return None
    identity = Identity(stream.rstrip(b"\0").decode("ascii", "replace"), epoch, position, seq)
    if not identity.is_possible(MAX_POSITION):
        return None
    return Header(identity, dict_hash if any(dict_hash) else b"", until, made)


def is_newer_format(data: bytes) -> bool:
    """Whether this was written by a version of the agent that this one does not understand."""
    return len(data) >= 6 and data[:4] == _HEADER_MAGIC and int.from_bytes(data[4:6]) > VERSION


def parse_name(stream: str, name: str) -> Identity | None:
    """What a file name says; None for names that no segment has."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    identity = Identity(stream, bytes.fromhex(match[3]), int(match[1]), int(match[2], 16))
    return identity if identity.is_possible(MAX_NAMED) else None


def encode_frame(frame: Frame, payload: bytes, salt: int, flags: int = 0) -> bytes:
    body = _FRAME.pack(
        _FRAME_MAGIC, 0, len(payload), frame.kind, flags, frame.seq, frame.t0_ns, frame.until_ns
    )[_CRC_FROM:]
    crc = zlib.crc32(payload, zlib.crc32(body, salt))
    return b"".join((_FRAME_MAGIC, crc.to_bytes(4), body, payload))


def encode_mark(last_seq: int, until_ns: int, salt: int) -> bytes:
    return encode_frame(Frame(last_seq, CONTROL, 0, until_ns), b"", salt, _MARK)


def encode_hole(first_seq: int, last_seq: int, salt: int) -> bytes:
    return encode_frame(Frame(first_seq, CONTROL, 0, 0), last_seq.to_bytes(8), salt, _HOLE)


def read_frame(data: bytes, at: int, salt: int) -> tuple[Frame, bytes, int] | None:
    """(frame, payload, flags) of the whole frame at `at`; None if there is none."""
    if at + FRAME_BYTES > len(data):
        return None
    magic, crc, length, kind, flags, seq, t0, until = _FRAME.unpack_from(data, at)
    end = at + FRAME_BYTES + length
    if magic != _FRAME_MAGIC or length > MAX_RECORD_BYTES or seq > MAX_POSITION or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[at + _CRC_FROM : end], salt) != crc:
        return None
    return Frame(seq, kind, t0, until), data[at + FRAME_BYTES : end], flags


def scan(data: bytes, identity: Identity, last_seq: int | None = None) -> Scan:
    """Every whole frame of a segment's bytes. `last_seq`: the last it must hold, None if unknown (then
    what is damaged behind the last whole frame is a torn tail, not a loss)."""
    found = _Scanner(identity, last_seq)
    at, salt = HEADER_BYTES, identity.salt
    good_end = at
    while at < len(data):
        frame = read_frame(data, at, salt)
        if frame is None:
            # Damage, or the end: look for the next whole frame.
            at = data.find(_FRAME_MAGIC, at + 1)
            if at < 0:
                break
            continue
        found.add(*frame, at)
        at = good_end = at + FRAME_BYTES + len(frame[1])
    return found.finish(good_end, _torn_bytes(data, good_end, found.next_seq))


def _torn_bytes(data: bytes, at: int, next_seq: int) -> int:
    """How much there is of a frame that was begun here. What earlier segments left in the file, and a
    frame of which not even the head was written, are not known from each other and are none."""
    head = data[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
    magic, _, length, kind, _, seq, _, _ = _FRAME.unpack(head)
    due = (next_seq,) if kind else (next_seq, next_seq - 1)
    if magic != _FRAME_MAGIC or seq not in due or length > MAX_RECORD_BYTES:
        return 0
    return min(FRAME_BYTES + length, len(data) - at)


class _Scanner:
    """Collects frames in the order of the file and notes which seqs are not there."""

    def __init__(self, identity: Identity, last_seq: int | None) -> None:
        self._scan = Scan()
        self._next = identity.first_seq
        self._limit = last_seq
        self._end = HEADER_BYTES
        """Behind the frame that was looked at last."""

    @property
    def next_seq(self) -> int:
        return self._next

    def add(self, frame: Frame, payload: bytes, flags: int, at: int) -> None:
        result, end = self._scan, self._end
        self._end = at + FRAME_BYTES + len(payload)
        if frame.until_ns:
            result.until_ns = frame.until_ns
        if frame.kind == CONTROL and flags == _MARK:
            return
        last = frame.seq if frame.kind else min(int.from_bytes(payload), MAX_POSITION)
        # Behind the limit stand records that were written again to the next segment; before `next`
        # only a copy can be.
        if frame.seq < self._next or (self._limit is not None and frame.seq > self._limit):
            return
        if frame.seq > self._next:
            self._miss(frame.seq - 1, frame.t0_ns, end)
        self._next = last + 1
        if frame.kind:
            result.seqs.append(frame.seq)
            result.offsets.append(at)
            result.last = frame
            result.t0_ns = result.t0_ns or frame.t0_ns
            result.t1_ns = max(frame.t0_ns, frame.until_ns)

    def finish(self, end: int, torn_bytes: int) -> Scan:
        if self._limit is not None and self._next <= self._limit:
            self._miss(self._limit, 0, self._end)
        self._scan.end, self._scan.torn_bytes = end, torn_bytes
        self._scan.end_seq = self._next - 1
        return self._scan

    def _miss(self, last_seq: int, t1_ns: int, offset: int) -> None:
        self._scan.missing.append(Missing(self._next, last_seq, self._scan.t1_ns, t1_ns, offset))


assert _HEADER.size == 4 + 2 + 2 + EPOCH_BYTES + 16 + HASH_BYTES + 4 * 8
