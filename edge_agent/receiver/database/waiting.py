"""Records that wait for their dictionary, and dictionaries whose parts came to different receivers."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.clock import Clock
from edge_agent.errors import RecordError
from edge_agent.model import NS
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database import rows, shape
from edge_agent.receiver.database.door import Database, Refused, transaction
from edge_agent.receiver.database.entries import Part, Reader
from edge_agent.receiver.database.names import Names
from edge_agent.receiver.database.rows import Rows
from edge_agent.records import dictionary
from edge_agent.records.decode import Unresolved

_AT_ONCE = 256
_PARTS_KEPT_NS = 7 * 24 * 3600 * NS
"""Of dictionaries that never became whole."""

Ready = tuple[int, int, int, Rows]
"""Id in `unread`, stream, seq, rows."""
Unfit = tuple[int, str]
"""Id in `unread`, and why it makes no rows."""


class Waiting:
    def __init__(self, database: Database, names: Names, clock: Clock) -> None:
        self._db = database
        self._names = names
        self._clock = clock

    def dictionary(self, dict_hash: bytes) -> bytes | None:
        found = self._db.rows("SELECT data FROM dictionary WHERE hash = ?", dict_hash.hex())
        return bytes(found[0][0]) if found else None

    def learn(self, dict_hash: bytes, data: bytes) -> None:
        """Within a transaction."""
        self._db.execute(
            "INSERT INTO dictionary (hash, received, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            dict_hash.hex(), self._db.moment(self._clock.wall_ns()), data,
        )  # fmt: skip

    def keep(self, parts: Sequence[Part]) -> None:
        """Within a transaction."""
        received = self._db.moment(self._clock.wall_ns())
        for dict_hash, part, count, data in sorted(parts):
            self._db.execute(
                "INSERT INTO part (hash, part, parts, received, data) SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS "
                "(SELECT 1 FROM dictionary WHERE hash = ?) ON CONFLICT (hash, part) DO UPDATE "
                "SET parts = excluded.parts, received = excluded.received, data = excluded.data",
                dict_hash.hex(), part, count, received, data, dict_hash.hex(),
            )  # fmt: skip

    def resolve(self, reader: Reader) -> int:
        """Turn records whose dictionary is known by now into rows; how many there were."""
        self._assemble()
        ready, unfit = self._decode(reader)
        try:
            self._store(ready, unfit)
        except Refused:
            for one in ready:
                self._store_alone(one)
        return len(ready) + len(unfit)

    def _decode(self, reader: Reader) -> tuple[list[Ready], list[Unfit]]:
        found = self._db.rows(
            "SELECT u.id, u.site, u.agent, u.stream, u.seq, u.payload FROM unread u JOIN dictionary d "
            "ON d.hash = u.dict ORDER BY u.id LIMIT ?",
            _AT_ONCE,
        )  # fmt: skip
        ready: list[Ready] = []
        unfit: list[Unfit] = []
        reader.begin()
        for row_id, site, agent, stream, seq, payload in found:
            try:
                record = reader.decode(bytes(payload))
                made = rows.of(Source(site, agent), record)
                if made is not None and not isinstance(record.body, Unresolved):
                    ready.append((row_id, stream, seq, made))
            except RecordError as error:
                unfit.append((row_id, str(error)))
        return ready, unfit

    def _store_alone(self, one: Ready) -> None:
        try:
            self._store([one], [])
        except Refused as error:
            self._store([], [(one[0], f"refused by the database: {error}")])

    def _store(self, ready: Sequence[Ready], unfit: Sequence[Unfit]) -> None:
        if not ready and not unfit:
            return
        series = self._names.series(shape.points(made for *_, made in ready))
        made = {row_id: shape.tables(stream, seq, rows, series) for row_id, stream, seq, rows in ready}
        self._db.prepare(shape.together(made.values()), self._clock.wall_ns())
        with transaction(self._db):
            self._db.many(
                "UPDATE unread SET dict = NULL, reason = ? WHERE id = ?",
                [(rows.clean(reason), row_id) for row_id, reason in unfit],
            )
            # Whoever deletes the row has it; another receiver that saw it too finds nothing to delete.
            mine = [
                row_id
                for row_id in made
                if self._db.rows("DELETE FROM unread WHERE id = ? RETURNING id", row_id)
            ]
            for table, some in shape.together(made[row_id] for row_id in mine).items():
                self._db.append(table, some)

    def _assemble(self) -> None:
        oldest = self._db.moment(self._clock.wall_ns() - _PARTS_KEPT_NS)
        if self._db.rows("SELECT 1 FROM part WHERE received < ? LIMIT 1", oldest):
            self._db.execute("DELETE FROM part WHERE received < ?", oldest)
        whole = self._db.rows("SELECT hash FROM part GROUP BY hash, parts HAVING COUNT(*) = parts")
        for (dict_hash,) in whole:
            parts = self._db.rows("SELECT data FROM part WHERE hash = ? ORDER BY part", dict_hash)
            data = b"".join(bytes(part) for (part,) in parts)
            with transaction(self._db):
                if _is_dictionary(dict_hash, data):
                    self.learn(bytes.fromhex(dict_hash), data)
                self._db.execute("DELETE FROM part WHERE hash = ?", dict_hash)


def _is_dictionary(dict_hash: str, data: bytes) -> bool:
    if dictionary.hash_of(data).hex() != dict_hash:
        return False
    try:
        dictionary.decode(data)
    except RecordError:
        return False
    return True
