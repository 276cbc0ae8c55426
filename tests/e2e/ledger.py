"""What a receiver has of one agent, in one form whatever it was written to. Pure but for the reading.

The oracle (`account.py`) judges a `Ledger`; where it comes from is decided here: `of_objects` takes the
lines of `edge-agent receive --json`, `of_sqlite` the database of `receive --to sqlite:`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.model import NS, Quality

Object = dict[str, Any]
Key = tuple[str, str]
"""Device and point."""

PAUSE = ("interrupted", "stopped")
"""Reasons of the gaps a START declares; every other reason is that of a GAP record."""


@dataclass(frozen=True, slots=True)
class Value:
    """One sample. `value` is None where the quality is bad."""

    key: Key
    t: int
    value: Any
    quality: str

    @property
    def good(self) -> bool:
        return self.quality == "good"


@dataclass(frozen=True, slots=True)
class Window:
    key: Key
    t0: int
    t1: int
    count: int
    bad: int
    missing: int
    min: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """One alarm record."""

    name: str
    t: int
    active: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A declared loss of a stream, by a GAP record or by a START. `t0` None: from an unknown time on."""

    epoch: str
    """Whose records are lost."""
    stream: str
    t0: int | None
    t1: int | None
    reason: str
    count: int | None

    @property
    def is_pause(self) -> bool:
        return self.reason in PAUSE


@dataclass(frozen=True, slots=True)
class Start:
    epoch: str
    t: int


@dataclass(slots=True)
class Ledger:
    values: list[Value] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Numbers that are neither there nor declared lost."""
    beyond: int | None = None
    """Records that are there although the next START did not know them: published before they were durable.
    None where that cannot be told."""


def of_objects(objects: Iterable[Object], agent: str) -> Ledger:
    """From the lines of `receive --json`, its closing ones too."""
    ledger = Ledger()
    for item in objects:
        if item.get("agent") == agent:
            _take(ledger, item)
    return ledger


def _take(ledger: Ledger, item: Object) -> None:
    match item["kind"]:
        case "sample":
            ledger.values.append(Value(_key(item), _ns(item["t"]), item["value"], item["quality"]))
        case "summary":
            ledger.windows.append(
                Window(
                    _key(item), _ns(item["t0"]), _ns(item["t1"]), item["count"], item["bad"], item["missing"],
                    item["min"], item["max"],
                )
            )  # fmt: skip
        case "alarm":
            ledger.changes.append(Change(item["name"], _ns(item["t"]), item["state"] == "active"))
        case "gap":
            ledger.gaps.append(
                Gap(
                    item["lost_epoch"], item["lost_stream"], _maybe_ns(item["t0"]), _maybe_ns(item["t1"]),
                    item["reason"], item["count"],
                )
            )  # fmt: skip
        case "start":
            ledger.starts.append(Start(item["epoch"], _ns(item["t"])))
        case "missing":
            ledger.missing.append(f"{item['stream']} {item['epoch']} {item['from']}-{item['to']}")


def _key(item: Object) -> Key:
    return item["device"], item["point"]


def _ns(seconds: float) -> int:
    return round(seconds * NS)


def _maybe_ns(seconds: float | None) -> int | None:
    return None if seconds is None else _ns(seconds)


def of_sqlite(path: Path, agent: str) -> Ledger:
    """From the database of `receive --to sqlite:`; continuity is computed here, not believed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row

        def rows(query: str) -> list[sqlite3.Row]:
            return database.execute(query, (agent,)).fetchall()

        starts = rows("select * from start where agent = ?")
        # Those of a START are made from it below: rows without an end are an agreement of one receiver.
        gaps = rows("select * from gap where agent = ? and to_seq is not null")
        ledger = Ledger(
            values=[
                Value((r["device"], r["point"]), r["t"], _value(r), _label(r["quality"]))
                for r in rows("select * from sample where agent = ?")
            ],
            windows=[
                Window(
                    (r["device"], r["point"]), r["t0"], r["t1"], r["count"], r["bad"], r["missing"],
                    r["min"], r["max"],
                )
                for r in rows("select * from summary where agent = ?")
            ],
            changes=[
                Change(r["name"], r["t"], r["state"] == "active")
                for r in rows("select * from alarm where agent = ?")
            ],
            gaps=[
                Gap(r["gap_epoch"], r["stream"], r["t0"], r["t1"], r["reason"], r["count"])
                for r in gaps
            ],
            starts=[Start(r["epoch"], r["t"]) for r in starts],
        )  # fmt: skip
        for start in starts:
            ledger.gaps += _pauses(start)
        records = rows("select epoch, stream, seq from record where agent = ?")
        ledger.missing = list(_holes(records, gaps, starts))
        ledger.beyond = _beyond(records, starts)
    return ledger


def count(path: Path) -> int:
    """Records in a database; it may not be there yet."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return int(database.execute("select count(*) from record").fetchone()[0])


def stopped(path: Path, epoch: str) -> bool:
    """Whether an epoch's STOP is in a database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return bool(database.execute("select count(*) from stop where epoch = ?", (epoch,)).fetchone()[0])


def _value(row: sqlite3.Row) -> Any:
    return row["text"] if row["value"] is None else row["value"]


def _label(quality: Any) -> str:
    return quality if isinstance(quality, str) else Quality(quality).label


def _pauses(start: sqlite3.Row) -> Iterator[Gap]:
    """What a START says of the run before it, per stream of measurements (docs/record-format.md 3.1)."""
    if not start["previous"]:
        return
    certain: dict[str, int | None] = json.loads(start["certain"] or "{}")
    if not certain and not start["clean"]:
        certain = {"sample": None, "summary": None}
    for stream, t0 in certain.items():
        reason = "stopped" if start["clean"] else "interrupted"
        yield Gap(start["previous"], stream, t0, start["t"], reason, None)


def _beyond(records: Sequence[sqlite3.Row], starts: Sequence[sqlite3.Row]) -> int:
    last = {start["previous"]: json.loads(start["last"] or "{}") for start in starts if start["previous"]}
    return sum(r["epoch"] in last and r["seq"] > last[r["epoch"]].get(r["stream"], 0) for r in records)


def _holes(
    records: Sequence[sqlite3.Row], gaps: Sequence[sqlite3.Row], starts: Sequence[sqlite3.Row]
) -> Iterator[str]:
    """Section 5 of docs/record-format.md: seqs of each epoch and stream that are not here, and in no GAP."""
    accounted: dict[tuple[str, str], set[int]] = defaultdict(set)
    for r in records:
        accounted[r["epoch"], r["stream"]].add(r["seq"])
    ends = {key: max(seqs) for key, seqs in accounted.items()}
    for start in starts:
        for stream, last in json.loads(start["last"] or "{}").items():
            ends[start["previous"], stream] = last
    for r in gaps:
        accounted[r["gap_epoch"], r["stream"]].update(range(r["from_seq"], r["to_seq"] + 1))
    for key, end in sorted(ends.items()):
        if holes := sorted(set(range(1, end + 1)) - accounted[key]):
            yield f"{key[1]} {key[0]} {len(holes)} from {holes[0]} on"
