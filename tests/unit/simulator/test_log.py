"""The log: what is written reads back, a torn end is no error, and the truth comes out of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import InputError
from edge_agent.model import AlarmDef, AlarmKind, Area, MonoNs, PointType, WallNs
from edge_agent.simulator import log, truth
from edge_agent.simulator.encode import encode
from edge_agent.simulator.log import Answer, Entry, Happened, Sample, Served, ServedLog
from edge_agent.simulator.signals import Constant, Event, Sum
from tests.unit.simulator.factory import START, device, point

times = st.integers(0, 2**63 - 1)
served_entries = st.builds(
    Served,
    t_wall=times.map(WallNs),
    t_mono=times.map(MonoNs),
    asked=times.map(MonoNs),
    unit=st.integers(1, 255),
    device=st.text(max_size=20),
    area=st.sampled_from([Area.HOLDING, Area.INPUT]),
    address=st.integers(0, 65535),
    count=st.integers(1, 125),
    words=st.binary(max_size=8).map(bytes.hex),
    answer=st.sampled_from(Answer),
    code=st.integers(0, 255),
    fault=st.sampled_from(["", "late"]),
)
happened_entries = st.builds(
    Happened, t_wall=times.map(WallNs), t_mono=times.map(MonoNs), event=st.text(min_size=1), detail=st.text()
)


def served(at: int, words: str, answer: Answer = Answer.VALUES, address: int = 100, unit: int = 2) -> Served:
    mono = MonoNs(at)
    return Served(
        t_wall=WallNs(at), t_mono=mono, asked=mono, unit=unit, device="press", area=Area.HOLDING,
        address=address, count=len(words) // 4, words=words, answer=answer,
    )  # fmt: skip


@given(st.one_of(served_entries, happened_entries))
def test_a_line_reads_back_as_the_entry(entry: Entry):
    line = log.line_of(entry)
    assert line.count("\n") == 1
    assert log.parse_line(line) == entry


def test_file_holds_every_entry_before_anybody_closes_it(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    entries = [served(n, f"{n:04x}") for n in range(5)]
    kept = ServedLog(path)
    for entry in entries:
        kept.add(entry)
    assert log.read(path) == entries == kept.served()
    kept.close()


def test_torn_last_line_is_left_out_and_torn_middle_is_refused(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    good = log.line_of(served(1, "0001"))
    path.write_text(good + good[:30])
    assert len(log.read(path)) == 1
    path.write_text(good + good[:30] + "\n" + good)
    with pytest.raises(InputError, match=r"log.jsonl:2"):
        log.read(path)


def test_full_disk_loses_lines_and_counts_them():
    kept = ServedLog(Path("/dev/full"))
    kept.add(served(1, "0001"))
    kept.close()
    assert kept.unwritten == 1
    assert len(kept.served()) == 1


def test_file_that_cannot_be_opened_is_an_input_error():
    with pytest.raises(InputError, match="cannot be written"):
        ServedLog(Path("/nonexistent/log"))


def test_memory_is_bounded_and_what_it_forgot_is_counted():
    kept = ServedLog(keep=3)
    for n in range(5):
        kept.add(served(n, "0001"))
    assert [entry.t_mono for entry in kept.served()] == [2, 3, 4]
    assert kept.forgotten == 2
    assert kept.answers[Answer.VALUES] == 5


def test_samples_of_a_point_are_those_a_correct_master_must_take():
    p = point(address=101, type=PointType.U32)
    entries: list[Entry] = [
        served(1, "000000010002"),
        served(2, "00010002"),  # half of it
        served(3, "000000050006", Answer.LATE),
        served(4, "", Answer.EXCEPTION),
        served(5, "00030004", address=101),
        served(6, "00030004", address=101, unit=3),
    ]
    assert [(s.t_mono, s.words) for s in log.samples(entries, p, 2)] == [(1, (1, 2)), (5, (3, 4))]
    late = frozenset({Answer.LATE})
    assert [s.words for s in log.samples(entries, p, 2, late)] == [(5, 6)]


def test_bits_of_a_served_block_are_found():
    entry = Served(
        t_wall=WallNs(1), t_mono=MonoNs(1), asked=MonoNs(1), unit=2, device="press", area=Area.COIL,
        address=3, count=10, words="0102", answer=Answer.VALUES,
    )  # fmt: skip
    coil = point(area=Area.COIL, address=12, type=PointType.BOOL)
    assert [sample.words for sample in log.samples([entry], coil, 2)] == [(1,)]


# --- truth ------------------------------------------------------------------------------------

PRESSURE = point("pressure", type=PointType.F32)


def values(*numbers: float) -> list[Sample]:
    return [Sample(MonoNs(n), WallNs(n), encode(PRESSURE, v), MonoNs(n)) for n, v in enumerate(numbers)]


def test_spell_above_ends_below_the_deadband():
    spells = truth.above(values(7, 8.5, 9, 7.9, 7.7, 7, 9), PRESSURE, limit=8.0, deadband=0.2)
    assert [(s.first, s.last, s.over) for s in spells] == [(1, 3, 4), (6, 6, None)]


def test_values_that_are_none_neither_begin_nor_end_a_spell():
    spells = truth.above(values(9, float("nan"), 9, 7), PRESSURE, limit=8.0)
    assert [(s.first, s.last, s.over) for s in spells] == [(0, 2, 3)]


def test_scripted_events_are_known_without_a_log():
    event = Event(add=3.0, every_s=10.0, lasts_s=2.0, first_s=1.0)
    machine = device((PRESSURE, Sum((Constant(5.0), event))))
    second = 1_000_000_000
    edges = truth.event_edges([machine], START, START, MonoNs(START + 12 * second))
    assert [((at - START) / second, edge) for at, edge, _ in edges] == [
        (1, "begin"),
        (3, "end"),
        (11, "begin"),
    ]


@given(st.lists(st.integers(0, 60_000), max_size=8).map(sorted))
def test_edges_told_piece_by_piece_are_those_told_at_once(cuts: list[int]):
    event = Event(add=3.0, every_s=7.0, lasts_s=2.0, first_s=0.5, jitter_s=4.0, seed=9)
    machines = [device((PRESSURE, event))]
    marks = [START, *(MonoNs(START + ms * 1_000_000) for ms in cuts), MonoNs(START + 60_000_000_000)]
    pieces = [edge for t0, t1 in pairwise(marks) for edge in truth.event_edges(machines, START, t0, t1)]
    assert pieces == truth.event_edges(machines, START, marks[0], marks[-1])


def alarm(kind: AlarmKind = AlarmKind.ABOVE, **keys: Any) -> AlarmDef:
    given: dict[str, Any] = {"low": 2.0, "high": 8.0, "deadband": 0.5}
    return AlarmDef(name="a", device="press", point="pressure", kind=kind, **(given | keys))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (alarm(), [(1, True), (4, False), (6, True)]),
        (alarm(on_delay_ns=1), [(2, True), (4, False), (7, True)]),
        (alarm(on_delay_ns=1, off_delay_ns=2), [(2, True)]),
        (alarm(AlarmKind.BELOW), [(5, True), (6, False)]),
        (alarm(AlarmKind.OUTSIDE), [(1, True), (4, False), (5, True)]),
        (alarm(AlarmKind.EQUALS, low=9.0), [(2, True), (3, False), (6, True)]),
    ],
)
def test_transitions_are_those_an_alarm_promises(made: AlarmDef, expected: list[tuple[int, bool]]):
    served_values = values(7, 8.5, 9, 7.9, 7.5, 1, 9, 9, 9)
    assert [(t.t_mono, t.active) for t in truth.transitions(served_values, PRESSURE, made)] == expected
