"""The oracle finds what is wrong: an honest world passes, and each planted fault is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edge_agent.model import NS
from tests.e2e import account
from tests.e2e.ledger import (
    Change,
    Gap,
    Key,
    Ledger,
    Start,
    Value,
    Window,
    count,
    of_objects,
    of_sqlite,
    stopped,
)
from tests.e2e.verdict import End, Life, Promise, Verdict

T0 = 1_700_000_000 * NS
POLL = NS // 10
COMMIT = NS // 2
N, FLOW = ("a", "n"), ("b", "flow")
PROMISE = Promise(commit_ns=COMMIT, window_ns=NS, slack_ns=NS // 10)


@dataclass
class World:
    """A counter read every 100 ms by an agent that lives thrice; the receiver was told honestly."""

    ends: tuple[End, ...] = (End.KILLED, End.CUT, End.STOPPED)
    lives: list[Life] = field(default_factory=list)
    samples: dict[Key, list[tuple[int, Any]]] = field(default_factory=lambda: {N: []})
    summaries: dict[Key, list[tuple[int, Any]]] = field(default_factory=lambda: {FLOW: []})
    pending: list[Gap] = field(default_factory=list)
    """What the next START declares."""
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        for number, end in enumerate(self.ends):
            self._live(T0 + number * 10 * NS, number, end)

    def _live(self, started: int, number: int, end: End) -> None:
        """8 s of life, the first half second to start, then 2 s of nobody."""
        begin, over = started + NS // 2, started + 8 * NS
        self.lives.append(Life(started, over, end))
        unsafe = {End.KILLED: 1, End.CUT: 2, End.STOPPED: 0}[end] * COMMIT
        certain, whole = over - unsafe, (over - unsafe) // NS * NS
        if number:
            before = f"epoch{number - 1}"
            self.ledger.gaps += [replace(gap, t1=begin) for gap in self.pending]
            assert {gap.epoch for gap in self.pending} == {before}
        self.ledger.starts.append(Start(f"epoch{number}", begin))
        for t in range(begin, over, POLL):
            count = t // POLL
            self.samples[N].append((t, count))
            self.summaries[FLOW].append((t, float(count)))
            if t < certain:
                self.ledger.values.append(Value(N, t + NS // 1000, count, "good"))
        for t0 in range(begin // NS * NS, (over if end is End.STOPPED else whole), NS):
            inside = [value for t, value in self.summaries[FLOW] if max(t0, begin) <= t < t0 + NS]
            self.ledger.windows.append(Window(FLOW, t0, t0 + NS, len(inside), 0, 0, min(inside), max(inside)))
        self.pending = [
            Gap(f"epoch{number}", "sample", certain, None, "interrupted", None),
            Gap(f"epoch{number}", "summary", whole, None, "interrupted", None),
        ]

    def judge(self, promise: Promise = PROMISE) -> Verdict:
        return account.judge(self.samples, self.summaries, self.ledger, self.lives, promise)


def test_an_honest_world_passes() -> None:
    world = World()
    verdict = world.judge()
    assert verdict.faults() == []
    assert verdict.served == 3 * 75 and verdict.in_gaps == 15 and verdict.stored == 210
    assert verdict.over["sample"] == [0.5, 1.0]
    assert "missing 0, doubled 0" in verdict.figures()


def a_value_is_missing(world: World) -> None:
    del world.ledger.values[20]


def a_value_is_there_twice(world: World) -> None:
    world.ledger.values.append(world.ledger.values[30])


def a_value_was_never_served(world: World) -> None:
    world.ledger.values[30] = replace(world.ledger.values[30], value=7)


def a_value_is_of_another_time(world: World) -> None:
    world.ledger.values[30] = replace(world.ledger.values[30], t=world.ledger.values[30].t + 2 * NS)


def a_value_beside_a_gap_is_missing(world: World) -> None:
    """The very last one before what is declared."""
    world.ledger.values.remove(max((v for v in world.ledger.values if v.t < T0 + 8 * NS), key=lambda v: v.t))


def a_point_is_not_known(world: World) -> None:
    world.ledger.values.append(Value(("a", "other"), T0 + NS, 1, "good"))


def a_pause_is_not_declared(world: World) -> None:
    world.ledger.gaps = [gap for gap in world.ledger.gaps if gap.epoch != "epoch0"]


def a_gap_begins_too_early(world: World) -> None:
    world.ledger.gaps[0] = replace(world.ledger.gaps[0], t0=T0 + 7 * NS)


def a_gap_is_of_no_pause(world: World) -> None:
    world.ledger.gaps.append(Gap("epoch1", "sample", T0 + 12 * NS, T0 + 13 * NS, "interrupted", None))


def a_gap_hides_a_whole_run(world: World) -> None:
    world.ledger.gaps[0] = replace(world.ledger.gaps[0], t1=T0 + 20 * NS + NS // 2)


def nothing_of_a_run_is_certain_although_it_ran_for_long(world: World) -> None:
    world.ledger.gaps[0] = replace(world.ledger.gaps[0], t0=None)


def a_record_is_missing(world: World) -> None:
    world.ledger.missing.append("alarm epoch0 3-3")


def a_window_is_missing(world: World) -> None:
    del world.ledger.windows[3]


def a_window_is_there_twice(world: World) -> None:
    world.ledger.windows.append(world.ledger.windows[3])


def a_window_counts_too_few(world: World) -> None:
    world.ledger.windows[3] = replace(world.ledger.windows[3], count=5)


def windows_in_a_row_count_too_few(world: World) -> None:
    for place in range(2, 7):
        one = world.ledger.windows[place]
        world.ledger.windows[place] = replace(one, count=one.count - 1)


def windows_in_a_row_count_too_many(world: World) -> None:
    for place in range(2, 7):
        one = world.ledger.windows[place]
        world.ledger.windows[place] = replace(one, count=one.count + 1)


def a_window_counts_too_many(world: World) -> None:
    world.ledger.windows[3] = replace(world.ledger.windows[3], count=14)


def a_window_holds_what_was_never_served(world: World) -> None:
    world.ledger.windows[3] = replace(world.ledger.windows[3], max=1e9)


@pytest.mark.parametrize(
    ("plant", "where"),
    [
        (a_value_is_missing, "lost"),
        (a_value_is_there_twice, "doubled"),
        (a_value_was_never_served, "foreign"),
        (a_value_is_of_another_time, "foreign"),
        (a_value_beside_a_gap_is_missing, "lost"),
        (a_point_is_not_known, "foreign"),
        (a_pause_is_not_declared, "lost"),
        (a_gap_begins_too_early, "wrong"),
        (a_gap_is_of_no_pause, "wrong"),
        (a_gap_hides_a_whole_run, "wrong"),
        (nothing_of_a_run_is_certain_although_it_ran_for_long, "wrong"),
        (a_record_is_missing, "lost"),
        (a_window_is_missing, "lost"),
        (a_window_is_there_twice, "doubled"),
        (a_window_counts_too_few, "lost"),
        (a_window_counts_too_many, "doubled"),
        (windows_in_a_row_count_too_few, "lost"),
        (windows_in_a_row_count_too_many, "doubled"),
        (a_window_holds_what_was_never_served, "foreign"),
    ],
)
def test_a_planted_fault_is_found(plant, where: str) -> None:
    world = World()
    plant(world)
    verdict = world.judge()
    assert getattr(verdict, where), verdict.figures()


def test_values_beyond_what_was_durable_are_neither_doubled_nor_foreign() -> None:
    """They were published before the power went: the receiver keeps them, the gap is declared anyway."""
    world = World()
    t, value = next((t, value) for t, value in world.samples[N] if t > T0 + 18 * NS - COMMIT)
    world.ledger.values.append(Value(N, t, value, "good"))
    verdict = world.judge()
    assert verdict.faults() == []
    assert verdict.in_gaps == 14


def test_what_the_agent_called_bad_is_excused_once() -> None:
    world = World()
    lost = [world.ledger.values.pop(20) for _ in range(2)]
    world.ledger.values.append(Value(N, lost[0].t, None, "no_reply"))
    verdict = world.judge()
    assert verdict.excused == 1 and len(verdict.lost) == 1


def test_a_reply_that_came_while_the_agent_stood_still_is_found_bad_afterwards() -> None:
    world = World()
    gone = world.ledger.values.pop(20)
    world.ledger.values.append(Value(N, gone.t + 3 * NS, None, "no_reply"))
    assert len(world.judge().lost) == 1
    world.lives[0] = replace(world.lives[0], still=((gone.t, gone.t + 3 * NS - NS // 100),))
    assert world.judge().faults() == []


def test_what_a_gap_record_declares_is_not_missing() -> None:
    world = World()
    gone = [value for value in world.ledger.values if T0 + 3 * NS <= value.t < T0 + 4 * NS]
    world.ledger.values = [value for value in world.ledger.values if value not in gone]
    assert len(world.judge().lost) == len(gone) == 10
    world.ledger.gaps.append(Gap("epoch0", "sample", gone[0].t, gone[-1].t, "corrupt", 1))
    verdict = world.judge()
    assert verdict.faults() == [] and verdict.losses == {"corrupt": 1}


@pytest.mark.parametrize(("observed", "faults"), [(0.0, 0), (0.3, 0), (1.4, 1)])
def test_a_life_too_short_to_leave_anything_lies_in_the_pause_of_the_one_before(observed, faults) -> None:
    """However long it took to start; but not when it has read for longer than a commit interval and more."""
    world = World()
    life = Life(T0 + 8 * NS + NS // 10, T0 + 9 * NS + 9 * NS // 10, End.KILLED)
    world.lives.insert(1, life)
    for t in range(life.ended - round(observed * NS), life.ended, POLL):
        world.samples[N].append((t, t))
    world.samples[N].sort()
    assert len(world.judge().wrong) == faults


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ([(1, True), (4, False)], 0),
        # A restart says it again, and between two polls nobody can know.
        ([(1, True), (2, True), (4, False)], 0),
        ([(1, True), (3, False), (4, False)], 1),
        ([(1, True)], 1),
        ([(0, True), (4, False)], 1),
        # Over before the next poll: what is true a moment later does not make it wrong.
        ([(3.95, True), (4, False)], 0),
    ],
)
def test_alarms_are_held_against_the_truth(told, faults: int) -> None:
    truth = [(T0 + NS, True), (T0 + 4 * NS, False)]
    changes = [Change("high", T0 + round(at * NS), active) for at, active in told]
    assert len(account.alarm_faults(truth, changes, "high")) == faults


# --- where a ledger comes from -------------------------------------------------------------------

OBJECTS: list[dict[str, Any]] = [
    {"kind": "start", "agent": "x", "epoch": "02", "t": 20.0},
    {"kind": "gap", "agent": "x", "lost_epoch": "01", "lost_stream": "sample", "t0": 9.5, "t1": 20.0,
     "reason": "interrupted", "count": None},
    {"kind": "gap", "agent": "x", "lost_epoch": "01", "lost_stream": "summary", "t0": 9.0, "t1": 20.0,
     "reason": "interrupted", "count": None},
    {"kind": "gap", "agent": "x", "lost_epoch": "01", "lost_stream": "sample", "t0": 1.0, "t1": 2.0,
     "reason": "corrupt", "count": 3},
    {"kind": "sample", "agent": "x", "device": "a", "point": "n", "t": 21.5, "value": 7, "quality": "good"},
    {"kind": "sample", "agent": "y", "device": "a", "point": "n", "t": 21.5, "value": 8, "quality": "good"},
    {"kind": "summary", "agent": "x", "device": "b", "point": "flow", "t0": 20.0, "t1": 21.0, "count": 5,
     "bad": 1, "missing": 2, "min": 1.0, "max": 2.0},
    {"kind": "alarm", "agent": "x", "name": "high", "t": 22.0, "state": "active"},
    {"kind": "missing", "agent": "x", "stream": "sample", "epoch": "01", "from": 2, "to": 2},
]  # fmt: skip

DATABASE = """
create table record(site, agent, epoch, stream, seq, kind, t0, backlog, received);
create table sample(site, agent, device, point, t, value, text, quality, epoch, seq, row);
create table summary(site, agent, device, point, t0, t1, count, bad, missing, min, max, mean, std, first,
                     last, quality, epoch, seq, row);
