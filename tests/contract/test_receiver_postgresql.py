"""What only PostgreSQL has: partitions, the documented queries, receivers at once, and its ways to fail."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from edge_agent.model import NS
from edge_agent.receiver.database import partitions
from edge_agent.receiver.database.door import Away, Busy, Refused, StoreError
from edge_agent.receiver.database.isolate import write_all
from edge_agent.receiver.database.pgcopy import HEADER, TRAILER, Packer
from edge_agent.receiver.database.postgresql import PostgresDatabase
from edge_agent.receiver.database.tables import ALARM, FILLED, START, UNREAD, Of, Table
from edge_agent.records.values import EncodedRecord
from tests.conftest import ROOT
from tests.contract.agent_records import WALL, FakeAgent, alarm, sample, small_site, summary
from tests.contract.databases import PRESS, Rig, schema_name
from tests.contract.postgres import Postgres

pytestmark = pytest.mark.needs("postgresql")

A = b"\x01" * 8
DAY_S = 86_400
DOCUMENT = (ROOT / "docs" / "receiver.md").read_text()


@pytest.fixture
def schema() -> str:
    return schema_name()


@pytest.fixture
def rig(postgres: Postgres, schema: str) -> Iterator[Rig]:
    rig = Rig(PostgresDatabase(postgres.url, schema))
    yield rig
    rig.store.close()


def _agent(*seconds: float, epoch: bytes = A) -> FakeAgent:
    agent = FakeAgent(small_site("pressure"), epoch)
    for second in seconds:
        agent.add(sample(1, second), seconds=second)
    return agent


def _runs(*seconds: float) -> list[EncodedRecord]:
    """Of a run for each time, because a clock may lie before the one before."""
    runs = [_agent(second, epoch=bytes([0x10 + number]) * 8) for number, second in enumerate(seconds)]
    for run in runs:
        # A record waits for more rows of its time; the end of its run is the end of waiting.
        run.stop()
    return [record for run in runs for record in run.records]


def _partitions(rig: Rig, table: str = "sample_data") -> list[str]:
    statement = (
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = ?::regclass ORDER BY relname"
    )
    return [name for (name,) in rig.rows(statement, table)]


# --- partitions -----------------------------------------------------------------------------------


def test_a_day_has_a_partition_when_it_is_needed(rig: Rig) -> None:
    rig.write(_agent(0, DAY_S).records)
    assert _partitions(rig) == ["sample_data_20231114", "sample_data_20231115", "sample_data_other"]
    assert rig.one("SELECT COUNT(*) FROM sample_data_other") == 0


def test_months_can_be_chosen_and_stay_chosen(postgres: Postgres, schema: str) -> None:
    Rig(PostgresDatabase(postgres.url, schema, "month")).store.close()
    rig = Rig(PostgresDatabase(postgres.url, schema, "day"))
    rig.write(_runs(0, DAY_S, -20 * DAY_S))
    found = _partitions(rig)
    rig.store.close()
    assert found == ["sample_data_202310", "sample_data_202311", "sample_data_other"]


def test_years_that_a_wrong_clock_names_make_no_partitions(rig: Rig) -> None:
    years = [-53 * 365 * DAY_S, 80 * 365 * DAY_S, *(n * 365 * DAY_S for n in range(2, 30))]
    rig.write(_runs(0, *years))
    assert len(_partitions(rig)) == 2
    assert rig.one("SELECT COUNT(*) FROM sample_data_other") == len(years)
    assert rig.one("SELECT COUNT(*) FROM sample") == len(years) + 1


def test_values_of_a_clock_that_was_ahead_move_when_their_day_comes(rig: Rig) -> None:
    rig.write(_agent(10 * DAY_S).records)
    assert rig.one("SELECT COUNT(*) FROM sample_data_other") == 1
    rig.clock.step_wall(10 * DAY_S * NS)
    rig.write(_agent(10 * DAY_S + 1, epoch=b"\x02" * 8).records)
    assert rig.one("SELECT COUNT(*) FROM sample_data_other") == 0
    assert rig.one("SELECT COUNT(*) FROM sample_data_20231124") == 2


def test_what_is_old_is_dropped_by_partitions(rig: Rig) -> None:
    rig.write(_runs(-3000 * DAY_S, 0, DAY_S, 2 * DAY_S))
    # The first day of each of three tables; and what lies in their default partitions.
    assert rig.one("SELECT drop_before('2023-11-15 12:00+00')") == 3
    assert _partitions(rig) == ["sample_data_20231115", "sample_data_20231116", "sample_data_other"]
    assert rig.one("SELECT COUNT(*) FROM sample") == 2
    assert rig.write(_runs(-3000 * DAY_S, 0, DAY_S, 2 * DAY_S)).records == 0


def test_a_partition_that_was_dropped_under_a_running_receiver_loses_nothing(rig: Rig) -> None:
    rig.write(_agent(0).records)
    rig.rows("SELECT drop_before('2023-11-16 00:00+00')")
    rig.write(_agent(1, epoch=b"\x02" * 8).records)
    assert rig.one("SELECT COUNT(*) FROM sample") == 1


@pytest.mark.parametrize("period", partitions.PERIODS)
def test_partitions_touch_and_never_overlap(period: str) -> None:
    days = range(WALL // (DAY_S * NS) - 370, WALL // (DAY_S * NS))
    made = sorted(partitions.needed((day * DAY_S * NS for day in days), WALL, period))
    assert all(one.end == next_.first for one, next_ in pairwise(made))
    assert len({one.digits for one in made}) == len(made)


# --- COPY -----------------------------------------------------------------------------------------

_SAMPLES: dict[Of, list[Any]] = {
    Of.TIME: [1_700_000_000_123_456_789, 0, -(2**63), 2**63 - 1], Of.FLOAT: [0.1, -1e308, 5e-324],
    Of.INT8: [2**63 - 1, -(2**63)], Of.INT4: [2**31 - 1, 0], Of.INT2: [-(2**15), 5], Of.BOOL: [True, False],
    Of.TEXT: ["", "ü€␀", "a\tb\\N\n"], Of.JSON: ['{"a": 9223372036854775807}', "{}"],
    Of.BYTES: [b"", bytes(range(256))],
}  # fmt: skip


@pytest.mark.parametrize("table", FILLED, ids=lambda table: table.name)
def test_rows_are_copied_as_they_are(rig: Rig, table: Table, seed: int) -> None:
    """Against the server itself: every column of every table, with and without values."""
    import random

    rng = random.Random(seed)
    columns = ", ".join(f'"{name}"' for name in table.names)
    rig.database.execute(f"CREATE TABLE copied AS SELECT {columns} FROM {table.name} WITH NO DATA")
    given = [
        tuple(None if rng.random() < empty else rng.choice(_SAMPLES[kind]) for _, kind in table.columns)
        for empty in (0.0, 0.0, 0.3, 0.3, 1.0)
    ]
    with psycopg.connect(rig.database._url, autocommit=True) as connection:  # type: ignore[attr-defined]
        connection.execute(f"SET search_path = {rig.database._name}; SET TimeZone = 'UTC'".encode())  # type: ignore[attr-defined]
        with connection.cursor() as cursor, cursor.copy(b"COPY copied FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(HEADER + Packer(table).pack(given) + TRAILER)
        shown = ", ".join(_as_given(name, kind) for name, kind in table.columns)
        found = connection.execute(f"SELECT {shown} FROM copied".encode()).fetchall()
    assert found == [
        tuple(_expected(kind, value) for (_, kind), value in zip(table.columns, row, strict=True))
        for row in given
    ]


def _as_given(name: str, kind: Of) -> str:
    if kind is Of.TIME:
        return f'(extract(epoch from "{name}") * 1000000)::bigint'
    return f'"{name}"::text' if kind is Of.JSON else f'"{name}"'


def _expected(kind: Of, value: Any) -> Any:
    return value // 1000 if kind is Of.TIME and value is not None else value


# --- two receivers at once ------------------------------------------------------------------------


def test_two_receivers_with_the_same_records_at_the_same_time(
    postgres: Postgres, rig: Rig, schema: str
) -> None:
    """Whichever comes first: each record once, and both end."""
    agents = [_agent(*range(60), epoch=bytes([n]) * 8) for n in range(1, 5)]
    records = [record for agent in agents for record in agent.records]
    rigs = [rig, Rig(PostgresDatabase(postgres.url, schema))]
    failures: list[BaseException] = []

    def write(one: Rig, order: int) -> None:
        try:
            for place in range(0, len(records), 40):
                some = records[place : place + 40][::order]
                write_all(one.store, one.batch([(r.stream, r.data) for r in some]))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(rigs, (1, -1), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rigs[1].store.close()
    assert not failures
    # Read backwards, the first records came before their dictionary.
    rig.store.resolve(rig.reader)
    assert rig.one("SELECT COUNT(*) FROM record") == len(records)
    assert rig.one("SELECT COUNT(*) FROM sample") == 4 * 60
    assert rig.store.holes.missing(10) == []


def test_a_record_that_another_stored_after_we_looked_is_not_stored_again(
    postgres: Postgres, rig: Rig, schema: str
) -> None:
    records = _agent(*range(5)).records
    other = Rig(PostgresDatabase(postgres.url, schema))
    looked = rig.database.insert_records

    def late(rows: Any) -> Any:
        other.write(records)
        other.database.execute("DELETE FROM record_data")  # not even the key is there any more
        rig.database.insert_records = looked  # type: ignore[method-assign]
        return looked(rows)

    rig.database.insert_records = late  # type: ignore[method-assign]
    assert rig.write(records).records == 0
    assert rig.one("SELECT COUNT(*) FROM sample") == 5
    other.store.close()


def test_receivers_that_start_together_make_one_schema(postgres: Postgres, schema: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            Rig(PostgresDatabase(postgres.url, schema)).store.close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


# --- ways to fail ---------------------------------------------------------------------------------


def test_what_postgresql_refuses_is_kept_as_bytes_and_the_rest_is_stored(rig: Rig) -> None:
    """A rule that somebody added to the schema stands for what nobody has thought of."""
    rig.database.execute("ALTER TABLE sample_data ADD CONSTRAINT sane CHECK (value < 0.05)")
    agent = FakeAgent(small_site("pressure"), A)
    for number in range(8):
        agent.add(sample(number % 3 // 2, number))
    written = rig.write(agent.records)
    assert (written.records, written.unread) == (len(agent.records), 2)
    assert rig.one("SELECT COUNT(*) FROM sample") == 6
    assert {reason[:23] for (reason,) in rig.rows("SELECT reason FROM unread")} == {"refused by the database"}
    assert rig.store.holes.missing(10) == []


def test_a_waiting_record_that_postgresql_refuses_does_not_stop_the_others(rig: Rig) -> None:
    agent = FakeAgent(small_site("pressure"), A)
    for number in range(4):
        agent.add(sample(number, number))
    rig.write([record for record in agent.records if record.kind != 2])
    rig.database.execute("ALTER TABLE sample_data ADD CONSTRAINT sane CHECK (value < 0.25)")
    rig.write(agent.records)
    rig.store.resolve(rig.reader)
    assert rig.one("SELECT COUNT(*) FROM sample") == 3
    assert rig.one("SELECT COUNT(*) FROM unread WHERE dict IS NULL") == 1


@pytest.mark.parametrize(
    ("state", "kind"),
    [("53100", Away), ("57P01", Away), ("57P03", Away), ("08006", Away), ("25006", Away), ("40P01", Busy),
     ("55P03", Away), ("57014", Away), ("23514", Refused), ("22021", Refused), ("54000", Refused),
     ("42P01", StoreError)],
)  # fmt: skip
def test_errors_mean_what_is_to_be_done_about_them(rig: Rig, state: str, kind: type) -> None:
    """As the server raises them."""
    with pytest.raises(StoreError) as caught:
        rig.database.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
    assert type(caught.value) is kind
    if state == "53100":
        assert "hint: the disk of the database is full" in str(caught.value)


def test_a_schema_of_something_else_is_not_touched(postgres: Postgres, schema: str) -> None:
    postgres.rows(f"CREATE SCHEMA {schema}")
    postgres.rows(f"CREATE TABLE {schema}.sample (x integer)")
    with pytest.raises(StoreError, match=r"of something else\n.*hint: name another with --schema"):
        Rig(PostgresDatabase(postgres.url, schema))
    assert postgres.rows(f"SELECT COUNT(*) FROM {schema}.sample") == [(0,)]


def test_a_user_without_rights_is_told_so(postgres: Postgres, schema: str) -> None:
    postgres.rows(f"CREATE ROLE {schema} LOGIN")
    with pytest.raises(StoreError, match=r"permission denied.*\n.*hint: the user must be allowed"):
        Rig(PostgresDatabase(postgres.url.replace("postgres@", f"{schema}@"), schema))


def test_a_connection_that_is_cut_is_made_again_and_nothing_is_half_stored(
    postgres: Postgres, rig: Rig
) -> None:
    records = _agent(*range(5)).records
    append = rig.database.append

    def cut(table: Table, rows: Any) -> None:
        pid = rig.one("SELECT pg_backend_pid()")
        postgres.rows("SELECT pg_terminate_backend(%s)", pid)
        append(table, rows)

    rig.database.append = cut  # type: ignore[method-assign]
    with pytest.raises(Away):
        rig.write(records)
    rig.database.append = append  # type: ignore[method-assign]
    assert rig.write(records).records == len(records)


def test_a_receiver_that_hangs_in_a_transaction_holds_nobody_up_for_ever(rig: Rig) -> None:
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        assert rig.one(f"SHOW {setting}") not in ("0", ""), setting


def test_a_server_that_hangs_is_left_and_what_it_took_is_there_once(
    postgres: Postgres, schema: str, monkeypatch
) -> None:
    monkeypatch.setattr("edge_agent.receiver.database.postgresql.PATIENCE_S", 0.3)
    rig = Rig(PostgresDatabase(postgres.url, schema))
    records = _agent(*range(5)).records
    pid = rig.one("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Away):
            rig.write(records)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert rig.write(records).records == len(records)
    assert rig.one("SELECT COUNT(*) FROM sample") == 5
    rig.store.close()


# --- what is documented ---------------------------------------------------------------------------

_QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def _filled(query: str, schema: str) -> str:
    """With Grafana's macros replaced as Grafana does."""
    query = re.sub(r"\$__timeFilter\((\w+)\)",
                   r"\1 BETWEEN '2023-11-15T00:00:00Z' AND '2023-11-15T06:00:00Z'", query)  # fmt: skip
    query = re.sub(r"\$__timeGroup\((\w+), '1h'\)", r"floor(extract(epoch from \1) / 3600) * 3600", query)
    assert "$" not in query
    return query.replace("edge_agent.", f"{schema}.")


