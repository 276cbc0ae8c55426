"""A checkpoint survives its bytes, and counts only while none of its windows was recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock import boot_id
from edge_agent.counters import Counters
from edge_agent.errors import RecordError
from edge_agent.model import NS, MonoNs, Quality, WallNs
from edge_agent.process.openwindows import OpenWindow, Snapshot, TakenUp
from edge_agent.process.results import Summary
from edge_agent.records import codec
from edge_agent.records.bodies import Summaries
from edge_agent.records.checkpoint import Checkpoint, Proof
from edge_agent.records.events import Start
from edge_agent.records.values import SAMPLE, SUMMARY, EncodedRecord, Item, Recovery, Stamp
from edge_agent.records.writer import RecordWriter
from tests.unit.process.sites import T0, point, site

ONE, TWO = b"epoch001", b"epoch002"
HOUR_NS = 3600 * NS
EMPTY = Snapshot(t0_ns=WallNs(0), t1_ns=WallNs(HOUR_NS), until_ns=WallNs(NS), rows=())

counts = st.integers(0, 2**63 - 1)
numbers = st.floats()
rows = st.builds(
    OpenWindow, key=st.binary(min_size=8, max_size=8), point=st.integers(0, 20_000), count=counts, bad=counts,
    missing=counts, worst=st.integers(0, 255), min=numbers, max=numbers, mean=numbers, m2=numbers,
    first=numbers, last=numbers,
)  # fmt: skip
walls = st.integers(-(2**62), 2**62)


@given(
    rows=st.lists(rows, max_size=5), t0=walls, length=st.integers(1, 2**61), until=walls, synced=st.booleans()
)
def test_it_comes_back_as_it_was(rows: list[OpenWindow], t0: int, length: int, until: int, synced: bool):
    snapshot = Snapshot(t0_ns=WallNs(t0), t1_ns=WallNs(t0 + length), until_ns=WallNs(until), rows=tuple(rows))
    made = Checkpoint.behind(ONE, 7, b"dictiona", snapshot, synced)
    assert repr(Checkpoint.decode(made.encode())) == repr(made)


def test_cut_anywhere_it_is_no_checkpoint_and_neither_is_one_of_a_later_version():
    row = OpenWindow(
        key=bytes(8), point=1, count=1, bad=0, missing=0, worst=0, min=1, max=1, mean=1, m2=0, first=1, last=1
    )
    data = Checkpoint.behind(ONE, 7, bytes(8), replace(EMPTY, rows=(row,)), True).encode()
    whole = len(Checkpoint.behind(ONE, 7, bytes(8), EMPTY, True).encode())
    for end in {*range(len(data))} - {whole}:
        with pytest.raises(RecordError):
            Checkpoint.decode(data[:end])
    with pytest.raises(RecordError):
        Checkpoint.decode(b"\x02" + data[1:])
    with pytest.raises(RecordError):
        Checkpoint.decode(replace_t1(data))


def replace_t1(data: bytes) -> bytes:
    """A window that ends when it begins."""
    return data[:19] + data[11:19] + data[27:]


@pytest.mark.parametrize(
    ("epoch", "last", "is_open"),
    [(ONE, 7, True), (ONE, 8, False), (ONE, 6, False), (ONE, 0, False), (TWO, 7, False), (b"", 0, False)],
)
def test_it_counts_only_behind_the_very_record_it_was_taken_behind(epoch: bytes, last: int, is_open: bool):
    made = Checkpoint.behind(ONE, 7, bytes(8), EMPTY, True)
    assert made.is_open_after(Recovery(epoch=epoch, last={SUMMARY: last})) is is_open


def test_handed_on_it_counts_before_and_after_the_start_of_the_run_that_found_it_and_no_longer():
    found = Checkpoint.behind(ONE, 7, bytes(8), EMPTY, True)
    handed = found.handed_on(Recovery(epoch=ONE, last={SUMMARY: 7}), TWO)
    assert handed.proofs == (Proof(ONE, 7, 7), Proof(TWO, 0, 1))
    known = [(ONE, 7), (TWO, 0), (TWO, 1), (ONE, 8), (TWO, 2)]
    assert [handed.is_open_after(Recovery(epoch=e, last={SUMMARY: n})) for e, n in known] == [
        True, True, True, False, False,
    ]  # fmt: skip


# --- what the records of the next run say ------------------------------------------------------------

WINDOW = site([point("p"), point("q", address=4)], window_ns=HOUR_NS)
BEGIN = WallNs(T0 - T0 % HOUR_NS)
NOW = Stamp(WallNs(BEGIN + HOUR_NS // 2), MonoNs(10 * NS), True)
FOUND = Checkpoint.behind(
    ONE, 7, b"olddict!",
    Snapshot(t0_ns=BEGIN, t1_ns=WallNs(BEGIN + HOUR_NS), until_ns=WallNs(NOW.wall_ns - 90 * NS), rows=()),
    synced=False,
)  # fmt: skip
BEFORE = Recovery(
    epoch=ONE, last={SUMMARY: 7, SAMPLE: 9}, certain={SUMMARY: BEGIN, SAMPLE: WallNs(NOW.wall_ns - 80 * NS)}
)
ROW = Summary(
    point=1, t0_ns=BEGIN, t1_ns=WallNs(BEGIN + HOUR_NS), count=3, bad=0, missing=0, min=1.0, max=2.0,
    mean=1.5, std=0.5, first=1.0, last=2.0, quality=Quality(0),
)  # fmt: skip


def writer() -> RecordWriter:
    return RecordWriter(WINDOW, TWO, boot_id=boot_id(), counters=Counters())


def records(items: list[Item]) -> list[EncodedRecord]:
    return [item for item in items if isinstance(item, EncodedRecord)]


def test_start_is_certain_up_to_the_checkpoint_and_the_first_until_claims_no_more_than_records_hold():
    items = records(writer().start(NOW, BEFORE, FOUND))
    _, start = codec.decode(items[0].data)
    assert isinstance(start, Start)
    assert start.previous.certain == {SUMMARY: FOUND.snapshot.until_ns, SAMPLE: BEFORE.certain[SAMPLE]}
    assert start.previous.certain_until == FOUND.snapshot.until_ns
    (opening,) = [item for item in items if item.stream == SUMMARY]
    assert opening.until_ns == BEGIN


def test_start_is_durable_before_it_is_sent():
    items = records(writer().start(NOW, BEFORE))
    assert items[0].durable_first and not items[1].durable_first


def test_a_window_that_had_to_be_dropped_leaves_start_as_it_would_be_without():
    _, start = codec.decode(records(writer().start(NOW, BEFORE, FOUND, complete=False))[0].data)
    assert isinstance(start, Start)
    assert start.previous.certain == BEFORE.certain


def test_only_the_last_record_of_windows_that_are_over_claims_to_be_complete_and_each_names_its_dictionary():
    made = writer()
    made.start(NOW, BEFORE, FOUND)
    items = records(made.ended(TakenUp(ended=(ROW,), foreign=(ROW,)), FOUND, NOW))
    assert [item.until_ns for item in items] == [BEGIN, NOW.wall_ns]
    assert [item.dict_hash for item in items] == [b"olddict!", made.dict_hash]
    heads = [codec.decode(item.data)[0] for item in items]
    assert [(head.epoch, head.seq, head.t0.wall_ns, head.t0.synced) for head in heads] == [
        (TWO, 2, BEGIN, False), (TWO, 3, BEGIN, False),
    ]  # fmt: skip
    (body,) = [codec.decode(item.data)[1] for item in items[1:]]
    assert isinstance(body, Summaries)
    assert (body.length_ns, body.counts, body.aliases) == (HOUR_NS, (3,), (1,))


def test_while_others_go_on_no_record_of_those_that_are_over_claims_their_time():
    made = writer()
    made.start(NOW, BEFORE, FOUND)
    items = records(made.ended(TakenUp(going_on=1, foreign=(ROW,)), FOUND, NOW))
    assert [item.until_ns for item in items] == [BEGIN]


@pytest.mark.parametrize(
    ("checkpoint_s", "found", "first"), [(60, False, True), (7200, False, False), (7200, True, True)]
)
def test_a_summary_is_durable_before_it_is_sent_where_a_checkpoint_may_hold_its_window(
    checkpoint_s: int, found: bool, first: bool
):
    keeping = replace(WINDOW, checkpoint_ns=checkpoint_s * NS)
    made = RecordWriter(keeping, TWO, boot_id=boot_id(), counters=Counters())
    made.start(NOW, BEFORE, FOUND if found else None)
    items = records(made.add([ROW], NOW))
    assert [(item.stream, item.durable_first, item.urgent) for item in items] == [(SUMMARY, first, first)]