create table alarm(site, agent, name, device, point, t, state, value, severity, repeated, epoch, seq);
create table gap(site, agent, stream, gap_epoch, from_seq, to_seq, count, reason, t0, t1, epoch, seq);
create table stop(site, agent, epoch, t, reason, last);
create table start(site, agent, epoch, t, previous, clean, certain_until, certain, last);
insert into sample values ('s', 'x', 'a', 'n', 21500000000, 7, null, 'good', '02', 2, 0),
                          ('s', 'y', 'a', 'n', 21500000000, 8, null, 'good', '03', 2, 0);
insert into summary values ('s', 'x', 'b', 'flow', 20000000000, 21000000000, 5, 1, 2, 1.0, 2.0, 1.5, 0.5,
                            1.0, 2.0, 'good', '02', 1, 0);
insert into alarm values ('s', 'x', 'high', 'b', 'level', 22000000000, 'active', 11.0, 'critical', 0, '02',
                          1);
insert into stop values ('s', 'x', '02', 30000000000, 'stopped', '{}');
insert into gap values ('s', 'x', 'sample', '01', 3, 5, 3, 'corrupt', 1000000000, 2000000000, '02', 2);
"""


def test_a_ledger_is_the_same_from_objects_and_from_a_database(tmp_path) -> None:
    path = tmp_path / "received.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(DATABASE)
        records = [("01", "sample", seq) for seq in (1, 6, 7)] + [("02", "sample", 1), ("02", "sample", 2)]
        database.executemany("insert into record values ('s', 'x', ?, ?, ?, 3, 0, 0, 0)", records)
        certain, last = json.dumps({"sample": 95 * NS // 10, "summary": 9 * NS}), json.dumps({"sample": 6})
        database.execute(
            "insert into start values ('s', 'x', '02', ?, '01', 0, ?, ?, ?)", (20 * NS, 9 * NS, certain, last)
        )
    stored, printed = of_sqlite(path, "x"), of_objects(OBJECTS, "x")
    assert set(stored.gaps) == set(printed.gaps)
    for part in ("values", "windows", "changes", "starts"):
        assert getattr(stored, part) == getattr(printed, part)
    # 2 is in no GAP; 7 lies beyond what was durable and is kept.
    assert stored.missing == ["sample 01 1 from 2 on"]
    assert stored.beyond == 1
    assert count(path) == 5
    assert stopped(path, "02") and not stopped(path, "01")
    assert len(printed.missing) == 1
