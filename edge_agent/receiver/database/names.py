"""Ids of streams and series, and which runs are counted from their first record.

Made in transactions of their own, before the batch that needs them: an id that nothing refers to is harmless,
while a lock on a new name held for a whole batch would make receivers wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.door import Database, transaction
from edge_agent.receiver.database.entries import StreamKey
from edge_agent.receiver.database.rows import Series, clean
from edge_agent.records.dictionary import PointEntry

_MAX_CACHED = 100_000
Run = tuple[str, str, str]
"""Site, agent, epoch in hex."""
Key = TypeVar("Key")


class Names:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._generation = -1
        self._streams: dict[StreamKey, int] = {}
        self._series: dict[Series, int] = {}
        self._runs: set[Run] = set()
        self._attended: dict[Source, str] = {}

    def refresh(self) -> None:
        """Forget what an earlier connection said: behind it may be another database by now."""
        if self._generation != self._db.generation:
            self._generation = self._db.generation
            for cache in (self._streams, self._series, self._runs, self._attended):
                cache.clear()

    def streams(self, wanted: Iterable[StreamKey]) -> Mapping[StreamKey, int]:
        """The id of each stream; new ones begin without anything seen."""
        unknown = sorted({key for key in wanted if key not in self._streams})
        if unknown:
            with transaction(self._db):
                made = {key: self._stream(key) for key in unknown}
            _remember(self._streams, made)
        return self._streams

    def series(self, wanted: Mapping[Series, PointEntry]) -> Mapping[Series, int]:
        unknown = sorted(key for key in wanted if key not in self._series)
        if unknown:
            with transaction(self._db):
                made = {key: self._one_series(key, wanted[key]) for key in unknown}
            _remember(self._series, made)
        return self._series

    def runs(self, heard: Mapping[Run, bool], before: Mapping[Run, Run], now_ns: int) -> None:
        """Runs by whether a live record of them is here, and the run before each that begins. One that begins
        while its agent is listened to is complete from seq 1, also if nothing of it ever came; any other
        counts from the lowest seq seen, until its START is here."""
        unknown = sorted(run for run in heard if run not in self._runs)
        moved = {
            Source(site, agent): epoch
            for (site, agent, epoch), live in heard.items()
            if live and self._attended.get(Source(site, agent)) != epoch
        }
        if unknown or moved:
            with transaction(self._db):
                for run in unknown:
                    after = {begun[2] for begun, previous in before.items() if previous == run}
                    self._db.execute(
                        "INSERT INTO run (site, agent, epoch, complete, heard_ns) VALUES (?, ?, ?, ?, ?) "
                        "ON CONFLICT DO NOTHING",
                        *run, self._is_complete(run, after, live=heard[run]), now_ns,
                    )  # fmt: skip
                for source, epoch in sorted(moved.items(), key=lambda item: (item[0].site, item[0].agent)):
                    self._attend(source, epoch)
            if len(self._runs) > _MAX_CACHED:
                self._runs.clear()
            self._runs.update(unknown)
            self._attended.update(moved)

    def _stream(self, key: StreamKey) -> int:
        self._db.execute(
            "INSERT INTO stream (site, agent, epoch, stream) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", *key
        )
        found = self._db.rows(
            "SELECT id FROM stream WHERE site = ? AND agent = ? AND epoch = ? AND stream = ?", *key
        )
        return int(found[0][0])

    def _one_series(self, key: Series, entry: PointEntry) -> int:
        self._db.execute(
            "INSERT INTO series (site, agent, device, point, unit, type, title) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (site, agent, device, point, unit) DO UPDATE SET type = excluded.type, "
            "title = excluded.title",
            *key, clean(entry.type), clean(entry.title),
        )  # fmt: skip
        found = self._db.rows(
            "SELECT id FROM series WHERE site = ? AND agent = ? AND device = ? AND point = ? AND unit = ?",
            *key,
        )
        return int(found[0][0])

    def _is_complete(self, run: Run, after: set[str], *, live: bool) -> bool:
        found = self._db.rows(
            "SELECT attended, attended_before FROM agent WHERE site = ? AND agent = ?", *run[:2]
        )
        attended, before = found[0] if found else ("", "")
        if live and attended not in ("", run[2]):
            return True
        return bool(after) and (before if attended in after else attended) != ""

    def _attend(self, source: Source, epoch: str) -> None:
        self._db.execute(
            "INSERT INTO agent (site, agent, attended) VALUES (?, ?, ?) ON CONFLICT (site, agent) "
            "DO UPDATE SET attended_before = agent.attended, attended = excluded.attended "
            "WHERE agent.attended <> excluded.attended",
            source.site, source.agent, epoch,
        )  # fmt: skip


def _remember(cache: dict[Key, int], made: Mapping[Key, int]) -> None:
    if len(cache) + len(made) > _MAX_CACHED:
        cache.clear()
    cache.update(made)
