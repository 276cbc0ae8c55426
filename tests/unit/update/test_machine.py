"""The phases of an update: what follows what, and that nothing is tried for ever."""

from __future__ import annotations

import pytest

from edge_agent.update import machine
from edge_agent.update.machine import ATTEMPTS, ENDS, TRANSITIONS, Event, Phase
from tests.unit.update.orders import order

WORKING = [phase for phase in Phase if phase not in ENDS]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_every_event_leads_on_or_is_impossible(phase: Phase, event: Event) -> None:
    update = order(phase=phase, attempts=2, notes=("waits",), reasons=("first",))
    if (phase, event) not in TRANSITIONS:
        with pytest.raises(KeyError):
            machine.moved(update, event)
        return
    moved = machine.moved(update, event, "second")
    assert moved.phase is TRANSITIONS[phase, event]
    assert (moved.attempts, moved.notes, moved.reasons) == (0, (), ("first", "second"))


@pytest.mark.parametrize("phase", WORKING)
def test_every_phase_may_fail_and_may_find_that_somebody_took_over(phase: Phase) -> None:
    assert {(phase, Event.BAD), (phase, Event.TAKEN_OVER)} <= TRANSITIONS.keys()
    assert TRANSITIONS[phase, Event.TAKEN_OVER] is Phase.FAILED


@pytest.mark.parametrize("phase", sorted(ENDS))
def test_nothing_follows_an_end(phase: Phase) -> None:
    assert not any(known is phase for known, _ in TRANSITIONS)
    assert order(phase=phase).ended


def test_nothing_is_put_back_before_anything_was_touched() -> None:
    assert TRANSITIONS[Phase.STAGED, Event.BAD] is Phase.FAILED


def test_the_new_version_is_only_kept_after_it_was_watched() -> None:
    assert [key for key, phase in TRANSITIONS.items() if phase is Phase.KEPT] == [
        (Phase.WATCHING, Event.HEALTHY)
    ]


@pytest.mark.parametrize("phase", WORKING)
def test_a_phase_that_is_always_interrupted_is_left_after_its_number_of_attempts(phase: Phase) -> None:
    update = order(phase=phase)
    for attempt in range(1, ATTEMPTS[phase] + 1):
        update = machine.begun_again(update)
        assert (update.phase, update.attempts) == (phase, attempt)
    update = machine.begun_again(update)
    assert update.phase is TRANSITIONS[phase, Event.BAD]
    assert "interrupted" in update.reasons[-1]
    assert update.attempts == (0 if update.ended else 1)


def test_every_update_ends_however_often_it_is_interrupted() -> None:
    update = order()
    for _ in range(sum(ATTEMPTS.values()) + 1):
        update = machine.begun_again(update)
        if update.ended:
            break
    assert update.phase is Phase.FAILED