@pytest.fixture
def plant(rig: Rig) -> Rig:
    """Three days of twenty points, so that a plan that reads too much is worth avoiding."""
    agent = FakeAgent(small_site(*(f"p{n}" for n in range(19)), "pressure"), A)
    for day in range(3):
        agent.add(*(sample(7, day * DAY_S, point) for point in range(20)), seconds=day * DAY_S)
        agent.add(summary(5.0, day * DAY_S, 19), seconds=day * DAY_S)
    agent.add(alarm(True, 7200))
    rig.write(agent.records)
    for table, columns in (
        ("sample_data", "value, seq, series, stream, \"row\", ns, quality"),
        ("summary_data", "t1, count, bad, missing, min, max, mean, seq, series, stream, \"row\", quality"),
    ):  # fmt: skip
        t = "t" if table == "sample_data" else "t0"
        rig.database.execute(
            f"INSERT INTO {table} ({t}, {columns}) SELECT {t} + n * interval '20 s', {columns} FROM {table}, "
            "generate_series(1, 1000) n"
        )
    rig.database.execute("ANALYZE")
    return rig


def _scans(rig: Rig, query: str) -> list[tuple[str, str]]:
    """(kind of scan, table) of a plan."""
    found: list[tuple[str, str]] = []

    def walk(node: dict[str, Any]) -> None:
        if "Relation Name" in node:
            found.append((node["Node Type"], node["Relation Name"]))
        for child in node.get("Plans", ()):
            walk(child)

    plan = rig.one(f"EXPLAIN (FORMAT JSON) {query}")
    walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return found


