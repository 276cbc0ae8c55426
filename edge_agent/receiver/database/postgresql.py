"""The only door to psycopg: a schema of its own in a PostgreSQL database, partitioned by time.

Bounds on waiting: a server that hangs, and a receiver that is stopped in the middle of a transaction, hold
nobody up for longer than `_SESSION` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import conninfo

from edge_agent.receiver.database import partitions, schema
from edge_agent.receiver.database.door import Around, Away, StoreError
from edge_agent.receiver.database.partitions import Partition
from edge_agent.receiver.database.patience import Patience
from edge_agent.receiver.database.pgcopy import HEADER, TRAILER, Packer
from edge_agent.receiver.database.sqlite import too_new
from edge_agent.receiver.database.sqlstates import meaning
from edge_agent.receiver.database.tables import FILLED, PARTITIONED, RECORD, Row, Table

_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "edge-agent receive",
    "tcp_user_timeout": 20_000,
}
_SESSION = (
    "SET statement_timeout = '20s'; SET lock_timeout = '10s'; "
    "SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; "
    "SET TimeZone = 'UTC'; SET synchronous_commit = on"
)
PATIENCE_S = 40.0
"""More than the server takes to end a statement by itself."""
_MUCH_TO_MOVE = 15
"""Times as long for changes of the schema."""
_CHANGING = 0x65613164
"""Advisory lock under which the schema and its partitions are changed."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PostgresDatabase:
    def __init__(
        self,
        url: str,
        name: str = "edge_agent",
        period: str = "day",
        steps: Sequence[schema.Step] | None = None,
    ) -> None:
        self.generation = 0
        self._url = url
        self._name = name
        self._period = period
        self._steps = schema.steps("postgresql") if steps is None else steps
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._patience = Patience(PATIENCE_S)
        self._known: set[Partition] = set()
        self._packers = {table.name: Packer(table) for table in FILLED}

    def __str__(self) -> str:
        try:
            parts = conninfo.conninfo_to_dict(self._url)
        except psycopg.Error:
            return "postgresql"
        return f"postgresql://{parts.get('host', '')}/{parts.get('dbname', '')}"

    def open(self) -> None:
        if self._connection is not None and not self._connection.broken and not self._connection.closed:
            return
        self.close()
        self._patience = Patience(PATIENCE_S)
        with self._translated():
            # What the url says comes last, and so has the last word.
            given = conninfo.make_conninfo("", **_CONNECT | conninfo.conninfo_to_dict(self._url))
            self._connection = psycopg.connect(given, autocommit=True)
        try:
            with self._translated(_MUCH_TO_MOVE):
                self._connection.execute(_SESSION.encode())
                self._set_up(self._connection)
        except BaseException:
            self.close()
            raise
        self._known.clear()
        self.generation += 1

    def begin(self) -> None:
        self.execute("BEGIN")

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection is not None:
            try:
                self.execute("ROLLBACK")
            except StoreError:
                self.close()

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._open.execute(_percent(statement), arguments).fetchall()

    def execute(self, statement: str, *arguments: object) -> None:
        with self._translated():
            self._open.execute(_percent(statement), arguments)

    def many(self, statement: str, rows: Sequence[Row]) -> None:
        with self._translated(), self._open.cursor() as cursor:
            # psycopg sends them all before it reads the first answer.
            cursor.executemany(_percent(statement), rows)

    def spans(self, wanted: Sequence[Around]) -> list[tuple[int, bool, int, int]]:
        columns = (list(column) for column in zip(*wanted, strict=True))
        return [*self.rows(_SPANS, *columns)] if wanted else []

    def moment(self, ns: int) -> object:
        return _EPOCH + timedelta(microseconds=ns // 1000)

    def append(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._copy(table.name, table, rows)

    def insert_records(self, rows: Sequence[Row]) -> set[tuple[int, int]]:
        with self._translated():
            self._open.execute(_INCOMING)
        self._copy("incoming", RECORD, rows)
        # In the order of the key, so that two receivers with the same records cannot wait for each other.
        return {(stream, seq) for stream, seq in self.rows(_TAKE_INCOMING)}

    def lock_streams(self, ids: Sequence[int]) -> None:
        self.rows("SELECT id FROM stream WHERE id = ANY(?) ORDER BY id FOR UPDATE", list(ids))

    def prepare(self, tables: Mapping[Table, Sequence[Row]], now_ns: int) -> None:
        wanted: set[Partition] = set()
        for table, rows in tables.items():
            if table.time is not None:
                times = {row[table.time] for row in rows}
                wanted |= partitions.needed(times, now_ns, self._period)  # type: ignore[arg-type]
        for partition in sorted(wanted - self._known):
            with self._translated(_MUCH_TO_MOVE):
                self._make(self._open, partition)
            self._known.add(partition)

    def close(self) -> None:
        self._patience.close()
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    # --- inside -------------------------------------------------------------------------------

    @property
    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            raise Away(f"{self}: the connection was lost")
        return self._connection

    def _copy(self, name: str, table: Table, rows: Sequence[Row]) -> None:
        names = ", ".join(f'"{column}"' for column in table.names)
        statement = f"COPY {name} ({names}) FROM STDIN (FORMAT BINARY)"
        with self._translated(), self._open.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.write(HEADER + self._packers[table.name].pack(rows) + TRAILER)

    def _set_up(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Under a lock of its own: several receivers may start at once."""
        with connection.transaction():
            # A later version may have much to move.
            connection.execute(b"SET LOCAL statement_timeout = 0")
            connection.execute(b"SELECT pg_advisory_xact_lock(%s)", (_CHANGING,))
            known = connection.execute(
                b"SELECT oid, to_regclass(format('%%I.meta', nspname)) FROM pg_namespace WHERE nspname = %s",
                (self._name,),
            ).fetchone()
            if known is None:
                connection.execute(f'CREATE SCHEMA "{self._name}"'.encode())
            connection.execute(f'SET search_path = "{self._name}"'.encode())
            self._migrate(connection, is_new=known is None or known[1] is None)
        connection.execute(f'SET search_path = "{self._name}"'.encode())

    def _migrate(self, connection: psycopg.Connection[tuple[Any, ...]], *, is_new: bool) -> None:
        version = 0
        if not is_new:
            meta = dict(connection.execute(b"SELECT key, value FROM meta").fetchall())
            version, self._period = int(meta["version"]), meta["partition"]
        elif self._is_used(connection):
            raise StoreError(
                f'{self} has a schema "{self._name}" of something else\n    hint: name another with --schema'
            )
        if version > len(self._steps):
            raise too_new(str(self), version, len(self._steps))
        for step in self._steps[version:]:
            for statement in step:
                connection.execute(statement.encode())
        if version < len(self._steps):
            connection.execute(
                b"INSERT INTO meta VALUES ('version', %s), ('partition', %s) ON CONFLICT (key) "
                b"DO UPDATE SET value = excluded.value",
                (str(len(self._steps)), self._period),
            )

    def _is_used(self, connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
        found = connection.execute(
            b"SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s "
            b"LIMIT 1",
            (self._name,),
        )
        return found.fetchone() is not None

    def _make(self, connection: psycopg.Connection[tuple[Any, ...]], partition: Partition) -> None:
        """The partition in every partitioned table, where another receiver has not made it yet."""
        with connection.transaction():
            connection.execute(b"SELECT pg_advisory_xact_lock(%s)", (_CHANGING,))
            for table in PARTITIONED:
                found = connection.execute(
                    b"SELECT to_regclass(%s)", (partition.name(table.name),)
                ).fetchone()
                if found is None or found[0] is None:
                    for statement in partitions.statements(table, partition):
                        connection.execute(statement.encode())

    @contextmanager
    def _translated(self, times: int = 1) -> Iterator[None]:
        """Foreign errors become ours. `times` as long as usual is waited for them."""
        try:
            if self._connection is None:
                yield
            else:
                with self._patience.call(self._connection.fileno(), times):
                    yield
        except psycopg.Error as error:
            raise self._meaning(error) from error

    def _meaning(self, error: psycopg.Error) -> StoreError:
        is_lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        words = f"{self}: {str(error).strip() or type(error).__name__}"
        return meaning(error.sqlstate or ("08006" if is_lost else ""), words)


_SPANS = """
SELECT w.stream, w.seen, p.first, p.last
FROM unnest(?::integer[], ?::boolean[], ?::bigint[], ?::bigint[]) w (stream, seen, low, high)
CROSS JOIN LATERAL (
    SELECT s.first, s.last FROM span s
    WHERE s.stream = w.stream AND s.seen = w.seen AND s.first <= w.high AND s.last >= w.low
        AND s.first >= COALESCE((SELECT MAX(b.first) FROM span b
            WHERE b.stream = w.stream AND b.seen = w.seen AND b.first <= w.low), w.low)
) p
"""
_INCOMING = b"CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE record_data) ON COMMIT DELETE ROWS"
_TAKE_INCOMING = (
    "INSERT INTO record_data SELECT * FROM incoming ORDER BY stream, seq ON CONFLICT DO NOTHING "
    "RETURNING stream, seq"
)


def _percent(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
