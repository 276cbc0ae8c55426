"""Which database `--to` names. Imports psycopg only when it is one of PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from edge_agent.receiver.database.door import Database, StoreError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def database(to: str, schema: str, period: str) -> Database:
    """StoreError with a hint where it is none, or cannot be used here. Opens nothing."""
    kind, _, rest = to.partition(":")
    if kind == "sqlite" and rest:
        from edge_agent.receiver.database.sqlite import SqliteDatabase

        return SqliteDatabase(Path(rest))
    if kind in ("postgresql", "postgres"):
        _check(to, schema)
        try:
            from edge_agent.receiver.database.postgresql import PostgresDatabase
        except ImportError as error:
            raise StoreError(
                f"PostgreSQL needs psycopg ({error})\n    hint: pip install 'edge-agent[receive]'"
            ) from error
        return PostgresDatabase(to, schema, period)
    raise StoreError(f"{to!r} is no database\n    hint: sqlite:FILE or postgresql://HOST/NAME")


def _check(url: str, schema: str) -> None:
    if not _SCHEMA.fullmatch(schema):
        raise StoreError(f"{schema!r} is no name of a schema\n    hint: lower-case letters, digits, '_'")
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
    except ValueError as error:
        raise StoreError(f"the url of the database: {error}\n    hint: postgresql://HOST/NAME") from error
    if parts.password or "password" in options:
        raise StoreError(
            "the url of the database holds a password, which every user of this machine could read\n"
            "    hint: put it into ~/.pgpass, or into a file that PGPASSFILE names"
        )
