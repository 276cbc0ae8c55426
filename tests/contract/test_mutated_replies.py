"""A reply may be damaged, cut, doubled, late or somebody else's: never is a value accepted that was not sent.

But for the damage that a CRC of 16 bits cannot notice, which is counted and held against its exact odds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, cycle
from math import comb
from random import Random

import pytest

from edge_agent import kernels
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.talker import Talk, Talker
from edge_agent.bus.outcomes import BadFrame, DeviceException, NoReply, Outcome, ReadRequest, Values
from edge_agent.bus.ports.port import open_port
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.clock import SystemClock
from edge_agent.model import NS, Area, MonoNs, SerialLink
from edge_agent.simulator.wire import is_rtu_frame, rtu_frame
from tests.contract.mutated_bus import MutatedBus
from tests.contract.mutating_slave import MutatingSlave
from tests.contract.mutations import Case, Mutation, flipped
from tests.contract.undetected import likely, passing

MS = 1_000_000
UNITS = (1, 2, 17, 130, 247)


def endure(seed: int, cases: int, compiled: pytest.MonkeyPatch | None = None) -> None:
    """Most cases flip bits, so that what passes is often enough to be held against its odds."""
    bus = MutatedBus(seed, 0.75, compiled)
    bus.run(cases)
    tally = bus.tally
    least, most = likely(tally.expected)
    print(f"{tally}; between {least} and {most} are likely")
    assert least <= tally.collisions <= most


def test_no_value_is_accepted_that_was_not_sent(seed) -> None:
    endure(seed, 20_000)


def test_the_compiled_loop_accepts_no_value_that_was_not_sent(seed, monkeypatch) -> None:
    endure(seed, 10_000, monkeypatch)


@pytest.mark.soak
def test_no_value_is_accepted_that_was_not_sent_in_a_million_replies(seed) -> None:
    endure(seed, 1_000_000)


@pytest.mark.soak
def test_the_compiled_loop_accepts_no_value_that_was_not_sent_in_many_replies(seed, monkeypatch) -> None:
    endure(seed, 200_000, monkeypatch)


# --- a real port, with and without the compiled loop -------------------------------------------------


def endure_on_a_port(seed: int, cases: int, talk: Talk | None) -> None:
    """Units in turn, so that silences and late windows of one are followed by requests to another; lengths
    in turn, so that no busy machine makes a late reply look like the one that is waited for."""
    clock, link = SystemClock(), SerialLink(path="", baud=115200)
    timing = replace(rtu_timing(link), chunk_gap_ns=6 * MS)
    pace = {"char_ns": timing.char_ns, "gap_ns": timing.chunk_gap_ns, "timeout_ns": 25 * MS}
    slave = MutatingSlave(seed, flips=0.3, **pace)
    line = SerialLine(
        lambda: open_port(replace(link, path=slave.path), clock),
        timing,
        clock,
        manners={unit: Manners(timeout=AdaptiveTimeout(25 * MS)) for unit in UNITS},
        talker=Talker(talk, timing) if talk else None,
    )
    line.open()
    dice, outcomes, expected, collisions = Random(seed), Counter[str](), 0.0, 0
    lengths = cycle(range(2, 124))
    try:
        while outcomes.total() < cases:
            plan = [
                ReadRequest(unit, unit, Area.HOLDING, dice.randrange(60_000), next(lengths), (0,))
                for unit in UNITS
            ]
            for request, done in zip(plan, line.run(plan, MonoNs(clock.mono_ns() + 60 * NS)), strict=True):
                outcomes[type(done.outcome).__name__] += 1
                case, mutation = slave.cases.get(expect(request).request, (None, None))
                if case is None or mutation is None:
                    assert isinstance(done.outcome, BadFrame), "the line was never silent: nothing was sent"
                    continue
                expected += mutation.passes
                collisions += judge(slave, case, mutation, done.outcome)
    finally:
        line.close()
        slave.close()
    least, most = likely(expected)
    print(f"{dict(outcomes)} for {dict(slave.kinds)}; {collisions} of {expected:.3f} collisions predicted")
    assert line.counts.opened == 1
    assert outcomes["Values"] and outcomes["BadFrame"]
    # One case in ninety is an exception: a short run may have none.
    assert cases < 1000 or outcomes["DeviceException"]
    assert least <= collisions <= most


def judge(slave: MutatingSlave, case: Case, mutation: Mutation, outcome: Outcome) -> bool:
    """Whether a damaged frame was accepted because its CRC is good."""
    where = f"{mutation.kind} {case.frame.hex()}: {outcome}"
    if isinstance(outcome, DeviceException):
        assert slave.said(rtu_frame(case.unit, bytes((case.function | 0x80, outcome.code)))), where
    if not isinstance(outcome, Values):
        assert isinstance(outcome, BadFrame | NoReply | DeviceException), where
        return False
    assert slave.said(rtu_frame(case.unit, case.header[1:] + outcome.data)), f"nobody said this: {where}"
    assert outcome.data == case.data or outcome.data not in slave.served, f"an old reply: {where}"
    return outcome.data != case.data


@pytest.fixture(params=["compiled", "python"])
def talk(request) -> Talk | None:
    return kernels.load("native").talk if request.param == "compiled" else None


def test_no_value_is_accepted_from_a_real_port_that_was_not_sent(seed, talk) -> None:
    endure_on_a_port(seed, 250, talk)


@pytest.mark.soak
def test_no_value_is_accepted_from_a_real_port_in_ten_thousand_replies(seed, talk) -> None:
    endure_on_a_port(seed, 10_000, talk)


# --- the odds themselves ----------------------------------------------------------------------------


@pytest.mark.parametrize("flips", [1, 2, 3, 4, 5])
def test_the_odds_are_those_of_counting_every_pattern(flips: int) -> None:
    frame = rtu_frame(1, bytes.fromhex("0302"))
    bits = 8 * len(frame)
    passed = sum(is_rtu_frame(flipped(frame, list(some))) for some in combinations(range(bits), flips))
    assert passed == round(passing(bits, flips) * comb(bits, flips))


def test_fewer_than_four_flipped_bits_pass_in_no_frame_and_an_odd_number_never() -> None:
    longest = 8 * 256
    assert not any(passing(longest, flips) for flips in (1, 2, 3, 5, 7, 9))
    assert passing(longest, 4) > 0
