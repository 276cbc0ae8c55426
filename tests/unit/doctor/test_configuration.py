from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.access import Look, Node, User
from edge_agent.doctor.configuration import Load, Loaded, judge
from edge_agent.doctor.findings import State
from edge_agent.errors import Problem

FILE = "/etc/edge-agent/agent.toml"
SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990}), group="edge-agent")
GOOD = Loaded(path=FILE, is_default=True, buses=1, devices=3, points=60, profiles=("a/b (revision 1)",))


def look(uid=0, gid=990, mode=0o640, folder=0o755):
    nodes = (Node(path="/etc", uid=0, gid=0, mode=folder), Node(path=FILE, uid=uid, gid=gid, mode=mode))
    return Look(path=FILE, nodes=nodes)


def found(loaded=GOOD, at=None, user=SERVICE):
    return list(judge(loaded, at or look(), user))


def rights(at, user=SERVICE):
    return found(at=at, user=user)[-1]


def test_before_init_there_is_a_note_and_no_fault():
    (one,) = found(at=Look(path=FILE, is_missing=True))
    assert (one.state, one.remedy) == (State.NOTE, "$ sudo edge-agent init")


def test_a_file_that_was_named_and_is_not_there_is_a_fault():
    (one,) = found(replace(GOOD, is_default=False), Look(path=FILE, is_missing=True))
    assert one.state is State.FAULT


def test_a_file_the_caller_may_not_read_is_skipped_with_the_way_to_see_it():
    (one,) = found(at=Look(path=FILE, hidden_by=FILE))
    assert (one.state, one.remedy) == (State.SKIPPED, "$ sudo edge-agent doctor")


@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_first_three_problems_are_told_with_place_and_hint(count):
    problems = tuple(
        Problem(file=FILE, line=n, key=f"bus.b{n}", message="is wrong", value=str(n), hint=f"do {n}")
        for n in range(1, count + 1)
    )
    one = found(replace(GOOD, problems=problems))[0]
    assert one.state is State.FAULT
    assert one.seen.startswith("line 1: bus.b1: is wrong (got 1)")
    assert one.seen.count("is wrong") == min(count, 3)
    assert one.seen.endswith("; and 1 more") == (count > 3)
    assert "line 1: do 1" in one.remedy
    assert one.remedy.endswith(f"$ sudo edge-agent check {FILE}")


def test_a_flawed_file_still_has_rights():
    problem = Problem(file=FILE, line=0, key="", message="is empty")
    assert found(replace(GOOD, problems=(problem,)))[-1].subject.startswith("rights")


def test_a_line_that_is_asked_for_too_much_is_a_warning_with_advice():
    loads = (
        Load(bus="line1", load=0.5, max_load=0.9),
        Load(bus="line2", load=1.4, max_load=0.9, message="needs 140%", advice="poll meter slower"),
    )
    _, fine, much, _ = found(replace(GOOD, loads=loads))
    assert (fine.state, much.state, much.remedy) == (State.OK, State.WARNING, "poll meter slower")


def test_the_mode_that_init_writes_is_good():
    assert rights(look()).state is State.OK


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (look(mode=0o600), State.FAULT),  # The service cannot read it.
        (look(folder=0o700), State.FAULT),
        (look(mode=0o642), State.FAULT),  # Anybody can change what the agent does.
        (look(mode=0o660), State.WARNING),
        (look(uid=990, mode=0o640), State.WARNING),
        (look(mode=0o644), State.NOTE),
    ],
)
def test_rights_that_are_too_narrow_or_too_wide_have_a_remedy(at, state):
    one = rights(at)
    assert one.state is state
    assert f"$ sudo chown root:edge-agent {FILE}\n$ sudo chmod 640 {FILE}" in one.remedy


def test_without_a_service_a_file_of_ones_own_is_fine():
    me = User(name="me", uid=1000, gids=frozenset({1000}), is_service=False)
    assert rights(look(uid=1000, gid=1000, mode=0o664), me).state is State.OK
