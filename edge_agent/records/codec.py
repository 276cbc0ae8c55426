"""Kind numbers and the classes of their bodies, in one table; a whole record to bytes and back.

The typed body here is the wire's: aliases are numbers. `decode.py` turns them into points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_agent.records import envelope
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop
from edge_agent.records.values import Kind


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
NEEDS_DICTIONARY = frozenset((Kind.SAMPLES, Kind.SUMMARY))


def encode(head: Envelope, body: KnownBody) -> bytes:
    """The record's bytes, always the same for the same record; RecordError beyond 16 KiB."""
    return envelope.encode(head, body.encode(head.t0))


def decode(data: bytes) -> tuple[Envelope, Body]:
    """(envelope, typed body); RecordError for anything that docs/record-format.md does not allow."""
    head, raw = envelope.decode(data)
    known = _BODIES.get(head.kind)
    return head, known.decode(raw, head.t0) if known else Opaque(raw)
