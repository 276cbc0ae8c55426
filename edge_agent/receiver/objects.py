"""Pure: a decoded record as the JSON objects `edge-agent receive --json` prints, one per value.

Every object has `kind`, `site`, `agent`, `stream`, `epoch` (hex) and `seq`. Times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from edge_agent.model import NS, Quality, WallNs
from edge_agent.process.results import Value
from edge_agent.receiver.continuity import Missing, Source
from edge_agent.records.bodies import Alarm
from edge_agent.records.decode import Record, SampleRow, SampleRows, SummaryRow, SummaryRows
from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop
from edge_agent.records.values import SAMPLE, SUMMARY

Object = dict[str, Any]

_END_OF_TIME_S = 1e12


def objects(source: Source, record: Record, *, backlog: bool = False) -> Iterator[Object]:
    """What one record says. A body kind that is not known gives one object of kind `unknown`."""
    head, body = record.envelope, record.body
    base = _base(source, head.stream, head.epoch, head.seq) | ({"backlog": True} if backlog else {})
    t0 = _seconds(head.t0.wall_ns)
    match body:
        case SampleRows():
            yield from (base | _sample(row) for row in body.rows)
        case SummaryRows():
            yield from (base | _summary(row) for row in body.rows)
        case Alarm():
            yield base | _alarm(body, t0)
        case Gap():
            yield base | _gap(body)
        case Start():
            yield base | _start(body, t0)
            yield from (base | gap for gap in _interruptions(body, t0))
        case Stop():
            yield base | {"kind": "stop", "t": t0, "reason": body.reason}
        case Birth():
            yield base | {
                "kind": "birth",
                "hash": head.dict_hash.hex(),
                "part": body.part,
                "parts": body.parts,
            }
        case ClockSet():
            yield base | {
                "kind": "clock_set",
                "t": t0,
                "before": _seconds(body.before_ns),
                "synced": head.t0.synced,
            }
        case Audit():
            said = {"who": body.who, "what": body.what, "result": body.result, "detail": body.detail}
            yield base | {"kind": "audit", "t": t0} | said
        case _:
            yield base | {"kind": "unknown", "body_kind": head.kind, "t": t0}


def missing(hole: Missing) -> Object:
    """Records that are neither here nor declared lost, said at the receiver's end."""
    base = _base(hole.source, hole.stream, hole.epoch, hole.first)
    return base | {"kind": "missing", "from": hole.first, "to": hole.last, "count": hole.count}


def status(source: Source, document: dict[str, Any]) -> Object:
    """A status message of the agent (or its last will)."""
    texts = {
        key: value
        for key, value in document.items()
        if key in ("state", "epoch", "reason", "version") and isinstance(value, str)
    }
    t = document.get("t")
    # Python reads NaN and 1e999 from JSON; what is printed here must be JSON to everybody.
    time = {"t": t} if isinstance(t, int | float) and abs(t) < _END_OF_TIME_S else {}
    return {"kind": "status", "site": source.site, "agent": source.agent} | texts | time


def _base(source: Source, stream: str, epoch: bytes, seq: int) -> Object:
    place = {"site": source.site, "agent": source.agent, "stream": stream}
    # `kind` first, so that a person who reads the lines finds it.
    return {"kind": ""} | place | {"epoch": epoch.hex(), "seq": seq}


def _sample(row: SampleRow) -> Object:
    return {
        "kind": "sample",
        "device": row.entry.device,
        "point": row.entry.point,
        "unit": row.entry.unit,
        "t": _seconds(row.wall_ns),
        "value": _plain(row.value),
        "quality": row.quality.label,
    }


def _summary(row: SummaryRow) -> Object:
    return {
        "kind": "summary",
        "device": row.entry.device,
        "point": row.entry.point,
        "unit": row.entry.unit,
        "t0": _seconds(row.t0_ns),
        "t1": _seconds(row.t1_ns),
        "count": row.count,
        "bad": row.bad,
        "missing": row.missing,
        "min": _plain(row.min),
        "max": _plain(row.max),
        "mean": _plain(row.mean),
        "std": _plain(row.std),
        "first": _plain(row.first),
        "last": _plain(row.last),
        "quality": Quality(row.quality).label,
    }


def _alarm(alarm: Alarm, t: float | None) -> Object:
    return {
        "kind": "alarm",
        "name": alarm.name,
        "device": alarm.device,
        "point": alarm.point,
        "state": "active" if alarm.active else "normal",
        "value": _plain(alarm.value),
        "t": t,
        "severity": alarm.severity,
        "repeated": alarm.repeated,
    }


def _gap(gap: Gap) -> Object:
    loss = gap.loss
    return {
        "kind": "gap",
        "reason": loss.reason,
        "lost_epoch": loss.epoch.hex(),
        "lost_stream": loss.stream,
        "from": loss.from_seq,
        "to": loss.to_seq,
        "count": loss.count,
        "t0": _seconds(loss.t0),
        "t1": _seconds(loss.t1),
    }


def _start(start: Start, t: float | None) -> Object:
    return {
        "kind": "start",
        "t": t,
        "version": start.software,
        "config": start.config,
        "previous": start.previous.epoch.hex(),
        "clean": start.previous.clean,
        "certain_until": _seconds(start.previous.certain_until),
    }


def _interruptions(start: Start, t1: float | None) -> Iterator[Object]:
    """Per stream, the time the run before did not observe: from where it is certain to this START. Where
    that is unknown, because nothing of what it observed is durable, the time it begins is None."""
    previous = start.previous
    certain: Mapping[str, WallNs | None] = previous.certain
    if previous.epoch and not previous.clean and not certain:
        certain = dict.fromkeys((SAMPLE, SUMMARY))
    for stream, certain_ns in certain.items():
        yield {
            "kind": "gap",
            "reason": "stopped" if previous.clean else "interrupted",
            "lost_epoch": previous.epoch.hex(),
            "lost_stream": stream,
            "from": previous.last.get(stream, 0) + 1,
            "to": None,
            "count": None,
            "t0": _seconds(certain_ns),
            "t1": t1,
        }


def _seconds(ns: WallNs | None) -> float | None:
    return None if ns is None else ns / NS


def _plain(value: Value) -> Value:
    """JSON has no NaN and no infinity; a value that is none says why by its quality."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
