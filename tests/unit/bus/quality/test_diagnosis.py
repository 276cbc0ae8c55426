"""What figures mean: each rule with the picture that calls for it and those that must not."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.bus.quality.diagnosis import RULES, diagnose
from edge_agent.bus.quality.figures import BusFigures, Recent, UnitFigures
from edge_agent.bus.quality.symptoms import Picture
from edge_agent.model import NS, MonoNs

NAMES = {1: "meter", 2: "press", 3: "pump", 4: "fan"}


def unit(requests: int = 100, **counts: int) -> UnitFigures:
    lost = sum(
        counts.get(cause, 0)
        for cause in ("exceptions", "no_reply", "crc", "short", "wrong_unit", "wrong_function", "garbage")
    )
    return UnitFigures(requests=requests, values=counts.pop("values", requests - lost), **counts)


def picture(*units: UnitFigures, bus: dict[str, int] | None = None, **more: Any) -> Picture:
    figures = BusFigures(units=dict(enumerate(units, 1)), **(bus or {}))
    return Picture(figures=figures, names=NAMES, char_ns=520_833, **more)


def found(picture: Picture) -> list[tuple[str, int | None]]:
    return [(hint.rule, hint.unit) for hint in diagnose(picture)]


FINE = unit()
DEAD = unit(12, no_reply=12)

PICTURES: dict[str, tuple[Picture, list[tuple[str, int | None]]]] = {
    "nothing asked yet": (picture(), []),
    "all in order": (picture(FINE, FINE, FINE), []),
    "one device, in order": (picture(FINE), []),
    "one bad frame in two minutes": (picture(unit(crc=1), FINE, FINE), []),
    "a device that says no": (picture(FINE, unit(exceptions=100)), []),
    "one device is dead": (picture(FINE, DEAD, FINE), [("one_silent", 2)]),
    "a dead one is asked too seldom to tell": (picture(FINE, unit(2, no_reply=2)), []),
    "all are dead": (picture(DEAD, DEAD, DEAD), [("all_silent", None)]),
    "the only one is dead": (picture(DEAD), [("all_silent", None)]),
    "all dead, but bytes are heard": (picture(DEAD, DEAD, bus={"out_of_turn_bytes": 9}), []),
    "damage from everywhere": (picture(unit(crc=2), unit(crc=1, short=1), FINE), [("termination", None)]),
    "damage on a line of one": (picture(unit(crc=4)), [("termination", None)]),
    "noise behind replies everywhere": (picture(unit(trailed=3), unit(trailed=2)), [("termination", None)]),
    "damage from one of three": (picture(unit(crc=4), FINE, FINE), [("one_poor", 1)]),
    "damage from one, one dead": (picture(unit(crc=4), FINE, DEAD), [("one_poor", 1), ("one_silent", 3)]),
    "noise before replies everywhere": (picture(unit(glitched=9), unit(glitched=7)), [("bias", None)]),
    "noise before the replies of one": (picture(unit(glitched=9), FINE, FINE), [("one_poor", 1)]),
    "damage from one, noise before another": (
        picture(unit(crc=10), unit(glitched=20), FINE),
        [("one_poor", 1), ("one_poor", 2)],
    ),
    "damage from one, noise before all": (
        picture(unit(crc=9, glitched=9), unit(glitched=9), unit(glitched=9)),
        [("bias", None), ("one_poor", 1)],
    ),
    "one answers twice": (picture(FINE, unit(doubled=3, trailed=1)), [("duplicate_unit_id", 2)]),
    "one is garbled and too long": (
        picture(FINE, unit(crc=40, garbage=20, overlong=30), FINE),
        [("duplicate_unit_id", 2)],
    ),
    "one is garbled, the others too": (
        picture(unit(crc=30), unit(crc=40, overlong=30), unit(crc=35)),
        [("termination", None)],
    ),
    "garbage only": (
        picture(unit(40, garbage=30, crc=10), unit(40, garbage=39, no_reply=1)),
        [("wrong_speed", None)],
    ),
    "garbage only, from one of two": (picture(unit(40, garbage=40), FINE), [("one_poor", 1)]),
    "garbage, but once a whole frame": (picture(unit(40, garbage=39, wrong_unit=1)), []),
    "another master": (
        picture(unit(crc=5), unit(crc=9), bus={"foreign_requests": 30, "foreign_replies": 28}),
        [("second_master", None)],
    ),
    "one stray frame": (picture(FINE, FINE, bus={"foreign_requests": 1}), []),
    "a slow device": (picture(FINE, unit(no_reply=30, late=28)), [("slow", 2)]),
    "late once": (picture(FINE, unit(no_reply=1, late=1)), []),
    "echo": (picture(unit(echoes=100), unit(echoes=99)), [("echo", None)]),
    "echo and noise": (
        picture(unit(echoes=100, glitched=20), unit(echoes=99, glitched=20)),
        [("echo", None), ("bias", None)],
    ),
    "a request came back once": (picture(unit(echoes=1), FINE), []),
    "a jammed line": (
        picture(unit(garbage=50), unit(garbage=60), bus={"out_of_turn_bytes": 100_000}),
        [("line_jammed", None)],
    ),
    "steps of 16 ms": (picture(FINE, on_grid=0.95), [("adapter_latency", None)]),
    "damage by TCP": (picture(unit(crc=9), unit(short=9), is_wire=False), []),
    "one dead by TCP": (picture(FINE, DEAD, is_wire=False), [("one_silent", 2)]),
    "few steps of 16 ms": (picture(FINE, on_grid=0.6), []),
}


@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_and_its_hints(case):
    looked_at, hints = PICTURES[case]
    assert found(looked_at) == hints


def test_every_rule_has_a_picture_that_calls_for_it():
    called = {rule for _, hints in PICTURES.values() for rule, _ in hints}
    assert called == {rule.name for rule in RULES}


def test_a_rule_hides_only_rules_below_it():
    order = [rule.name for rule in RULES]
    for place, rule in enumerate(RULES):
        assert set(rule.hides) <= set(order[place + 1 :])


def test_a_hint_says_what_was_seen_in_figures_and_what_to_do():
    (hint,) = diagnose(picture(FINE, unit(no_reply=30, late=28), timeouts_ms={2: 500.0}))
    assert hint.seen == "press (unit 2) answered 28 of 100 requests after its timeout of 500 ms"
    assert "timeout" in hint.do
    (hint,) = diagnose(picture(unit(crc=2), unit(crc=1, trailed=1)))
    assert hint.seen == "3 of 200 replies damaged, noise bytes behind 1 (meter, press)"


def test_second_replies_may_be_more_than_requests():
    (hint,) = diagnose(picture(FINE, unit(142, doubled=150, trailed=1)))
    assert hint.seen == "150 second replies of press (unit 2) in 142 requests"
    assert "device server" not in hint.do


def test_a_device_server_may_give_us_the_replies_to_another_program():
    (hint,) = diagnose(picture(FINE, unit(doubled=3, trailed=1), is_server=True))
    assert (hint.rule, hint.unit) == ("duplicate_unit_id", 2)
    assert "or another program uses the same device server" in hint.do
    assert "two devices may have this unit id" in hint.do


def test_many_devices_are_not_all_named():
    (hint,) = diagnose(picture(*[unit(crc=3)] * 9))
    assert hint.seen == "27 of 900 replies damaged (meter, press, pump, fan and 5 more)"


# --- the recent past ------------------------------------------------------------------------------


def grown(requests: int, crc: int = 0) -> BusFigures:
    return BusFigures(units={1: unit(requests, crc=crc)}, resyncs=crc)


def test_what_was_mended_is_forgotten_after_two_minutes():
    recent, crc = Recent(MonoNs(0)), 0
    seen = []
    for second in range(300):
        crc += second < 100
        figures, over_ns = recent.look(grown(second + 1, crc), MonoNs(second * NS))
        seen.append(figures.units[1].crc)
    assert max(seen) == 100
    assert seen[99] > 90
    assert seen[-1] == 0
    assert over_ns <= 121 * NS


def test_on_a_slow_bus_the_recent_past_is_longer():
    recent = Recent(MonoNs(0))
    for minute in range(200):
        figures, over_ns = recent.look(grown(minute + 1), MonoNs(minute * 60 * NS))
    assert figures.units[1].requests >= 40
    assert over_ns >= 40 * 60 * NS


def test_a_unit_that_appears_later_counts_from_nothing():
    recent = Recent(MonoNs(0))
    recent.look(grown(10), MonoNs(20 * NS))
    figures, _ = recent.look(BusFigures(units={1: unit(30), 2: unit(5)}), MonoNs(21 * NS))
    assert figures.units[2].requests == 5
