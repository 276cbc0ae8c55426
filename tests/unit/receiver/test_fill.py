"""What is asked for with `dn/replay`, and when: scripts of virtual times."""

from __future__ import annotations

from edge_agent.model import NS, MonoNs
from edge_agent.receiver.continuity import Missing, Source
from edge_agent.receiver.fill import MAX_RECORDS, Filler, bounded

ONE, TWO = Source("plant", "one"), Source("plant", "two")
A = b"\x01" * 8


def _hole(first: int, last: int, source: Source = ONE) -> Missing:
    return Missing(source, A, "sample", first, last)


def _at(seconds: float) -> MonoNs:
    return MonoNs(round(seconds * NS))


def test_a_hole_is_asked_for_when_it_has_not_changed_for_the_time_given() -> None:
    filler = Filler(60 * NS)
    assert filler.due([_hole(5, 9)], _at(0)) == []
    assert filler.due([_hole(5, 9)], _at(59)) == []
    assert filler.due([_hole(5, 9)], _at(60)) == [_hole(5, 9)]


def test_a_hole_that_a_backlog_fills_is_not_asked_for() -> None:
    filler = Filler(60 * NS)
    for second in range(0, 600, 10):
        assert filler.due([_hole(1 + second, 1000)], _at(second)) == []
    assert filler.due([_hole(591, 1000)], _at(650)) == [_hole(591, 1000)]


def test_nothing_is_asked_while_the_agents_backlog_arrives() -> None:
    filler = Filler(60 * NS)
    filler.due([_hole(5, 9), _hole(5, 9, TWO)], _at(0))
    filler.heard(ONE, _at(50), backlog=True)
    filler.heard(TWO, _at(50), backlog=False)
    assert filler.due([_hole(5, 9), _hole(5, 9, TWO)], _at(100)) == [_hole(5, 9, TWO)]
    assert filler.due([_hole(5, 9)], _at(110)) == [_hole(5, 9)]


def test_an_agent_that_is_not_there_is_not_asked() -> None:
    filler = Filler(60 * NS)
    filler.due([_hole(5, 9)], _at(0))
    filler.status(ONE, online=False)
    assert filler.due([_hole(5, 9)], _at(100)) == []
    filler.heard(ONE, _at(101), backlog=False)
    assert filler.due([_hole(5, 9)], _at(102)) == [_hole(5, 9)]
    filler.status(ONE, online=False)
    filler.status(ONE, online=True)
    assert filler.due([_hole(5, 9)], _at(103)) == [_hole(5, 9)]


def test_a_hole_that_is_filled_is_forgotten() -> None:
    filler = Filler(60 * NS)
    filler.due([_hole(5, 9)], _at(0))
    filler.due([], _at(30))
    assert filler.due([_hole(5, 9)], _at(70)) == []


def test_requests_are_few_and_each_is_bounded() -> None:
    filler = Filler(60 * NS)
    agents = [Source("plant", f"agent-{number}") for number in range(10)]
    holes = [_hole(first, first, agent) for agent in agents for first in (1, 3, 5)]
    filler.due(holes, _at(0))
    assert filler.due(holes, _at(60)) == [_hole(1, 1, agent) for agent in agents[:4]]
    assert bounded(_hole(7, 2**62)) == _hole(7, 6 + MAX_RECORDS)
    assert bounded(_hole(7, 6 + MAX_RECORDS)) == _hole(7, 6 + MAX_RECORDS)
