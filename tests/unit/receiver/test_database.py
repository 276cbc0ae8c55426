"""The pure parts behind `receive --to`: intervals, partitions, values, and which database is meant."""

from __future__ import annotations

import logging
import math
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.receiver.database import coverage, partitions, rows
from edge_agent.receiver.database.connect import database
from edge_agent.receiver.database.door import Refused, StoreError
from edge_agent.receiver.database.entries import Batch, Garbage
from edge_agent.receiver.database.isolate import write_all
from edge_agent.receiver.database.partitions import Partition
from edge_agent.receiver.database.shape import Written
from edge_agent.receiver.database.sqlite import SqliteDatabase

DAY_NS = 86_400 * 10**9
NOW = 20_000 * DAY_NS + 5  # 2024-10-04
SEQS = st.sets(st.integers(1, 60))


def _spans(numbers: set[int]) -> list[tuple[int, int]]:
    return list(coverage.intervals((n, n) for n in numbers))


@given(SEQS, SEQS.filter(bool))
def test_applying_a_change_gives_the_intervals_of_both(before: set[int], new: set[int]) -> None:
    known = _spans(before)
    change = coverage.change(known, coverage.intervals((n, n) for n in new))
    assert set(change.remove) <= set(known)
    after = (set(known) - set(change.remove)) | set(change.add)
    assert sorted(after) == _spans(before | new)


@given(SEQS, st.sets(st.integers(1, 3000)).filter(bool))
def test_everything_that_a_change_needs_lies_within_its_reaches(before: set[int], new: set[int]) -> None:
    known, added = _spans(before), coverage.intervals((n, n) for n in new)
    reaches = coverage.reaches(added)
    near = [span for span in known if any(span[0] <= high and span[1] >= low for low, high in reaches)]
    assert coverage.change(near + near, added) == coverage.change(known, added)


def test_records_that_are_far_apart_do_not_fetch_what_is_between() -> None:
    assert coverage.reaches(coverage.intervals([(1, 9), (1000, 1000)])) == [(0, 10), (999, 1001)]
    assert coverage.reaches(coverage.intervals((n, n) for n in range(1, 500, 2))) == [(0, 500)]


def test_a_record_more_at_the_end_changes_one_interval() -> None:
    change = coverage.change([(1, 5), (8, 9)], coverage.intervals([(6, 6)]))
    assert change == coverage.Change(((1, 5),), ((1, 6),))


@pytest.mark.parametrize(
    ("days", "made"),
    [(0, True), (-400, True), (-401, False), (2, True), (3, False), (-20_000, False), (80_000, False)],
)  # fmt: skip
def test_partitions_are_made_around_now(days: int, made: bool) -> None:
    assert bool(partitions.needed([NOW + days * DAY_NS], NOW, "day")) is made


def test_a_day_and_a_month_begin_at_midnight_utc() -> None:
    assert partitions.needed([NOW, NOW - 5], NOW, "day") == {
        Partition(date(2024, 10, 4), date(2024, 10, 5), "20241004")
    }
    assert partitions.needed([NOW, NOW - 6], NOW, "day") == {
        Partition(date(2024, 10, 4), date(2024, 10, 5), "20241004"),
        Partition(date(2024, 10, 3), date(2024, 10, 4), "20241003"),
    }
    assert partitions.needed([NOW, NOW - 60 * DAY_NS], NOW, "month") == {
        Partition(date(2024, 10, 1), date(2024, 11, 1), "202410"),
        Partition(date(2024, 8, 1), date(2024, 9, 1), "202408"),
    }


@given(st.one_of(st.none(), st.text(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats()))
def test_value_and_text_together_lose_nothing(value: int | float | str | None) -> None:
    number, text = rows.number_and_text(value)
    assert number is None or math.isfinite(number)
    if isinstance(value, str):
        assert number is None and text == value.replace("\0", "␀")
    elif value is None:
        assert (number, text) == (None, None)
    elif text is None:
        assert number == value
    else:
        exact = int(text) if isinstance(value, int) else float(text)
        assert exact == value or (math.isnan(exact) and math.isnan(value))


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("", "no database"), ("sqlite:", "no database"), ("mysql://x/y", "no database"),
        ("records.db", "no database"),
        ("postgresql://u:p@h/x", "holds a password"), ("postgresql://h/x?password=p", "holds a password"),
        ("postgresql://[h/x", "the url of the database"),
    ],
)  # fmt: skip
def test_what_is_no_database_is_said_with_a_hint(to: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        database(to, "edge_agent", "day")
    assert "hint: " in str(caught.value)


@pytest.mark.parametrize("schema", ["", "Upper", "a-b", 'x"; DROP', "1st", "x" * 64])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(StoreError, match="no name of a schema"):
        database("postgresql://h/x", schema, "day")


def test_psycopg_is_asked_for_where_it_is_needed_and_missing(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "edge_agent.receiver.database.postgresql", None)
    with pytest.raises(StoreError, match=r"hint: pip install 'edge-agent\[receive\]'"):
        database("postgresql://h/x", "edge_agent", "day")
    assert isinstance(database("sqlite:x.db", "edge_agent", "day"), SqliteDatabase)


# --- a batch that is refused --------------------------------------------------------------------------


class _Picky:
    """Refuses every batch that holds one of these payloads."""

    def __init__(self, *poison: bytes) -> None:
        self.poison = set(poison)
        self.stored: list[bytes] = []

    def write(self, batch: Batch) -> Written:
        payloads = [one.payload for one in batch.garbage]
        if self.poison & set(payloads):
            raise Refused("no")
        self.stored += payloads
        return Written(unread=len(payloads))


def test_a_refused_message_is_found_among_many_and_counted(caplog) -> None:
    from edge_agent.receiver.continuity import Source

    source = Source("plant", "one")
    store = _Picky(b"3", b"77")
    batch = Batch(garbage=[Garbage(source, str(n).encode(), "x") for n in range(100)])
    with caplog.at_level(logging.ERROR):
        written = write_all(store, batch)  # type: ignore[arg-type]
    assert (written.unread, written.dropped) == (98, 2)
    assert store.stored == [str(n).encode() for n in range(100) if n not in (3, 77)]
    assert len(caplog.records) == 2


# --- SQLite ---------------------------------------------------------------------------------------------


def test_a_file_of_something_else_is_never_written_to(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sample (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"something else\n.*hint: name another file"):
        SqliteDatabase(path).open()
    assert path.read_bytes() == before


def test_each_commit_of_sqlite_is_durable(tmp_path: Path) -> None:
    one = SqliteDatabase(tmp_path / "x.db")
    one.open()
    assert one.rows("PRAGMA synchronous") == [(2,)]
    assert one.rows("PRAGMA journal_mode") == [("wal",)]
    one.close()
