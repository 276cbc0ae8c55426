"""Single reads of one unit: how often, and when no more."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Outcome, Values
from edge_agent.clock import FakeClock
from edge_agent.commissioning.asking_line import UnitReader
from edge_agent.commissioning.identify import Question
from edge_agent.model import Area

GOOD = Values(b"\0\1", 1)
GARBLED = BadFrame(next(iter(BadCause)), 3)


class Line:
    """Answers with these in turn, then with the last of them for ever."""

    fault = None

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes = list(outcomes)
        self.reads: list[int] = []

    def run(self, requests: Sequence[Any], _: int) -> list[Any]:
        self.reads.append(requests[0].address)
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        return [SimpleNamespace(outcome=outcome)]


def reader(line: Any) -> UnitReader:
    return UnitReader(line, 1, FakeClock())


def question(address: int) -> Question:
    return Question(Area.HOLDING, address, 1)


@pytest.mark.parametrize("first", [NoReply(), GARBLED])
def test_a_lost_or_garbled_frame_is_asked_for_once_more(first):
    line = Line([first, GOOD])
    assert reader(line)(question(5)) == b"\0\1"
    assert line.reads == [5, 5]


def test_a_refusal_is_an_answer_and_each_question_is_put_once():
    line = Line([DeviceException(2, 1)])
    ask = reader(line)
    assert ask(question(5)) is None and ask(question(5)) is None
    assert line.reads == [5]


def test_a_unit_is_given_up_after_three_values_in_a_row_without_a_word():
    line = Line([NoReply()])
    ask = reader(line)
    assert [ask(question(address)) for address in range(6)] == [None] * 6
    assert line.reads == [0, 0, 1, 1, 2, 2]


def test_a_word_in_between_begins_the_count_again():
    line = Line([NoReply()] * 4 + [DeviceException(2, 1)] + [NoReply()])
    ask = reader(line)
    for address in range(9):
        ask(question(address))
    assert line.reads == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5]
