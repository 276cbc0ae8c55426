"""Kind numbers and the classes of their bodies, in one table; a whole record to bytes and back.

The typed body here is the wire's: aliases are numbers. `decode.py` turns them into points. Samples and
summaries have two kinds each: plain msgpack columns, and those of `columns.py`, which are smaller for
all but a few rows. Decoded there is no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.records import columns, envelope
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.envelope import MAX_OVERHEAD, Envelope
from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop
from edge_agent.records.pack import MAX_RECORD_BYTES
from edge_agent.records.values import Kind, Stamp


@dataclass(frozen=True, slots=True)
class Opaque:
    """A body of a kind this version does not know, as msgpack gives it."""

    raw: Any


KnownBody = Start | Birth | Samples | Summaries | Alarm | Gap | ClockSet | Stop | Audit
Body = KnownBody | Opaque

_BODIES: dict[int, type[KnownBody]] = {
    Kind.START: Start,
    Kind.BIRTH: Birth,
    Kind.SAMPLES: Samples,
    Kind.SUMMARY: Summaries,
    Kind.ALARM: Alarm,
    Kind.GAP: Gap,
    Kind.CLOCK_SET: ClockSet,
    Kind.STOP: Stop,
    Kind.AUDIT: Audit,
}
_COLUMNS = frozenset((Kind.SAMPLE_COLUMNS, Kind.SUMMARY_COLUMNS))
NEEDS_DICTIONARY = frozenset((Kind.SAMPLES, Kind.SUMMARY)) | _COLUMNS
_BODY_BYTES = MAX_RECORD_BYTES - MAX_OVERHEAD
_LEAST_ROW_BYTES = 3
"""A row of a plain body is never shorter: a time, an alias and a value, or more."""


def encode(head: Envelope, body: KnownBody, by: Kernels | None = None) -> bytes:
    """The record's bytes, always the same for the same record; RecordError beyond 16 KiB."""
    return envelope.encode(head, _encode_body(head.kind, body, head.t0, by or columns.default()))


def decode(data: bytes, by: Kernels | None = None) -> tuple[Envelope, Body]:
    """(envelope, typed body); RecordError for anything that docs/record-format.md does not allow.

    `by` are the kernels that read columns: those of `columns.use` if none are given, else plain Python.
    """
    head, raw = envelope.decode(data)
    if head.kind in _COLUMNS:
        # Only receivers come here, so the daemon need not hold it.
        from edge_agent.records import column_reading

        kind = Kind(head.kind)
        return head, column_reading.decode(kind, raw, head.t0, by or columns.default())
    known = _BODIES.get(head.kind)
    return head, known.decode(raw, head.t0) if known else Opaque(raw)


def smallest(body: Samples | Summaries, t0: Stamp, by: Kernels) -> tuple[Kind, bytes]:
    """The kind that takes fewest bytes for these rows, and its body; RecordError where no record holds
    them."""
    in_columns = _columns(body, t0, by)
    rows = len(body.aliases)
    if in_columns is not None and len(in_columns) < _LEAST_ROW_BYTES * rows:
        return _column_kind(body), in_columns
    in_plain = body.encode(t0)
    if in_columns is not None and len(in_columns) < len(in_plain):
        return _column_kind(body), in_columns
    if len(in_plain) > _BODY_BYTES:
        raise RecordError(f"no record holds {rows} rows of {len(in_plain)} bytes")
    return Kind.SAMPLES if isinstance(body, Samples) else Kind.SUMMARY, in_plain


def _column_kind(body: Samples | Summaries) -> Kind:
    return Kind.SAMPLE_COLUMNS if isinstance(body, Samples) else Kind.SUMMARY_COLUMNS


def _columns(body: Samples | Summaries, t0: Stamp, by: Kernels) -> bytes | None:
    """None too where they are longer than a record's body may be."""
    if isinstance(body, Samples):
        found = columns.encode_samples(body, t0, by)
    else:
        found = columns.encode_summaries(body, t0, by)
    return found if found is not None and len(found) <= _BODY_BYTES else None


def _encode_body(kind: int, body: KnownBody, t0: Stamp, by: Kernels) -> bytes:
    if kind not in _COLUMNS:
        return body.encode(t0)
    found = _columns(body, t0, by) if isinstance(body, Samples | Summaries) else None
    if found is None:
        raise RecordError("columns cannot hold this body within a record")
    return found
