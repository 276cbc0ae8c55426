"""One batch, one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

from edge_agent.clock import Clock
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database import rows, shape
from edge_agent.receiver.database.door import Busy, Database, transaction
from edge_agent.receiver.database.entries import Batch, Entry, Reader, StreamKey
from edge_agent.receiver.database.holes import Holes
from edge_agent.receiver.database.ledger import Ledger, Tally
from edge_agent.receiver.database.names import Names, Run
from edge_agent.receiver.database.shape import Tables, Written
from edge_agent.receiver.database.tables import RECORD, UNREAD
from edge_agent.receiver.database.waiting import Waiting

_TRIES = 8
"""Of a transaction that another receiver was in the way of."""
_LATEST_S = 9.2e9
"""Nanoseconds of it fit 64 bits."""
_MAX_TEXT = 256


class Store:
    """What a receiver does with a database. Every call connects if need be: Away when it cannot."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._names = Names(database)
        self._ledger = Ledger(database)
        self._waiting = Waiting(database, self._names, clock)
        self._holes = Holes(database, self._names, clock)

    def open(self) -> None:
        self._db.open()
        self._names.refresh()

    def close(self) -> None:
        self._db.close()

    def write(self, batch: Batch) -> Written:
        """Commit it. Away: nothing of it is stored; Refused: something in it never will be."""
        unique: dict[tuple[StreamKey, int], Entry] = {}
        for entry in batch.entries:
            unique.setdefault((entry.key, entry.head.seq), entry)
        for number in range(_TRIES):
            self.open()
            try:
                written = self._write(batch, list(unique.values()))
            except Busy:
                if number + 1 == _TRIES:
                    raise
            else:
                written.duplicates += len(batch.entries) - len(unique)
                return written
        raise AssertionError

    def dictionary(self, dict_hash: bytes) -> bytes | None:
        """In canonical bytes, where any receiver has seen its birth."""
        self.open()
        return self._waiting.dictionary(dict_hash)

    def resolve(self, reader: Reader) -> int:
        """Turn records whose dictionary is known by now into rows; how many there were."""
        self.open()
        return self._waiting.resolve(reader)

    @property
    def holes(self) -> Holes:
        self.open()
        return self._holes

    def status(self, source: Source, document: Mapping[str, object]) -> None:
        """What an agent says of itself, or its last will. The last one that came counts, not the one with the
        latest time: a will is dated by the beginning of its connection, and the clock of an agent may have
        been years ahead. Only the end of another run is no news of the one that is online."""
        self.open()
        texts = [_text(document.get(key)) for key in ("state", "epoch", "version", "reason")]
        t = document.get("t")
        at = self._db.moment(round(t * 1e9)) if isinstance(t, int | float) and abs(t) < _LATEST_S else None
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO agent (site, agent, state, epoch, version, reason, t) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (site, agent) DO UPDATE SET "
                "state = excluded.state, epoch = excluded.epoch, version = excluded.version, "
                "reason = excluded.reason, t = excluded.t "
                "WHERE agent.state IS NULL OR excluded.state <> 'offline' OR agent.state <> 'online' "
                "OR excluded.epoch = agent.epoch",
                source.site, source.agent, *texts, at,
            )  # fmt: skip

    # --- inside -------------------------------------------------------------------------------

    def _write(self, batch: Batch, entries: Sequence[Entry]) -> Written:
        received = self._clock.wall_ns()
        ids = self._identify(entries, received)
        fresh = self._fresh(entries, ids)
        series = self._names.series(shape.points(entry.rows for entry in fresh if entry.rows is not None))
        made = [
            shape.tables(ids[entry.key], entry.head.seq, entry.rows, series) if entry.rows else {}
            for entry in fresh
        ]
        records = [shape.record(entry, ids[entry.key], received) for entry in fresh]
        everything = shape.together(made)
        self._db.prepare(everything | {RECORD: records}, received)
        with transaction(self._db):
            stored = self._db.insert_records(records) if records else set()
            is_new = [(ids[entry.key], entry.head.seq) in stored for entry in fresh]
            new = list(compress(fresh, is_new))
            self._append(everything if all(is_new) else shape.together(compress(made, is_new)))
            self._db.append(UNREAD, shape.unread(new, batch.garbage, ids, received))
            for dict_hash, data in sorted(batch.dictionaries.items()):
                self._waiting.learn(dict_hash, data)
            self._waiting.keep(batch.parts)
            self._ledger.write(_tally(new), ids)
            reach = self._ledger.reach({ids[entry.key] for entry in entries}, received)
        written = shape.count(new)
        written.reach = {entry.key: reach[ids[entry.key]] for entry in entries}
        written.duplicates = len(entries) - len(new)
        written.unread += len(batch.garbage)
        return written

    def _identify(self, entries: Sequence[Entry], received: int) -> Mapping[StreamKey, int]:
        """Ids of every stream these say something about, whose runs are known then too."""
        tally = _tally(entries)
        heard: dict[Run, bool] = dict.fromkeys(tally.before.values(), False)
        heard |= {(site, agent, epoch): False for site, agent, epoch, _ in tally.keys}
        for entry in entries:
            heard[entry.key[:3]] |= not entry.backlog
        ids = self._names.streams(tally.keys)
        self._names.runs(heard, tally.before, received)
        return ids

    def _fresh(self, entries: Sequence[Entry], ids: Mapping[StreamKey, int]) -> list[Entry]:
        """Without a lock: the primary key and the ledger decide in the end."""
        seen = self._ledger.seen({ids[key]: new for key, new in _tally(entries).seen.items()})
        return [entry for entry in entries if entry.head.seq not in seen[ids[entry.key]]]

    def _append(self, tables: Tables) -> None:
        for table, some in tables.items():
            self._db.append(table, some)


def _tally(entries: Iterable[Entry]) -> Tally:
    tally = Tally()
    for entry in entries:
        tally.note(entry)
    return tally


def _text(value: object) -> str | None:
    """JSON can escape halves of surrogate pairs, which no database takes."""
    if not isinstance(value, str):
        return None
    return rows.clean(value[:_MAX_TEXT].encode(errors="replace").decode())
