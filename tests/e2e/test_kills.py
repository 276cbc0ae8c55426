"""Agents killed at random moments, also while they start, and the broker away now and then: at the receiver
every value is there exactly once, or lies in a gap that is declared and hardly longer than the pause.

The soak prints its figures; `EDGE_AGENT_SEED` repeats a run.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.fleet import Fleet, Member, wait
from tests.e2e.plant import COMMIT_S, WINDOW_S
from tests.e2e.verdict import together

pytestmark = pytest.mark.needs("mosquitto")


def live(member: Member, dice: random.Random) -> None:
    """A quarter of the lives ends while the agent starts."""
    reads = member.reads()
    member.start()
    if dice.random() < 0.25:
        time.sleep(dice.uniform(0.2, 1.0))
    else:
        wait(lambda: member.reads() > reads, what=f"{member.name} to read", every_s=0.02)
        time.sleep(dice.uniform(0.2, 3.0))


def survive(member: Member, kills: int, dice: random.Random) -> None:
    for _ in range(kills):
        live(member, dice)
        member.kill()
        time.sleep(dice.uniform(0.0, 0.4))
    member.start()
    time.sleep(3)


@contextmanager
def unreliable(fleet: Fleet, dice: random.Random) -> Iterator[None]:
    """The broker goes and comes. Stopped, not killed: a PUBACK of a killed broker proves nothing."""
    over = threading.Event()

    def trouble() -> None:
        while not over.wait(dice.uniform(2.0, 6.0)):
            fleet.broker.stop()
            over.wait(dice.uniform(0.2, 2.0))
            fleet.broker.start()

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill(folder, seed: int, kills: int, agents: int) -> None:
    began = time.monotonic()
    with Fleet(folder) as fleet:
        for number in range(agents):
            fleet.add(f"gateway{number}", seed=seed + number)
        with unreliable(fleet, random.Random(seed)):
            fleet.each(lambda member: survive(member, kills // agents, random.Random(f"{seed}{member.name}")))
        fleet.finish()
        members = list(fleet.members.values())
        verdict = together(member.verdict(fleet.ledger(member.name)) for member in members)
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {verdict.figures()}")
    assert not (faults := verdict.faults()), (len(faults), faults[:5])
    assert not verdict.losses
    assert verdict.served > 40 * kills
    assert verdict.excused <= 0.05 * verdict.served
    assert min(member.polls_made() for member in members) >= 0.7
    # A run that was killed before it had said that it observes is part of the pause before it.
    pauses = len(verdict.over["sample"])
    assert kills / 3 < pauses <= kills
    assert sum(verdict.over["sample"]) <= COMMIT_S * pauses
    assert sum(verdict.over["summary"]) <= (COMMIT_S + WINDOW_S) * pauses


@pytest.mark.timeout(300)
def test_every_value_is_there_once_or_declared_through_twenty_kills(tmp_path, seed) -> None:
    kill(tmp_path, seed, 20, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_value_is_there_once_or_declared_through_a_thousand_kills(tmp_path, seed) -> None:
    kill(tmp_path, seed, 1000, 4)
