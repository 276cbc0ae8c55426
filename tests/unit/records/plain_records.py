"""What `edge_agent.records` decodes, in the words of the document: to be compared with other decoders."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

from edge_agent.kernels import Kernels
from edge_agent.records import codec
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.codec import Opaque
from edge_agent.records.dictionary import Dictionary
from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop
from edge_agent.records.values import Stamp

Json = dict[str, Any]


def decode(payload: bytes, by: Kernels) -> Json:
    """Envelope and body by the document's names; RecordError for what is no record."""
    head, body = codec.decode(payload, by)
    return {
        "kind": head.kind,
        "epoch": head.epoch,
        "stream": head.stream,
        "seq": head.seq,
        "dict": head.dict_hash,
        "t0": dataclasses.asdict(head.t0),
        "body": None if isinstance(body, Opaque) else _BODIES[type(body)](body, head.t0),
    }


def dictionary(found: Dictionary) -> Json:
    points = [
        dataclasses.asdict(point) | {"enum": dict(point.enum), "flags": dict(point.flags)}
        for point in found.points
    ]
    return dataclasses.asdict(found) | {
        "v": 1,
        "points": points,
        "alarms": list(map(dataclasses.asdict, found.alarms)),
    }


def exact(value: Any) -> Any:
    """`value` with the type of everything and the bits of floats, so that `==` tells all apart."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    return type(value), struct.pack(">d", value) if type(value) is float else value


def _samples(body: Samples, t0: Stamp) -> Json:
    names = ("alias", "offset_us", "value", "quality")
    rows = zip(body.aliases, body.offsets_us, body.values, body.qualities, strict=True)
    return {
        "until": body.until_ns - t0.wall_ns,
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _summaries(body: Summaries, t0: Stamp) -> Json:
    names = (
        "alias", "count", "bad", "missing", "min", "max", "mean", "std", "first", "last", "quality"
    )  # fmt: skip
    counts = (body.aliases, body.counts, body.bads, body.missings)
    ends = (body.mins, body.maxs, body.means, body.stds, body.firsts, body.lasts)
    rows = zip(*counts, *ends, body.qualities, strict=True)
    return {
        "until": body.until_ns - t0.wall_ns,
        "length": body.length_ns,
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _start(body: Start, _t0: Stamp) -> Json:
    names = ("site", "agent", "software", "config", "boot")
    previous = dataclasses.asdict(body.previous)
    mine = {name: getattr(body, name) for name in names} | {"previous": previous.pop("epoch")}
    return mine | previous


def _gap(body: Gap, _t0: Stamp) -> Json:
    loss = dataclasses.asdict(body.loss)
    ends = {"from": loss.pop("from_seq"), "to": loss.pop("to_seq")}
    return loss | ends


def _clock_set(body: ClockSet, _t0: Stamp) -> Json:
    return {"before": body.before_ns, "before_synced": body.before_synced}


def _fields(body: Any, _t0: Stamp) -> Json:
    return dataclasses.asdict(body)


_BODIES: dict[type, Callable[[Any, Stamp], Json]] = {
    Start: _start,
    Birth: _fields,
    Samples: _samples,
    Summaries: _summaries,
    Alarm: _fields,
    Gap: _gap,
    ClockSet: _clock_set,
    Stop: _fields,
    Audit: _fields,
}
