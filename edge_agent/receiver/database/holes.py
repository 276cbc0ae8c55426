"""What is missing, and which receiver asks for it."""

from __future__ import annotations

from edge_agent.clock import Clock
from edge_agent.receiver.continuity import Missing, Source
from edge_agent.receiver.database.door import Database, transaction
from edge_agent.receiver.database.names import Names
from edge_agent.receiver.fill import MAX_RECORDS


class Holes:
    def __init__(self, database: Database, names: Names, clock: Clock) -> None:
        self._db = database
        self._names = names
        self._clock = clock

    def missing(self, limit: int) -> list[Missing]:
        """Records that are neither here nor declared lost."""
        found = self._db.rows("SELECT site, agent, epoch, stream, first, last FROM missing LIMIT ?", limit)
        return [
            Missing(Source(site, agent), bytes.fromhex(epoch), stream, int(first), int(last))
            for site, agent, epoch, stream, first, last in found
        ]

    def askable(self, limit: int, pause_ns: int, most: int) -> list[Missing]:
        """What of `missing` may be asked for now: what was asked for in vain, or a moment ago, keeps nothing
        else out."""
        found = self._db.rows(
            "SELECT m.site, m.agent, m.epoch, m.stream, m.first, m.last FROM missing m "
            "LEFT JOIN asked a ON a.stream = m.id "
            "AND a.last = CASE WHEN m.last - m.first >= ? THEN m.first + ? ELSE m.last END "
            "WHERE a.tries IS NULL OR (a.tries < ? AND a.at_ns + ? * a.tries * a.tries < ?) LIMIT ?",
            MAX_RECORDS, MAX_RECORDS - 1, most, pause_ns, self._clock.wall_ns(), limit,
        )  # fmt: skip
        return [
            Missing(Source(site, agent), bytes.fromhex(epoch), stream, int(first), int(last))
            for site, agent, epoch, stream, first, last in found
        ]

    def count(self) -> int:
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
