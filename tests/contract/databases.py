"""A store on either database, and batches as a receiver makes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_agent.clock import FakeClock
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.door import Database
from edge_agent.receiver.database.entries import Batch, Entry, Garbage, Reader
from edge_agent.receiver.database.isolate import write_all
from edge_agent.receiver.database.postgresql import PostgresDatabase
from edge_agent.receiver.database.shape import Written
from edge_agent.receiver.database.sqlite import SqliteDatabase
from edge_agent.receiver.database.store import Store
from edge_agent.records.values import EncodedRecord
from tests.contract.agent_records import WALL
from tests.contract.postgres import Postgres

_SCHEMAS = itertools.count()
PRESS = Source("plant-a", "press")


def schema_name() -> str:
    return f"test_{next(_SCHEMAS)}"


def new_database(kind: str, directory: Path, server: Postgres | None, schema: str = "") -> Database:
    """An empty one, or with `schema` another connection to the one of that name."""
    if kind == "sqlite":
        return SqliteDatabase(directory / f"{schema or schema_name()}.db")
    assert server is not None
    return PostgresDatabase(server.url, schema or schema_name())


class Rig:
    """A receiver without a broker."""

    def __init__(self, database: Database) -> None:
        self.clock = FakeClock(wall_ns=WALL)
        self.database = database
        self.store = Store(database, self.clock)
        self.store.open()
        self.reader = Reader(self.store.dictionary)

    def batch(
        self, payloads: Iterable[tuple[str, bytes]], source: Source = PRESS, *, backlog: bool = False
    ) -> Batch:
        """Of (stream of the topic, payload)."""
        batch = Batch()
        for stream, payload in payloads:
            made = self.reader.read(source, payload, stream=stream, backlog=backlog)
            if isinstance(made, Entry):
                batch.entries.append(made)
            else:
                assert isinstance(made, Garbage)
                batch.garbage.append(made)
        self.reader.give_dictionaries(batch)
        return batch

    def write(
        self, records: Iterable[EncodedRecord], source: Source = PRESS, *, backlog: bool = False
    ) -> Written:
        pairs = [(record.stream, record.data) for record in records]
        return write_all(self.store, self.batch(pairs, source, backlog=backlog))

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        return self.database.rows(statement, *arguments)

    def one(self, statement: str, *arguments: object) -> Any:
        return self.rows(statement, *arguments)[0][0]
