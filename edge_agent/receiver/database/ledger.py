"""Continuity in the database, by the rules of `receiver.continuity`: intervals per stream, never scans.

`Tally` collects what a batch says about streams; `Ledger` writes it under the locks of those streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_agent.model import NS
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
    """Within a transaction of the caller's. A batch may touch hundreds of streams: everything is asked for,
    and written, for all of them together."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def seen(self, wanted: Mapping[int, Intervals]) -> dict[int, Intervals]:
        """Per stream what is known as seen around these."""
        known = self._around({(stream, True): new for stream, new in wanted.items()})
        return {stream: coverage.intervals(known.get((stream, True), ())) for stream in wanted}

    def write(self, tally: Tally, ids: Mapping[StreamKey, int]) -> None:
        """Busy when a record of the batch was stored by another receiver meanwhile."""
        statement = "UPDATE run SET complete = ? WHERE site = ? AND agent = ? AND epoch = ? AND NOT complete"
        self._db.many(statement, [(True, *run) for run in sorted(tally.begun)])
        touched = sorted({ids[key] for key in tally.keys} | self._streams_of(tally.begun))
        self._db.lock_streams(touched)
        self._cover(tally, ids)
        self._db.many(
            "UPDATE stream SET lowest = CASE WHEN lowest < ? THEN lowest ELSE ? END, "
            "highest = CASE WHEN highest > ? THEN highest ELSE ? END WHERE id = ?",
            [(new.lowest, new.lowest, new.highest, new.highest, ids[key]) for key, new in tally.seen.items()],
        )
        self._db.many(
            "UPDATE stream SET last = ? WHERE id = ?", [(last, ids[key]) for key, last in tally.ends.items()]
        )
        for settle in (_UPTO, _SETTLED):
            self._db.many(settle, [(stream,) for stream in touched])

    def reach(self, ids: Iterable[int], now_ns: int) -> dict[int, Reach]:
        """Per stream from where up to which seq everything is here or declared lost, for acknowledgements. Up
        to 0 where the START of the run may still be on its way, and with it the word that much more is to
        come; from above 1 where the run was joined later: nobody must speak for what was before."""
        found: dict[int, Reach] = {}
        wanted = sorted(ids)
        for place in range(0, len(wanted), _AT_ONCE):
            some = wanted[place : place + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            statement = (
                "SELECT s.id, CASE WHEN r.complete THEN 1 ELSE s.lowest END, "
                "CASE WHEN r.complete OR r.heard_ns < ? THEN s.upto ELSE 0 END FROM stream s "
                "JOIN run r ON r.site = s.site AND r.agent = s.agent AND r.epoch = s.epoch "
                f"WHERE s.id IN ({marks})"
            )
            rows = self._db.rows(statement, now_ns - _START_MAY_COME_NS, *some)
            found.update((stream, (first, upto)) for stream, first, upto in rows)
        return found

    # --- inside -------------------------------------------------------------------------------

    def _cover(self, tally: Tally, ids: Mapping[StreamKey, int]) -> None:
        """What was seen is accounted for as well as what was declared lost."""
        new: dict[Which, Intervals] = {}
        for key, seen in tally.seen.items():
            new[ids[key], True] = seen
            new[ids[key], False] = coverage.intervals(seen)
        for key, declared in tally.declared.items():
            accounted = new.setdefault((ids[key], False), coverage.intervals())
            for first, last in declared:
                accounted.add(first, last)
        known = self._around(new)
        changes = {which: coverage.change(known.get(which, ()), some) for which, some in new.items()}
        for which, some in new.items():
            there = coverage.intervals(known.get(which, ()))
            if which[1] and any(there.holes(*span) != [span] for span in some):
                raise Busy("a record was stored by another receiver meanwhile")
        self._db.many(
            "DELETE FROM span WHERE stream = ? AND seen = ? AND first = ?",
            [(*which, first) for which, change in changes.items() for first, _ in change.remove],
        )
        self._db.many(
            "INSERT INTO span (stream, seen, first, last) VALUES (?, ?, ?, ?)",
            [(*which, first, last) for which, change in changes.items() for first, last in change.add],
        )

    def _around(self, wanted: Mapping[Which, Intervals]) -> dict[Which, list[coverage.Span]]:
        """Intervals that overlap or touch these; one may be there twice."""
        reach = [(*which, *span) for which, new in wanted.items() for span in coverage.reaches(new)]
        found: dict[Which, list[coverage.Span]] = {}
        for stream, seen, first, last in self._db.spans(reach):
            found.setdefault((stream, seen), []).append((first, last))
        return found

    def _streams_of(self, runs: Iterable[Run]) -> set[int]:
        statement = "SELECT id FROM stream WHERE site = ? AND agent = ? AND epoch = ?"
        return {int(row[0]) for run in runs for row in self._db.rows(statement, *run)}


Which = tuple[int, bool]
"""Stream, and whether of what was seen or of what is accounted for."""
Reach = tuple[int, int]
"""From where up to which seq."""
_AT_ONCE = 500
"""Arguments of one statement."""
_START_MAY_COME_NS = 600 * NS
"""A broker that lost everything gets the START again, events first, as soon as its agent notices; who joined
in the middle will never get it."""
_COMPLETE = (
    "(SELECT r.complete FROM run r "
    "WHERE r.site = stream.site AND r.agent = stream.agent AND r.epoch = stream.epoch)"
)
_FIRST = f"(CASE WHEN {_COMPLETE} THEN 1 ELSE stream.lowest END)"
_UPTO = f"""
UPDATE stream SET upto = COALESCE(
    (SELECT CASE WHEN p.last < {_FIRST} THEN {_FIRST} - 1 ELSE p.last END FROM span p
        WHERE p.stream = stream.id AND NOT p.seen AND p.first <= {_FIRST} ORDER BY p.first DESC LIMIT 1),
    {_FIRST} - 1, 0)
WHERE id = ?
"""
_SETTLED = f"UPDATE stream SET settled = last IS NOT NULL AND ({_FIRST} IS NULL OR upto >= last) WHERE id = ?"
