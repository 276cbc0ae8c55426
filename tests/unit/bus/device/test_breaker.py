"""A silent unit: every move of its breaker, and when and how long it is probed."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bus.device.breaker import JITTER, LAST_PROBE_NS, MOVES, Breaker, Event, State
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Values
from edge_agent.model import NS, MonoNs

GOOD = Values(b"\0\0", 1)
BUSY = DeviceException(6, 1)
NOBODY = DeviceException(11, 1)
SILENT = NoReply()
DAMAGED = BadFrame(BadCause.CRC, 9)

WAY = {State.POLLED: [], State.DOUBTED: [SILENT], State.SILENT: [SILENT] * 3}
"""How each state is reached."""


def breaker(outcomes=(), jitter=0.0):
    one = Breaker(lambda: jitter)
    for outcome in outcomes:
        one.note(outcome, MonoNs(0))
    return one


def test_the_table_knows_every_event_in_every_state():
    assert set(MOVES) == set(product(State, Event))


@pytest.mark.parametrize(
    ("state", "outcome", "after"),
    [
        (State.POLLED, GOOD, State.POLLED),
        (State.POLLED, BUSY, State.POLLED),
        (State.POLLED, DAMAGED, State.POLLED),
        (State.POLLED, SILENT, State.DOUBTED),
        (State.POLLED, NOBODY, State.DOUBTED),
        (State.DOUBTED, GOOD, State.POLLED),
        (State.DOUBTED, BUSY, State.POLLED),
        (State.DOUBTED, DAMAGED, State.POLLED),
        (State.DOUBTED, SILENT, State.DOUBTED),
        (State.SILENT, GOOD, State.POLLED),
        (State.SILENT, BUSY, State.POLLED),
        (State.SILENT, DAMAGED, State.SILENT),
        (State.SILENT, SILENT, State.SILENT),
        (State.SILENT, NOBODY, State.SILENT),
    ],
)
def test_every_outcome_in_every_state(state, outcome, after):
    one = breaker(WAY[state])
    assert one.state is state
    back = one.note(outcome, MonoNs(0))
    assert one.state is after
    assert back == (state is State.SILENT and after is State.POLLED)
    assert (one.probe_at is not None) is one.is_open is (after is State.SILENT)


@pytest.mark.parametrize(
    ("outcomes", "is_open"),
    [
        ([SILENT, SILENT], False),
        ([SILENT, SILENT, SILENT], True),
        ([SILENT, SILENT, GOOD, SILENT, SILENT], False),
        ([SILENT, SILENT, BUSY, SILENT, SILENT], False),
        ([DAMAGED] * 9, False),
        ([SILENT, SILENT, BadFrame(BadCause.SHORT, 3), SILENT], False),
        ([BadFrame(BadCause.GARBAGE, 1)] * 3, True),
        ([BadFrame(BadCause.GARBAGE, 9)] * 9, False),
        ([BadFrame(BadCause.WRONG_UNIT, 9)] * 3, True),
        ([BadFrame(BadCause.CRC, 256)] * 9, False),
        ([BadFrame(BadCause.CRC, 257)] * 3, True),
        ([DeviceException(10, 0)] * 3, True),
        ([NOBODY] * 3, True),
        ([DeviceException(code, 0) for code in (1, 2, 3, 4, 5, 6, 8)] * 3, False),
    ],
)
def test_it_opens_on_three_silent_polls_in_a_row(outcomes, is_open):
    assert breaker(outcomes).is_open is is_open


def test_pauses_double_up_to_eight_seconds():
    one, now, pauses = breaker(), MonoNs(0), []
    for _ in range(9):
        one.note(SILENT, now)
        if one.probe_at is not None:
            pauses.append((one.probe_at - now) // NS)
            now = one.probe_at
    assert pauses == [1, 2, 4, 8, 8, 8, 8]
    assert LAST_PROBE_NS == 8 * NS


def test_something_heard_shortens_the_pause_again():
    one = breaker([SILENT] * 6)
    one.note(DAMAGED, MonoNs(0))
    assert one.probe_at == NS


@given(st.integers(0, 1000))
def test_chance_shortens_a_pause_and_never_lengthens_it(seed):
    one, now = Breaker(Random(seed).random), MonoNs(0)
    for count in range(12):
        one.note(SILENT, now)
        if one.probe_at is not None:
            pause = min(1 << (count - 2), 8) * NS
            assert pause * (1 - JITTER) <= one.probe_at - now <= pause
            now = one.probe_at


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3))
def test_three_pauses_and_their_probes_take_less_than_half_a_minute(draws):
    assert sum(LAST_PROBE_NS * (1 - JITTER * draw) for draw in draws) <= 24 * NS


def test_every_third_probe_wants_the_whole_timeout():
    one, whole = breaker([SILENT] * 3), []
    for _ in range(9):
        whole.append(one.wants_whole)
        one.note(SILENT, MonoNs(0))
    assert whole == [False, False, True] * 3


def test_hasten_makes_the_next_probe_due_now_and_whole():
    one = breaker([SILENT] * 6)
    one.hasten(MonoNs(7))
    assert (one.probe_at, one.patience_ns, one.wants_whole) == (7, 0, True)
    one.note(SILENT, MonoNs(8))
    assert one.probe_at is not None
    assert one.probe_at > 8
    assert not one.hastened


@pytest.mark.parametrize("state", [State.POLLED, State.DOUBTED])
def test_hasten_changes_nothing_for_a_unit_that_is_polled(state):
    one = breaker(WAY[state])
    one.hasten(MonoNs(7))
    assert (one.state, one.probe_at, one.hastened) == (state, None, False)


def test_a_probe_waits_for_a_gap_half_as_long_as_its_pause_and_two_seconds_at_least():
    assert breaker([SILENT] * 3).patience_ns == 2 * NS
    assert breaker([SILENT] * 9).patience_ns == 4 * NS


def test_back_is_said_once():
    one = breaker()
    assert [one.note(outcome, MonoNs(0)) for outcome in [SILENT] * 3 + [GOOD, GOOD]] == [
        False, False, False, True, False,
    ]  # fmt: skip
