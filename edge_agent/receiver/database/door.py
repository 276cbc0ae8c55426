"""What a database must be able to do for the store, and how it can fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from edge_agent.errors import EdgeAgentError
from edge_agent.receiver.database.tables import Row, Table


class StoreError(EdgeAgentError):
    """The database cannot be used as it is: not ours, of a later version, not permitted."""


class Away(StoreError):
    """It cannot be reached or cannot write now; the same is to be tried again later."""


class Busy(StoreError):
    """Another receiver was in the way; the same is to be tried again at once."""


class Refused(StoreError):
    """It does not take these rows, and never will."""


Around = tuple[int, bool, int, int]
"""Stream, whether of what was seen or of what is accounted for, lowest and highest seq."""


class Database(Protocol):
    """Used by one thread. Statements have `?` for their arguments; times in arguments and results of
    `rows` are nanoseconds only where the column is an integer."""

    generation: int
    """Rises with each connection: what was remembered of the one before need not be true any more."""

    def open(self) -> None:
        """Connect if it is not, and bring the schema to this version."""

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None:
        """Raises nothing; a connection that is broken is closed."""

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]: ...
    def execute(self, statement: str, *arguments: object) -> None: ...
    def many(self, statement: str, rows: Sequence[Row]) -> None:
        """`execute` with each of `rows`, in one go."""

    def spans(self, wanted: Sequence[Around]) -> list[tuple[int, bool, int, int]]:
        """Intervals (stream, seen, first, last) that overlap one of `wanted`; perhaps a few more."""

    def moment(self, ns: int) -> object:
        """`ns` since 1970 as an argument for a column of times."""

    def append(self, table: Table, rows: Sequence[Row]) -> None: ...
    def insert_records(self, rows: Sequence[Row]) -> set[tuple[int, int]]:
        """Append to `record_data` what is not there; (stream, seq) of those."""

    def lock_streams(self, ids: Sequence[int]) -> None:
        """Nobody else changes their continuity before the transaction ends. `ids` rise."""

    def prepare(self, tables: Mapping[Table, Sequence[Row]], now_ns: int) -> None:
        """Before a transaction: make what these rows need to have a place."""

    def close(self) -> None: ...


@contextmanager
def transaction(database: Database) -> Iterator[None]:
    database.begin()
    try:
        yield
        database.commit()
    except BaseException:
        database.rollback()
        raise
