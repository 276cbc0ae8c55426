"""What a receiver stores in a second: decoding, COPY, record keys, continuity and commit.

The messages are encoded beforehand; MQTT is left out. PostgreSQL and SQLite lie on the same disk and sync
each commit. The peer is what one writes first: each value an INSERT, each message a transaction, no account
of what is there. Two loads: one agent whose records hold a hundred values, and a hundred agents that send a
few values each, so that a batch of 500 messages touches a hundred streams.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns

from _common import ROOT, Row, publish, take_turns

from edge_agent.clock import SystemClock
from edge_agent.kernels import selftest
from edge_agent.model import NS
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.door import Database
from edge_agent.receiver.database.entries import Batch, Entry, Reader
from edge_agent.receiver.database.postgresql import PostgresDatabase
from edge_agent.receiver.database.sqlite import SqliteDatabase
from edge_agent.receiver.database.store import Store
from edge_agent.records import columns
from edge_agent.records.decode import Decoder, SampleRows

sys.path.insert(0, str(ROOT))
import psycopg

from tests.contract.agent_records import FakeAgent, sample, small_site
from tests.contract.postgres import Postgres, running

BATCH = 500
ROUNDS = 3
NAIVE = 0.02
"""Share of the messages that the peer gets: it would take minutes for all of them."""

Message = tuple[Source, str, bytes]
_NAIVE_TABLE = (
    "CREATE TABLE IF NOT EXISTS naive (site text, agent text, device text, point text, t timestamptz, "
    "value double precision, quality smallint, PRIMARY KEY (site, agent, device, point, t))"
)

_NAIVE_INSERT = "INSERT INTO naive VALUES (%s, %s, %s, %s, to_timestamp(%s), %s, %s) ON CONFLICT DO NOTHING"


def main() -> int:
    # As `edge-agent receive` does.
    columns.use(selftest.tested())
    loads = {
        "one agent, 100 values a record": _messages(1, 4000, 100),
        "100 agents, 5 values": _messages(100, 60, 5),
    }
    with running(durable=True) as server, tempfile.TemporaryDirectory(dir=ROOT) as directory:
        rows = [row for name, load in loads.items() for row in _load(name, load, server, Path(directory))]
    return publish("receiver", rows)


def _messages(agents: int, records: int, values: int) -> list[Message]:
    """Of all agents by turns, the dictionaries first."""
    made: list[list[Message]] = []
    for number in range(agents):
        agent = FakeAgent(small_site(*(f"p{n}" for n in range(values))), (number + 1).to_bytes(8))
        for second in range(records):
            agent.add(*(sample(second + n, second, n) for n in range(values)))
        source = Source("plant", f"agent-{number}")
        made.append([(source, record.stream, record.data) for record in agent.records])
    return [message for row in zip(*made, strict=True) for message in row]


def _load(name: str, messages: Sequence[Message], server: Postgres, directory: Path) -> list[Row]:
    numbers = iter(range(1000))
    values = sum(_values(messages))
    few = messages[-max(1, round(len(messages) * NAIVE)) :]
    births = [message for message in messages if message[1] == "event"]

    def stored(make: Callable[[int], Database]) -> float:
        return len(messages) / _seconds(lambda database: _store(database, messages), make(next(numbers)))

    figures = take_turns(
        {
            "postgresql": lambda: stored(lambda n: PostgresDatabase(server.url, f"bench_{n}")),
            "sqlite": lambda: stored(lambda n: SqliteDatabase(directory / f"bench_{n}.db")),
            "naive": lambda: len(few) / _naive(server, births, few),
        },
        ROUNDS,
    )
    best = {peer: sorted(some)[len(some) // 2] for peer, some in figures.items()}
    a_record = values / len(messages)
    return [
        Row(
            claim=f"receiver, {name}: records into {label}",
            value=best[database],
            unit="records/s",
            peers={"an INSERT per value": best["naive"]},
        )
        for database, label in (("postgresql", "PostgreSQL"), ("sqlite", "SQLite"))
    ] + [
        Row(
            claim=f"receiver, {name}: values into PostgreSQL",
            value=best["postgresql"] * a_record,
            unit="values/s",
            peers={"an INSERT per value": best["naive"] * a_record, "SQLite": best["sqlite"] * a_record},
        )
    ]


def _values(messages: Sequence[Message]) -> list[int]:
    decoder = Decoder()
    bodies = [decoder.decode(payload).body for _, _, payload in messages]
    return [len(body.rows) for body in bodies if isinstance(body, SampleRows)]


def _seconds(work: Callable[[Database], None], database: Database) -> float:
    database.open()
    start = perf_counter_ns()
    work(database)
    taken = perf_counter_ns() - start
    database.close()
    return taken / NS


def _store(database: Database, messages: Sequence[Message]) -> None:
    store = Store(database, SystemClock())
    reader = Reader(store.dictionary)
    for first in range(0, len(messages), BATCH):
        batch = Batch()
        for source, stream, payload in messages[first : first + BATCH]:
            entry = reader.read(source, payload, stream=stream, backlog=False)
            assert isinstance(entry, Entry)
            batch.entries.append(entry)
        reader.give_dictionaries(batch)
        store.write(batch)


def _naive(server: Postgres, births: Sequence[Message], messages: Sequence[Message]) -> float:
    decoder = Decoder()
    for _, _, payload in births:
        decoder.decode(payload)
    with psycopg.connect(server.url) as connection:
        connection.execute(_NAIVE_TABLE)
        connection.commit()
        start = perf_counter_ns()
        for source, _, payload in messages:
            body = decoder.decode(payload).body
            for row in body.rows if isinstance(body, SampleRows) else ():
                who = (source.site, source.agent, row.entry.device, row.entry.point)
                what = (row.wall_ns / NS, row.value, int(row.quality))
                connection.execute(_NAIVE_INSERT, (*who, *what))
            connection.commit()
        taken = perf_counter_ns() - start
        connection.execute("DROP TABLE naive")
    return taken / NS


if __name__ == "__main__":
    sys.exit(main())
