"""What can still be said of a segment that is about to be given up. Reads files, changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.records import codec, envelope
from edge_agent.records.events import Gap
from edge_agent.records.values import Kind, Loss
from edge_agent.spool import segment as seg
from edge_agent.spool.ackset import AckSet, Range
from edge_agent.spool.files import Files
from edge_agent.spool.recovery import read_salvaging
from edge_agent.spool.segment import Scan
from edge_agent.spool.state import Segment


def handed_back(files: Files, segment: Segment, found: Scan, going: Sequence[Range]) -> list[Loss]:
    """What GAP records that are given up themselves declared: to be declared once more. OSError if the
    file cannot be read now."""
    base, salt = segment.identity.base, segment.identity.salt
    going_too = AckSet(going)
    losses = []
    data = _whole(files, segment)
    for seq, offset in zip(found.seqs, found.offsets, strict=True):
        frame = seg.read_frame(data, offset, salt)
        if frame and frame[0].kind == Kind.GAP and base + seq in going_too:
            with contextlib.suppress(RecordError):
                body = codec.decode(frame[1])[1]
                losses += [body.loss] if isinstance(body, Gap) else []
    return losses


def _whole(files: Files, segment: Segment) -> bytes:
    try:
        return read_salvaging(files, segment.path, segment.size)
    except FileNotFoundError:
        return b""


@dataclass(frozen=True, slots=True)
class Old:
    """Records of a segment up to `last_seq`, and their times."""

    last_seq: int = 0
    """0: none."""
    t0_ns: int = 0
    t1_ns: int = 0
    dated: bool = True
    """Whether there is any time of a clock that was set."""


def older_than(files: Files, segment: Segment, limit: WallNs) -> Old:
    """Up to where a segment's records were made before `limit`. Only the time of a clock that was
    synchronised counts: what stands before such a record is older than it, whatever its own time says.
    OSError if the file cannot be read now."""
    data = _whole(files, segment)
    found = seg.scan(data, segment.identity)
    dated = False
    for seq, offset in zip(reversed(found.seqs), reversed(found.offsets), strict=True):
        frame = seg.read_frame(data, offset, segment.identity.salt)
        if frame and _was_synced(frame[1]):
            dated = True
            if max(frame[0].t0_ns, frame[0].until_ns) < limit:
                return Old(seq, found.t0_ns, frame[0].t0_ns)
    return Old(dated=dated)


def _was_synced(record: bytes) -> bool:
    try:
        return envelope.decode(record)[0].t0.synced
    except RecordError:
        return False


def look_at(files: Files, segment: Segment) -> Scan:
    """The times of what a segment holds, for the declaration of its loss."""
    if segment.index and segment.index.t0_ns:
        return segment.index
    try:
        return seg.scan(read_salvaging(files, segment.path, segment.size), segment.identity)
    except OSError:
        return Scan()