def test_there_are_documented_queries() -> None:
    assert len(_QUERIES) >= 4


def test_a_documented_series_reads_its_days_by_their_index_only(plant: Rig, schema: str) -> None:
    query = _filled(_QUERIES[0], schema)
    rows = plant.rows(query)
    assert len(rows) > 500 and rows == sorted(rows)
    assert {table for _, table in _scans(plant, query)} == {"sample_data_20231115", "series"}
    assert not [scan for scan in _scans(plant, query) if scan == ("Seq Scan", "sample_data_20231115")]


def test_a_documented_long_range_reads_summaries_by_their_index_only(plant: Rig, schema: str) -> None:
    query = _filled(_QUERIES[1], schema)
    assert {(least, mean, most) for _, least, mean, most in plant.rows(query)} == {(4.0, 5.0, 6.0)}
    assert {table for _, table in _scans(plant, query)} == {"summary_data_20231115", "series"}


def test_documented_annotations_show_alarms_and_losses(plant: Rig, schema: str) -> None:
    query = _filled(_QUERIES[2], schema)
    assert [(text, tags) for _, text, tags in plant.rows(query)] == [("overpressure active", "alarm")]


def test_documented_completeness_has_a_row_for_each_agent(plant: Rig, schema: str) -> None:
    records = plant.one("SELECT COUNT(*) FROM record")
    assert plant.rows(_filled(_QUERIES[3], schema)) == [("plant-a", "press", records, 0)]


