"""Pure: entries as rows with the ids that the database gave, and what a batch came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.receiver.database import rows
from edge_agent.receiver.database.entries import Entry, Garbage, StreamKey
from edge_agent.receiver.database.rows import Rows, Series
from edge_agent.receiver.database.tables import SAMPLE, SUMMARY, Row, Table
from edge_agent.records.dictionary import PointEntry

Tables = dict[Table, list[Row]]


@dataclass(slots=True)
class Written:
    records: int = 0
    duplicates: int = 0
    values: int = 0
    alarms: int = 0
    gaps: int = 0
    waiting: int = 0
    unread: int = 0
    dropped: int = 0
    reach: dict[StreamKey, tuple[int, int]] = field(default_factory=dict)
    """Of every stream the batch has records of, fresh or not: from where up to where everything is here."""


def points(made: Iterable[Rows]) -> dict[Series, PointEntry]:
    """What the series of these rows are."""
    return {series: entry for one in made for series, entry in one.entries.items()}


def tables(stream: int, seq: int, made: Rows, series: Mapping[Series, int]) -> Tables:
    """The rows of one record as the tables have them."""
    found: Tables = {}
    if made.samples:
        found[SAMPLE] = [
            (t, value, seq, series[name], stream, row, t % 1000, quality, text)
            for row, (name, t, value, text, quality) in enumerate(made.samples)
        ]
    if made.summaries:
        found[SUMMARY] = [
            (*columns[:-1], seq, series[name], stream, row, columns[-1])
            for row, (name, columns) in enumerate(made.summaries)
        ]
    for table, other in made.others:
        found.setdefault(table, []).append(other)
    return found


def together(made: Iterable[Tables]) -> Tables:
    total: Tables = {}
    for one in made:
        for table, some in one.items():
            total.setdefault(table, []).extend(some)
    return total


def record(entry: Entry, stream: int, received: int) -> Row:
    t0 = entry.head.t0.wall_ns
    return t0, entry.head.seq, received, stream, entry.head.kind, t0 % 1000, entry.backlog


def unread(
    entries: Iterable[Entry], garbage: Iterable[Garbage], ids: Mapping[StreamKey, int], received: int
) -> list[Row]:
    made: list[Row] = []
    for entry in entries:
        if entry.rows is None:
            who, head = (entry.source.site, entry.source.agent), entry.head
            words = (entry.dict_hex, rows.clean(entry.reason), entry.payload)
            made.append((received, head.seq, ids[entry.key], head.kind, entry.backlog, *who, *words))
    for one in garbage:
        nothing = (None, None, None, False)
        words = (None, rows.clean(one.reason), one.payload)
        made.append((received, *nothing, one.source.site, one.source.agent, *words))
    return made


def count(entries: Sequence[Entry]) -> Written:
    written = Written(records=len(entries))
    for entry in entries:
        if entry.rows is None:
            written.waiting += not entry.reason
            written.unread += bool(entry.reason)
        else:
            written.values += entry.rows.values
            written.alarms += sum(table.name == "alarm" for table, _ in entry.rows.others)
            written.gaps += sum(table.name == "gap" for table, _ in entry.rows.others)
    return written
