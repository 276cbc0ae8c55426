"""Continuity in the database, by the rules of `receiver.continuity`: intervals per stream, never scans.

`Tally` collects what a batch says about streams; `Ledger` writes it under the locks of those streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_agent.receiver.continuity import MAX_STREAMS, Source
from edge_agent.receiver.database import coverage
from edge_agent.receiver.database.door import Busy, Database
from edge_agent.receiver.database.entries import MAX_SEQ, Entry, StreamKey
from edge_agent.receiver.database.names import Run
from edge_agent.receiver.intervals import Intervals
from edge_agent.records.events import Start
from edge_agent.records.values import EVENT

_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")


@dataclass(slots=True)
class Tally:
    """What the fresh records of a batch change. Streams are named by their ids where it is written."""

    seen: dict[StreamKey, Intervals] = field(default_factory=dict)
    declared: dict[StreamKey, Intervals] = field(default_factory=dict)
    ends: dict[StreamKey, int] = field(default_factory=dict)
    begun: set[Run] = field(default_factory=set)
    """Runs whose START is here: complete from seq 1."""
    before: dict[Run, Run] = field(default_factory=dict)
    """The run that a START names as the one before it."""

    def note(self, entry: Entry) -> None:
        seq = entry.head.seq
        self.seen.setdefault(entry.key, coverage.intervals()).add(seq, seq)
        if entry.rows is None:
            return
        if (start := entry.rows.start) is not None:
            self._started(entry, start)
        if (stop := entry.rows.stop) is not None:
            self._close(entry.source, entry.head.epoch.hex(), stop.last | {EVENT: seq})
        if (loss := entry.rows.lost) is not None and _NAME.fullmatch(loss.stream):
            key = (entry.source.site, entry.source.agent, loss.epoch.hex(), loss.stream)
            last = min(loss.to_seq, MAX_SEQ)
            if loss.from_seq <= last:
                self.declared.setdefault(key, coverage.intervals()).add(loss.from_seq, last)

    @property
    def keys(self) -> set[StreamKey]:
        return {*self.seen, *self.declared, *self.ends}

    def _started(self, entry: Entry, start: Start) -> None:
        run = (entry.source.site, entry.source.agent, entry.head.epoch.hex())
        self.begun.add(run)
        if start.previous.epoch:
            self.before[run] = (*run[:2], start.previous.epoch.hex())
            self._close(entry.source, start.previous.epoch.hex(), start.previous.last)

    def _close(self, source: Source, epoch: str, last: Mapping[str, int]) -> None:
        for name, seq in list(last.items())[:MAX_STREAMS]:
            if _NAME.fullmatch(name) and 0 <= seq <= MAX_SEQ:
                self.ends[source.site, source.agent, epoch, name] = seq


class Ledger:
    """Within a transaction of the caller's."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def seen(self, stream: int, new: Intervals) -> Intervals:
        """What is known as seen around `new`."""
        return coverage.intervals(self._around(stream, seen=True, new=new))

    def write(self, tally: Tally, ids: Mapping[StreamKey, int]) -> None:
        """Busy when a record of the batch was stored by another receiver meanwhile."""
        for run in sorted(tally.begun):
            self._db.execute(
                "UPDATE run SET complete = ? WHERE site = ? AND agent = ? AND epoch = ? AND NOT complete",
                True,
                *run,
            )
        touched = {ids[key] for key in tally.keys} | set(self._streams_of(tally.begun))
        self._db.lock_streams(sorted(touched))
        for key, new in tally.seen.items():
            self._see(ids[key], new)
        for key, new in tally.declared.items():
            self._merge(ids[key], seen=False, new=new)
        for key, last in tally.ends.items():
            self._db.execute("UPDATE stream SET last = ? WHERE id = ?", last, ids[key])
        for stream in touched:
            self._settle(stream)

    def upto(self, ids: Iterable[int]) -> dict[int, int]:
        """Per stream the seq up to which everything is here or declared lost."""
        found = {}
        for stream in ids:
            rows = self._db.rows("SELECT upto FROM stream WHERE id = ?", stream)
            found[stream] = int(rows[0][0]) if rows else 0
        return found

    # --- inside -------------------------------------------------------------------------------

    def _see(self, stream: int, new: Intervals) -> None:
        known = self._around(stream, seen=True, new=new)
        there = coverage.intervals(known)
        if any(there.holes(first, last) != [(first, last)] for first, last in new):
            raise Busy("a record was stored by another receiver meanwhile")
        self._replace(stream, seen=True, change=coverage.change(known, new))
        self._merge(stream, seen=False, new=new)
        low, high = new.lowest, new.highest
        self._db.execute(
            "UPDATE stream SET lowest = CASE WHEN lowest < ? THEN lowest ELSE ? END, "
            "highest = CASE WHEN highest > ? THEN highest ELSE ? END WHERE id = ?",
            low, low, high, high, stream,
        )  # fmt: skip

    def _merge(self, stream: int, *, seen: bool, new: Intervals) -> None:
        known = self._around(stream, seen=seen, new=new)
        self._replace(stream, seen=seen, change=coverage.change(known, new))

    def _around(self, stream: int, *, seen: bool, new: Intervals) -> list[coverage.Span]:
        """Intervals that overlap or touch the reach of `new`: from the last that begins before it."""
        low, high = new.lowest - 1, new.highest + 1
        before = self._db.rows(
            "SELECT first FROM span WHERE stream = ? AND seen = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            stream, seen, low,
        )  # fmt: skip
        begin = int(before[0][0]) if before else low
        found = self._db.rows(
            "SELECT first, last FROM span WHERE stream = ? AND seen = ? AND first >= ? AND first <= ? "
            "AND last >= ?",
            stream, seen, begin, high, low,
        )  # fmt: skip
        return [(int(first), int(last)) for first, last in found]

    def _replace(self, stream: int, *, seen: bool, change: coverage.Change) -> None:
        for first, _ in change.remove:
            self._db.execute(
                "DELETE FROM span WHERE stream = ? AND seen = ? AND first = ?", stream, seen, first
            )
        for first, last in change.add:
            self._db.execute("INSERT INTO span VALUES (?, ?, ?, ?)", stream, seen, first, last)

    def _settle(self, stream: int) -> None:
        """How far everything is here, and whether that is the end."""
        lowest, last, complete = self._db.rows(
            "SELECT s.lowest, s.last, r.complete FROM stream s JOIN run r ON r.site = s.site "
            "AND r.agent = s.agent AND r.epoch = s.epoch WHERE s.id = ?",
            stream,
        )[0]  # fmt: skip
        first = 1 if complete else lowest
        upto = self._reaches(stream, first) if first is not None else 0
        settled = last is not None and (first is None or upto >= last)
        self._db.execute("UPDATE stream SET upto = ?, settled = ? WHERE id = ?", upto, settled, stream)

    def _reaches(self, stream: int, first: int) -> int:
        found = self._db.rows(
            "SELECT last FROM span WHERE stream = ? AND seen = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            stream, False, first,
        )  # fmt: skip
        return max(int(found[0][0]), first - 1) if found else first - 1

    def _streams_of(self, runs: Iterable[Run]) -> list[int]:
        return [
            int(row[0])
            for run in runs
            for row in self._db.rows("SELECT id FROM stream WHERE site = ? AND agent = ? AND epoch = ?", *run)
        ]