def test_holes_are_found_without_reading_what_is_settled(rig: Rig) -> None:
    rig.write(_agent(0).records)
    rig.database.execute(
        "INSERT INTO run SELECT 'plant-a', 'press', to_hex(n), true, 0 FROM generate_series(1, 20000) n"
    )
    rig.database.execute(
        "INSERT INTO stream (site, agent, epoch, stream, settled) "
        "SELECT site, agent, epoch, 'sample', true FROM run WHERE length(epoch) < 16"
    )
    rig.database.execute("INSERT INTO span SELECT id, false, 1, 5 FROM stream WHERE settled")
    rig.database.execute("ANALYZE")
    kinds = {
        kind for kind, table in _scans(rig, "SELECT * FROM missing") if table in ("stream", "span", "run")
    }
    assert "Seq Scan" not in kinds, kinds


def test_every_documented_table_has_its_documented_columns(rig: Rig) -> None:
    documented = {
        name: re.findall(r"`(\w+)`", columns)
        for name, columns in re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", DOCUMENT, re.MULTILINE)
    }
    assert len(documented) == 15
    for name, columns in documented.items():
        found = rig.rows("SELECT attname FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 "
                         "AND NOT attisdropped ORDER BY attnum", name)  # fmt: skip
        assert sorted(column for (column,) in found) == sorted(columns), name


