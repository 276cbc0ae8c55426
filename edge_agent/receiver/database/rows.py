"""Pure: a decoded record as rows of tables.

Rules:
* a value is a double in `value`; what a double cannot hold (texts, integers beyond 2^53, NaN and infinities,
  which would spoil every mean) is in `text`, exactly;
* a text holds no NUL, which PostgreSQL refuses: U+2400 stands for it;
* times are nanoseconds; one that does not fit 64 bits makes the record unreadable, as does a name that is too
  long for an index.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.process.results import Value
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.tables import ALARM, AUDIT, CLOCK_SET, GAP, START, STOP, Row, Table
from edge_agent.records.bodies import Alarm
from edge_agent.records.codec import Opaque
from edge_agent.records.decode import Record, SampleRow, SampleRows, SummaryRow, SummaryRows
from edge_agent.records.dictionary import PointEntry
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Audit, ClockSet, Gap, Start, Stop
from edge_agent.records.values import SAMPLE, SUMMARY, Loss

MAX_NAME = 128
"""Letters of a device, point or unit: three of them fit an index row of PostgreSQL in any script."""
_EXACT = 2**53
_INT8 = 2**63

Series = tuple[str, str, str, str, str]
"""Site, agent, device, point, unit."""


@dataclass(slots=True)
class Rows:
    """What one record adds. Rows of samples and summaries lack the ids of series and stream, which only the
    database knows."""

    samples: list[tuple[Series, int, float | None, str | None, int]] = field(default_factory=list)
    """Series, time, value, text, quality; the row's number is its place."""
    summaries: list[tuple[Series, Row]] = field(default_factory=list)
    """Series, and from t0 to last; the quality comes last."""
    others: list[tuple[Table, Row]] = field(default_factory=list)
    entries: dict[Series, PointEntry] = field(default_factory=dict)
    start: Start | None = None
    stop: Stop | None = None
    lost: Loss | None = None

    @property
    def values(self) -> int:
        return len(self.samples) + len(self.summaries)


def of(source: Source, record: Record) -> Rows | None:
    """The rows of `record`; None for a kind that is not known. RecordError where they cannot be stored."""
    body = record.body
    made = Rows()
    if isinstance(body, SampleRows):
        for sample in body.rows:
            made.samples.append(_sample(source, sample, made))
    elif isinstance(body, SummaryRows):
        for summary in body.rows:
            made.summaries.append(_summary(source, summary, made))
    elif isinstance(body, Opaque):
        return None
    else:
        made.others = _others(source, record)
        made.start = body if isinstance(body, Start) else None
        made.stop = body if isinstance(body, Stop) else None
        made.lost = body.loss if isinstance(body, Gap) else None
    return made


def unknown(record: Record) -> str:
    """The reason for bytes of a kind that a later version will read; empty for any other."""
    return f"kind {record.envelope.kind} is not known" if isinstance(record.body, Opaque) else ""


def number_and_text(value: Value) -> tuple[float | None, str | None]:
    """What stands in `value` and `text`."""
    if value is None:
        return None, None
    if isinstance(value, str):
        return None, clean(value)
    if isinstance(value, float):
        return (value, None) if math.isfinite(value) else (None, _NOT_FINITE[str(value)])
    return float(value), (None if -_EXACT <= value <= _EXACT else str(value))


def clean(text: str) -> str:
    return text.replace("\0", "\u2400") if "\0" in text else text


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _sample(source: Source, row: SampleRow, made: Rows) -> tuple[Series, int, float | None, str | None, int]:
    series = _series(source, row.entry, made)
    value, text = number_and_text(row.value)
    return series, _time(row.wall_ns), value, text, int(row.quality)


def _summary(source: Source, row: SummaryRow, made: Rows) -> tuple[Series, Row]:
    series = _series(source, row.entry, made)
    spread = (row.min, row.max, row.mean, row.std, row.first, row.last)
    numbers = tuple(number if number is not None and math.isfinite(number) else None for number in spread)
    times = (_time(row.t0_ns), _time(row.t1_ns))
    return series, (*times, row.count, row.bad, row.missing, *numbers, int(row.quality))


