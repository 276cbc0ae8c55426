"""One batch, one transaction; and what a receiver asks of the database beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.clock import Clock
from edge_agent.errors import RecordError
from edge_agent.model import NS
from edge_agent.receiver.continuity import Missing, Source
from edge_agent.receiver.database import rows
from edge_agent.receiver.database.door import Busy, Database, Refused, transaction
from edge_agent.receiver.database.entries import Batch, Entry, Garbage, Reader, StreamKey
from edge_agent.receiver.database.ledger import Ledger, Tally
from edge_agent.receiver.database.names import Names, Run
from edge_agent.receiver.database.rows import Rows, Series
from edge_agent.receiver.database.tables import RECORD, SAMPLE, SUMMARY, UNREAD, Row, Table
from edge_agent.records import dictionary
from edge_agent.records.decode import Unresolved
from edge_agent.records.dictionary import PointEntry

_TRIES = 8
"""Of a transaction that another receiver was in the way of."""
_RESOLVED_AT_ONCE = 256

_PARTS_KEPT_NS = 7 * 24 * 3600 * NS
"""Of dictionaries that never became whole."""

RecordKey = tuple[StreamKey, int]
Ready = tuple[int, int, int, Rows]
"""Id in `unread`, stream, seq, rows."""


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
    upto: dict[StreamKey, int] = field(default_factory=dict)
    """Of every stream the batch has records of, fresh or not: up to where everything is here."""


class Store:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._names = Names(database)
        self._ledger = Ledger(database)

    def open(self) -> None:
        self._db.open()
        self._names.refresh()

    def close(self) -> None:
        self._db.close()

    def write(self, batch: Batch) -> Written:
        """Commit it. Away: nothing of it is stored; Refused: something in it never will be."""
        unique: dict[RecordKey, Entry] = {}
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
        self.open()
        found = self._db.rows("SELECT data FROM dictionary WHERE hash = ?", dict_hash.hex())
        return bytes(found[0][0]) if found else None

    def status(self, source: Source, document: Mapping[str, object]) -> None:
        """What an agent says of itself, or its last will; an older one does not replace a newer one."""
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
                "WHERE agent.t IS NULL OR excluded.t >= agent.t",
                source.site, source.agent, *texts, at,
            )  # fmt: skip

    # --- what waits for a dictionary --------------------------------------------------------------

    def resolve(self, reader: Reader) -> int:
        """Turn records whose dictionary is known by now into rows; how many were looked at."""
        self.open()
        self._assemble()
        found = self._db.rows(
            "SELECT u.id, u.site, u.agent, u.stream, u.seq, u.payload FROM unread u JOIN dictionary d "
            "ON d.hash = u.dict ORDER BY u.id LIMIT ?",
            _RESOLVED_AT_ONCE,
        )  # fmt: skip
        ready: list[Ready] = []
        refused: list[tuple[int, str]] = []
        for row_id, site, agent, stream, seq, payload in found:
            try:
                record = reader.decode(bytes(payload))
                made = rows.of(Source(site, agent), record)
                if made is not None and not isinstance(record.body, Unresolved):
                    ready.append((row_id, stream, seq, made))
            except RecordError as error:
                refused.append((row_id, str(error)))
        try:
            self._resolve(ready, refused)
        except Refused:
            for one in ready:
                self._resolve_alone(one)
        return len(found)

    def _resolve_alone(self, one: Ready) -> None:
        try:
            self._resolve([one], [])
        except Refused as error:
            self._resolve([], [(one[0], f"refused by the database: {error}")])

    def _resolve(self, ready: Sequence[Ready], refused: Sequence[tuple[int, str]]) -> None:
        if not ready and not refused:
            return
        series = self._names.series(_entries(made for *_, made in ready))
        self._prepare([_tables(stream, seq, made, series) for _, stream, seq, made in ready])
        with transaction(self._db):
            for row_id, reason in refused:
                self._db.execute(
                    "UPDATE unread SET dict = NULL, reason = ? WHERE id = ?", rows.clean(reason), row_id
                )
            # Whoever deletes the row has it; another receiver that saw it too finds nothing to delete.
            mine = [
                _tables(stream, seq, made, series)
                for row_id, stream, seq, made in ready
                if self._db.rows("DELETE FROM unread WHERE id = ? RETURNING id", row_id)
            ]
            self._append(mine)

    def _assemble(self) -> None:
        """Dictionaries whose parts came to different receivers."""
        oldest = self._db.moment(self._clock.wall_ns() - _PARTS_KEPT_NS)
        if self._db.rows("SELECT 1 FROM part WHERE received < ? LIMIT 1", oldest):
            self._db.execute("DELETE FROM part WHERE received < ?", oldest)
        whole = self._db.rows("SELECT hash FROM part GROUP BY hash, parts HAVING COUNT(*) = parts")
        for (dict_hash,) in whole:
            parts = self._db.rows("SELECT data FROM part WHERE hash = ? ORDER BY part", dict_hash)
            data = b"".join(bytes(part) for (part,) in parts)
            with transaction(self._db):
                if _is_dictionary(dict_hash, data):
                    self._learn(bytes.fromhex(dict_hash), data)
                self._db.execute("DELETE FROM part WHERE hash = ?", dict_hash)

    # --- holes ------------------------------------------------------------------------------------

    def missing(self, limit: int) -> list[Missing]:
        """Records that are neither here nor declared lost."""
        self.open()
        found = self._db.rows("SELECT site, agent, epoch, stream, first, last FROM missing LIMIT ?", limit)
        return [
            Missing(Source(site, agent), bytes.fromhex(epoch), stream, int(first), int(last))
            for site, agent, epoch, stream, first, last in found
        ]

    def count_missing(self) -> int:
        self.open()
        return int(self._db.rows("SELECT COALESCE(SUM(count), 0) FROM missing")[0][0])

    def claim(self, hole: Missing, pause_ns: int, most: int) -> bool:
        """Whether this receiver is to ask for `hole` now: nobody did within a pause that doubles each time,
        nor `most` times before."""
        now = self._clock.wall_ns()
        key = (hole.source.site, hole.source.agent, hole.epoch.hex(), hole.stream)
        stream = self._names.streams([key])[key]
        with transaction(self._db):
            mine = self._db.rows(
                "INSERT INTO asked (stream, last, at_ns, tries) VALUES (?, ?, ?, 1) "
                "ON CONFLICT (stream, last) DO UPDATE SET at_ns = excluded.at_ns, tries = asked.tries + 1 "
                "WHERE asked.tries < ? AND asked.at_ns + ? * asked.tries * asked.tries < excluded.at_ns "
                "RETURNING tries",
                stream, hole.last, now, most, pause_ns,
            )  # fmt: skip
        return bool(mine)

    # --- a batch ------------------------------------------------------------------------------------

    def _write(self, batch: Batch, entries: Sequence[Entry]) -> Written:
        tally = Tally()
        for entry in entries:
            tally.note(entry)
        ids = self._names.streams(tally.keys)
        self._names.runs(_heard(entries, tally), tally.before)
        fresh = self._fresh(entries, tally, ids)
        series = self._names.series(_entries(entry.rows for entry in fresh if entry.rows is not None))
        tables = {
            (ids[entry.key], entry.head.seq): _tables(ids[entry.key], entry.head.seq, entry.rows, series)
            for entry in fresh
            if entry.rows is not None
        }
        received = self._clock.wall_ns()
        records = sorted((_record(entry, ids[entry.key], received) for entry in fresh), key=_by_key)
        self._prepare([{RECORD: records}, *tables.values()])
        with transaction(self._db):
            stored = self._db.insert_records(records) if records else set()
            new = [entry for entry in fresh if (ids[entry.key], entry.head.seq) in stored]
            self._append([made for key, made in tables.items() if key in stored])
            self._db.append(UNREAD, _unread(new, batch.garbage, ids, received))
            self._learn_all(batch)
            tally = Tally()
            for entry in new:
                tally.note(entry)
            self._ledger.write(tally, ids)
            written = _count(new)
            upto = self._ledger.upto(sorted({ids[entry.key] for entry in entries}))
        written.upto = {entry.key: upto[ids[entry.key]] for entry in entries}
        written.duplicates = len(entries) - len(new)
        written.unread += len(batch.garbage)
        return written

    def _fresh(self, entries: Sequence[Entry], tally: Tally, ids: Mapping[StreamKey, int]) -> list[Entry]:
        """Without a lock: the primary key and the ledger decide in the end."""
        seen = {key: self._ledger.seen(ids[key], new) for key, new in tally.seen.items()}
        return [entry for entry in entries if entry.head.seq not in seen[entry.key]]

    def _prepare(self, made: Iterable[Mapping[Table, Sequence[Row]]]) -> None:
        now = self._clock.wall_ns()
        self._db.prepare([(table, some) for one in made for table, some in one.items()], now)

    def _append(self, made: Iterable[Mapping[Table, Sequence[Row]]]) -> None:
        together: dict[Table, list[Row]] = {}
        for one in made:
            for table, some in one.items():
                together.setdefault(table, []).extend(some)
        for table, some in together.items():
            self._db.append(table, some)

    def _learn_all(self, batch: Batch) -> None:
        for dict_hash, data in sorted(batch.dictionaries.items()):
            self._learn(dict_hash, data)
        received = self._db.moment(self._clock.wall_ns())
        for dict_hash, part, parts, data in sorted(batch.parts):
            self._db.execute(
                "INSERT INTO part (hash, part, parts, received, data) SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS "
                "(SELECT 1 FROM dictionary WHERE hash = ?) ON CONFLICT (hash, part) DO UPDATE "
                "SET parts = excluded.parts, received = excluded.received, data = excluded.data",
                dict_hash.hex(), part, parts, received, data, dict_hash.hex(),
            )  # fmt: skip

    def _learn(self, dict_hash: bytes, data: bytes) -> None:
        self._db.execute(
            "INSERT INTO dictionary (hash, received, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            dict_hash.hex(), self._db.moment(self._clock.wall_ns()), data,
        )  # fmt: skip


_LATEST_S = 9.2e9
"""Nanoseconds of it fit 64 bits."""


def _heard(entries: Iterable[Entry], tally: Tally) -> dict[Run, bool]:
    heard: dict[Run, bool] = dict.fromkeys(tally.before.values(), False)
    for site, agent, epoch, _ in tally.keys:
        heard.setdefault((site, agent, epoch), False)
    for entry in entries:
        run = entry.key[:3]
        heard[run] = heard.get(run, False) or not entry.backlog
    return heard


def _entries(made: Iterable[Rows]) -> dict[Series, PointEntry]:
    return {series: entry for one in made for series, entry in one.entries.items()}


def _tables(stream: int, seq: int, made: Rows, series: Mapping[Series, int]) -> dict[Table, list[Row]]:
    """The rows as the tables have them."""
    tables: dict[Table, list[Row]] = {}
    if made.samples:
        tables[SAMPLE] = [
            (t, value, seq, series[name], stream, row, t % 1000, quality, text)
            for row, (name, t, value, text, quality) in enumerate(made.samples)
        ]
    if made.summaries:
        tables[SUMMARY] = [
            (*columns[:-1], seq, series[name], stream, row, columns[-1])
            for row, (name, columns) in enumerate(made.summaries)
        ]
    for table, other in made.others:
        tables.setdefault(table, []).append(other)
    return tables


def _record(entry: Entry, stream: int, received: int) -> Row:
    t0 = entry.head.t0.wall_ns
    return t0, entry.head.seq, received, stream, entry.head.kind, t0 % 1000, entry.backlog


def _by_key(row: Row) -> tuple[object, ...]:
    return row[3], row[1]


def _unread(
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


def _count(entries: Sequence[Entry]) -> Written:
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


def _is_dictionary(dict_hash: str, data: bytes) -> bool:
    if dictionary.hash_of(data).hex() != dict_hash:
        return False
    try:
        dictionary.decode(data)
    except RecordError:
        return False
    return True


def _text(value: object) -> str | None:
    return rows.clean(value)[:256] if isinstance(value, str) else None
