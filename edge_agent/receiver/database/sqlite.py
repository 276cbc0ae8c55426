"""The only door to SQLite: one file, one writer at a time, durable at each commit.

WAL with synchronous=FULL, because a message is acknowledged after the commit and its loss would be for good.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agent.receiver.database import schema
from edge_agent.receiver.database.door import Around, Away, StoreError
from edge_agent.receiver.database.tables import RECORD, Row, Table

_APPLICATION = 0x65613164
"""`ea1d` in the file's header: a database of something else is never written to."""
_WAIT_S = 5.0
"""For another program's write lock. Longer, and the broker would miss our pings."""
_AWAY = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_NOMEM: "no memory",
    sqlite3.SQLITE_BUSY: "another program holds it locked",
    sqlite3.SQLITE_LOCKED: "another program holds it locked",
}


_SPANS = """
SELECT first, last FROM span WHERE stream = ? AND seen = ? AND first <= ? AND last >= ? AND first >= COALESCE(
    (SELECT MAX(first) FROM span WHERE stream = ? AND seen = ? AND first <= ?), ?)
"""


class SqliteDatabase:
    def __init__(self, path: Path, steps: Sequence[schema.Step] | None = None) -> None:
        self.generation = 0
        self._path = path
        self._steps = schema.steps("sqlite") if steps is None else steps
        self._connection: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return f"sqlite:{self._path}"

    def open(self) -> None:
        if self._connection is None:
            with self._translated():
                connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
                self._connection = connection
                try:
                    self._set_up(connection)
                except BaseException:
                    self.close()
                    raise
            self.generation += 1

    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._open.execute(statement, arguments).fetchall()

    def execute(self, statement: str, *arguments: object) -> None:
        with self._translated():
            self._open.execute(statement, arguments)

    def many(self, statement: str, rows: Sequence[Row]) -> None:
        with self._translated():
            self._open.executemany(statement, rows)

    def spans(self, wanted: Sequence[Around]) -> list[tuple[int, bool, int, int]]:
        found = []
        for stream, seen, low, high in wanted:
            for first, last in self.rows(_SPANS, stream, seen, high, low, stream, seen, low, low):
                found.append((stream, seen, first, last))
        return found

    def moment(self, ns: int) -> object:
        return ns

    def append(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            names = ", ".join(f'"{name}"' for name in table.names)
            marks = ", ".join("?" * len(table.names))
            with self._translated():
                self._open.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)

    def insert_records(self, rows: Sequence[Row]) -> set[tuple[int, int]]:
        # The write lock is held since `begin`, but `Store` looked before it.
        stored: set[tuple[int, int]] = set()
        for row in rows:
            _, seq, _, stream, *_ = row
            there = self.rows(
                "SELECT 1 FROM span WHERE stream = ? AND seen AND first <= ? AND last >= ?", stream, seq, seq
            )
            if not there:
                self.append(RECORD, [row])
                stored.add((stream, seq))  # type: ignore[arg-type]
        return stored

    def lock_streams(self, ids: Sequence[int]) -> None:
        """The whole file is locked by `begin`."""

    def prepare(self, tables: Mapping[Table, Sequence[Row]], now_ns: int) -> None:
        """Nothing: SQLite has no partitions."""

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    # --- inside -------------------------------------------------------------------------------

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Away(f"{self} is closed")
        return self._connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != _APPLICATION and tables:
            raise StoreError(f"{self} is a database of something else\n    hint: name another file")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(self._steps):
            raise too_new(str(self), version, len(self._steps))
        for step in self._steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(self._steps)}")
        connection.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _AWAY:
                raise Away(f"{self}: {_AWAY[code]} ({error})") from error
            if code == sqlite3.SQLITE_NOTADB:
                raise StoreError(f"{self} is no database\n    hint: name another file") from error
            raise StoreError(f"{self}: {error}") from error


def too_new(name: str, version: int, ours: int) -> StoreError:
    return StoreError(
        f"{name} has schema version {version}, this edge-agent knows {ours}\n"
        "    hint: a later version of edge-agent wrote it; use that one"
    )
