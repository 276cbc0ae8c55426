"""Every state of what is remembered, with every configuration that may be there."""

from __future__ import annotations

import itertools

import pytest

from edge_agent.clock import UNKNOWN_BOOT
from edge_agent.daemon.safe_mode import (
    CRASHES,
    PROOF_NS,
    Cause,
    Circumstances,
    Decision,
    Memory,
    Proof,
    decide,
    proven,
)
from edge_agent.model import MonoNs

HERE = Circumstances("b" * 32, "1.0.0")
FILE, OTHER = "file", "other"


def remembered(crashes: int, identity: str = FILE, here: Circumstances = HERE) -> Memory:
    return Memory(identity, here, crashes)


# What is remembered -> crashes that count for FILE here.
MEMORIES = {
    "nothing": (None, 0),
    "one": (remembered(1), 1),
    "two": (remembered(2), 2),
    "three": (remembered(3), 3),
    "many": (remembered(99), 99),
    "of another file": (remembered(99, OTHER), 0),
    "of another boot": (remembered(99, here=Circumstances("c" * 32, "1.0.0")), 0),
    "of another version": (remembered(99, here=Circumstances("b" * 32, "0.9.0")), 0),
}
PRESENT = {"sound": FILE, "wrong": None}
GOOD = {"none": None, "the same": FILE, "another": OTHER}
EVERY = list(itertools.product(MEMORIES, PRESENT, GOOD))


@pytest.mark.parametrize(("state", "present", "good"), EVERY)
def test_what_runs_follows_from_what_is_remembered_and_what_is_there(state, present, good) -> None:
    memory, crashes = MEMORIES[state]
    decision = decide(memory, PRESENT[present], GOOD[good], HERE)
    if present == "wrong" and good == "none":
        assert decision is None
        return
    assert decision is not None
    if present == "wrong":
        assert (decision.cause, decision.runs_good) == (Cause.WRONG, True)
    elif crashes >= CRASHES:
        assert (decision.cause, decision.runs_good) == (Cause.CRASHES, good == "another")
    else:
        assert (decision.cause, decision.runs_good) == (Cause.NONE, False)


@pytest.mark.parametrize(("state", "present", "good"), EVERY)
def test_a_run_counts_as_crashed_from_before_it_begins(state, present, good) -> None:
    memory, _ = MEMORIES[state]
    decision = decide(memory, PRESENT[present], GOOD[good], HERE)
    if decision is not None:
        runs = PRESENT[present] or GOOD[good] or ""
        is_of_this = memory is not None and (memory.identity, memory.circumstances) == (runs, HERE)
        before = memory.crashes if memory is not None and is_of_this else 0
        assert decision.memory == remembered(before + 1, runs)


def test_the_third_crash_in_a_row_and_not_the_second_brings_the_last_good_one_back() -> None:
    memory, ran = None, []
    for _ in range(5):
        decision = decide(memory, FILE, OTHER, HERE)
        assert decision is not None
        ran.append(decision.runs_good)
        memory = decision.memory
    assert ran == [False, False, False, True, True]


@pytest.mark.parametrize("crashes", range(5))
def test_where_the_boot_is_not_known_nothing_is_counted(crashes) -> None:
    here = Circumstances(UNKNOWN_BOOT, "1.0.0")
    decision = decide(remembered(crashes, here=here), FILE, OTHER, here)
    assert decision is not None and decision.cause is Cause.NONE


def _decision(cause: Cause, *, runs_good: bool) -> Decision:
    return Decision(cause=cause, runs_good=runs_good, crashes=3, memory=remembered(4))


@pytest.mark.parametrize(
    ("cause", "runs_good", "kept"),
    [
        (Cause.NONE, False, False),
        (Cause.WRONG, True, False),
        (Cause.CRASHES, False, False),
        (Cause.CRASHES, True, True),
    ],
)
def test_proof_of_the_good_one_is_none_for_the_file_that_crashed(cause, runs_good, kept) -> None:
    decision = _decision(cause, runs_good=runs_good)
    assert proven(decision) == (decision.memory if kept else None)


def test_proof_takes_a_minute_of_health_without_a_break() -> None:
    proof = Proof()
    assert not proof.look(MonoNs(0), healthy=True)
    assert not proof.look(MonoNs(PROOF_NS - 1), healthy=True)
    assert not proof.look(MonoNs(PROOF_NS), healthy=False)
    assert not proof.look(MonoNs(PROOF_NS + 1), healthy=True)
    assert not proof.look(MonoNs(2 * PROOF_NS), healthy=True)
    assert proof.look(MonoNs(2 * PROOF_NS + 1), healthy=True)