def test_documented_rights_are_enough_to_read(postgres: Postgres, rig: Rig, schema: str) -> None:
    rig.write(_agent(0).records)
    postgres.rows(f"CREATE ROLE reader_{schema} LOGIN")
    for grant in re.findall(r"`(GRANT [^`]+)`", DOCUMENT):
        rig.database.execute(f"{grant.replace('edge_agent', schema)} TO reader_{schema}")
    url = postgres.url.replace("postgres@", f"reader_{schema}@")
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT t FROM {schema}.sample".encode()).fetchall()
    assert found == [(datetime.fromtimestamp(WALL // NS, UTC),)]


def test_documented_housekeeping_of_sqlite_works(tmp_path: Path) -> None:
    from edge_agent.receiver.database.sqlite import SqliteDatabase

    rig = Rig(SqliteDatabase(tmp_path / "x.db"))
    rig.write(_agent(0).records, PRESS)
    for statement in re.findall(r"^    (DELETE FROM .*);$", DOCUMENT, re.MULTILINE):
        rig.database.execute(statement)
    assert rig.one("SELECT COUNT(*) FROM sample") == rig.one("SELECT COUNT(*) FROM record") == 0
    rig.store.close()


def test_tables_of_text_are_packed_column_by_column() -> None:
    assert all(Packer(table)._whole is None for table in (ALARM, START, UNREAD))
