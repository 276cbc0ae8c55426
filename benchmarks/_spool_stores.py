"""What is compared: the spool, and SQLite as a queue. Each stores records, commits, and lets go of what is
acknowledged, as an agent with a connection does."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edge_agent.counters import Counters
from edge_agent.model import MonoNs, WallNs
from edge_agent.records.values import EncodedRecord, Kind, Mark
from edge_agent.spool import Limits, Spool

PAYLOAD = 200
"""Bytes of a record; facts of other stores are known for this size."""
T0 = 1_700_000_000_000_000_000
_KINDS = {"sample": Kind.SAMPLES, "summary": Kind.SUMMARY, "alarm": Kind.ALARM, "event": Kind.GAP}


class Store(Protocol):
    def put(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Records of (class, bytes), durable on return."""

    def let_go(self) -> None:
        """Everything was acknowledged."""

    def second(self, records: Sequence[tuple[str, bytes]]) -> None:
        """What an agent does in a second with a connection, records or none."""

    def close(self) -> None: ...


class SpoolStore:
    def __init__(self, folder: Path, max_bytes: int = 32 << 20) -> None:
        self.epoch = secrets.token_bytes(8)
        limits = Limits(max_bytes=max_bytes, min_free_bytes=0)
        self.spool = Spool(folder / "spool", self.epoch, limits=limits, counters=Counters())
        self._seq: dict[str, int] = {}
        self._acked: dict[str, int] = {}

    def put(self, records: Sequence[tuple[str, bytes]]) -> None:
        self.spool.append([self._encoded(stream, data) for stream, data in records])
        self.spool.commit(MonoNs(0))

    def let_go(self) -> None:
        for stream, last in self._seq.items():
            self.spool.ack(stream, range(self._acked.get(stream, 0) + 1, last + 1))
            self._acked[stream] = last

    def second(self, records: Sequence[tuple[str, bytes]]) -> None:
        self.spool.append([Mark("sample", self.epoch, WallNs(T0))])
        self.put(records)
        self.let_go()

    def close(self) -> None:
        self.spool.close(MonoNs(0))

    def _encoded(self, stream: str, data: bytes) -> EncodedRecord:
        seq = self._seq[stream] = self._seq.get(stream, 0) + 1
        at = WallNs(T0 + seq)
        return EncodedRecord(
            stream=stream, seq=seq, epoch=self.epoch, kind=_KINDS[stream], dict_hash=b"", t0_ns=at,
            until_ns=at, data=data,
        )  # fmt: skip


class SqliteStore:
    """WAL, synchronous=FULL: the setting of SQLite that loses nothing at a power cut."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "queue.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE IF NOT EXISTS q(id INTEGER PRIMARY KEY, stream TEXT, data BLOB)")

    def put(self, records: Sequence[tuple[str, bytes]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO q(stream, data) VALUES (?, ?)", records)
        self._db.execute("COMMIT")

    def let_go(self) -> None:
        self._db.execute("DELETE FROM q")

    def second(self, records: Sequence[tuple[str, bytes]]) -> None:
        if records:
            self.put(records)
            self.let_go()

    def first(self) -> object:
        return self._db.execute("SELECT data FROM q ORDER BY id LIMIT 1").fetchone()

    def close(self) -> None:
        self._db.close()
