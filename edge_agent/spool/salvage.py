"""What can still be said of a segment that is about to be given up. Reads files, changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from edge_agent.errors import RecordError
from edge_agent.records import codec
from edge_agent.records.events import Gap
from edge_agent.records.values import Kind, Loss
from edge_agent.spool import segment as seg
from edge_agent.spool.ackset import AckSet, Range
from edge_agent.spool.files import Files
from edge_agent.spool.recovery import read_salvaging
from edge_agent.spool.segment import Scan
from edge_agent.spool.state import Segment


def handed_back(files: Files, segment: Segment, found: Scan, going: Sequence[Range]) -> list[Loss]:
    """What GAP records that are given up themselves declared: to be declared once more."""
    base, salt = segment.identity.base, segment.identity.salt
    going_too = AckSet(going)
    losses = []
    with contextlib.suppress(OSError):
        data = read_salvaging(files, segment.path, segment.size)
        for seq, offset in zip(found.seqs, found.offsets, strict=True):
            frame = seg.read_frame(data, offset, salt)
            if frame and frame[0].kind == Kind.GAP and base + seq in going_too:
                with contextlib.suppress(RecordError):
                    body = codec.decode(frame[1])[1]
                    losses += [body.loss] if isinstance(body, Gap) else []
    return losses


def look_at(files: Files, segment: Segment) -> Scan:
    """The times of what a segment holds, for the declaration of its loss."""
    if segment.index and segment.index.t0_ns:
        return segment.index
    try:
        return seg.scan(read_salvaging(files, segment.path, segment.size), segment.identity)
    except OSError:
        return Scan()