def _series(source: Source, entry: PointEntry, made: Rows) -> Series:
    series = (source.site, source.agent, entry.device, entry.point, entry.unit)
    if series not in made.entries:
        together = "".join(series)
        if len(together) > MAX_NAME and max(map(len, series)) > MAX_NAME:
            raise RecordError(f"a name of {max(map(len, series))} letters in its dictionary")
        if "\0" in together:
            raise RecordError("a name with NUL in its dictionary")
        made.entries[series] = entry
    return series


def _others(source: Source, record: Record) -> list[tuple[Table, Row]]:
    head, body = record.envelope, record.body
    epoch, t = head.epoch.hex(), _time(head.t0.wall_ns)
    who = (source.site, source.agent)
    match body:
        case Alarm():
            return [(ALARM, _alarm(who, epoch, t, head.seq, body))]
        case Gap(loss=loss):
            times = (_maybe_time(loss.t0), _maybe_time(loss.t1))
            counts = (loss.from_seq, loss.to_seq, loss.count)
            names = (clean(loss.stream), loss.epoch.hex(), clean(loss.reason))
            return [(GAP, (*counts, *times, head.seq, *who, *names, epoch))]
        case Start():
            return [
                (START, _start(who, epoch, t, head.seq, body)),
                *_interruptions(who, epoch, t, head, body),
            ]
        case Stop():
            return [(STOP, (t, head.seq, *who, epoch, clean(body.reason), _json(body.last)))]
        case ClockSet():
            flags = (head.t0.synced, body.before_synced)
            return [(CLOCK_SET, (t, _time(body.before_ns), head.seq, *flags, *who, epoch))]
        case Audit():
            words = (body.who, body.what, body.result, body.detail)
            return [(AUDIT, (t, head.seq, *who, epoch, *map(clean, words)))]
    return []


def _alarm(who: tuple[str, str], epoch: str, t: int, seq: int, body: Alarm) -> Row:
    value = body.value if body.value is not None and math.isfinite(body.value) else None
    state = "active" if body.active else "normal"
    names = (clean(body.name), clean(body.device), clean(body.point))
    return t, value, seq, t % 1000, state, clean(body.severity), body.repeated, *who, *names, epoch


def _start(who: tuple[str, str], epoch: str, t: int, seq: int, body: Start) -> Row:
    before = body.previous
    maps = (_json(before.certain), _json(before.last))
    texts = (clean(body.software), clean(body.config), body.boot.hex())
    until = _maybe_time(before.certain_until)
    return t, seq, until, before.clean, *who, epoch, before.epoch.hex(), *maps, *texts


def _interruptions(
    who: tuple[str, str], epoch: str, t: int, head: Envelope, body: Start
) -> list[tuple[Table, Row]]:
    """What a START declares: per stream the time that was not observed. Rows of `gap` without a count."""
    before = body.previous
    certain: Mapping[str, WallNs | None] = before.certain
    if before.epoch and not before.clean and not certain:
        certain = dict.fromkeys((SAMPLE, SUMMARY))
    reason = "stopped" if before.clean else "interrupted"
    made: list[tuple[Table, Row]] = []
    for stream, since in certain.items():
        place = (clean(stream), before.epoch.hex(), reason)
        seqs = (min(before.last.get(stream, 0) + 1, _INT8 - 1), None, None)
        made.append((GAP, (*seqs, _maybe_time(since), t, head.seq, *who, *place, epoch)))
    return made


def _json(numbers: Mapping[str, int]) -> str:
    # jsonb refuses an escaped NUL too.
    return json.dumps({clean(key): value for key, value in numbers.items()}, sort_keys=True)


def _time(ns: int) -> int:
    if not -_INT8 <= ns < _INT8:
        raise RecordError(f"a time of {ns} ns is beyond every clock")
    return ns


def _maybe_time(ns: int | None) -> int | None:
    return None if ns is None else _time(ns)
