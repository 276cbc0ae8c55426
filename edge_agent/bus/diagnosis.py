"""From what was counted on a bus to what a technician should look at.

Pure: figures of the recent past in, hints out. One rule per cause, each a row of `RULES`: what it is called,
what must have been seen, what to do, and which weaker explanations it makes superfluous. A rule says
what was seen in figures, so that a wrong guess can be recognised as one.

Thresholds: a line in order has no bad frame in a day; three in two minutes are no accident. A share is
only judged over a dozen requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edge_agent.bus.figures import BusFigures, UnitFigures

ENOUGH = 12
"""Requests below which no share is judged."""
FEW = 3
"""As often a thing must have been seen."""
POOR = 0.005
"""Share of damaged replies from which a line is called poor."""
FINE = 0.02
"""Share of damaged replies up to which a unit is not the one in question."""
BURST = 0.2
"""Share of damaged replies that no noise explains when all others are fine."""
JAMMED = 0.3
"""Share of the line's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A bus over the recent past."""

    figures: BusFigures
    names: Mapping[int, str]
    """Configured devices by unit id."""
    seconds: float = 120.0
    char_ns: int = 0
    """One character on the line; 0 where it has none."""
    timeouts_ms: Mapping[int, float] | None = None
    """Configured, by unit id."""
    p99_ms: Mapping[int, float] | None = None
    """Reply times, by unit id."""
    on_grid: float = 0.0
    """Share of replies handed over in steps of 16 ms."""

    @property
    def units(self) -> dict[int, UnitFigures]:
        """Those that were asked."""
        return {unit: one for unit, one in self.figures.units.items() if one.requests}

    @property
    def answering(self) -> dict[int, UnitFigures]:
        return {unit: one for unit, one in self.units.items() if one.good}

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.units.values())

    def total(self, what: Callable[[UnitFigures], int]) -> int:
        return sum(what(one) for one in self.units.values())

    def name(self, unit: int) -> str:
        return f"{self.names.get(unit, 'a device')} (unit {unit})"

    def names_of(self, units: list[int]) -> str:
        shown = ", ".join(self.names.get(unit, f"unit {unit}") for unit in units[:4])
        return shown + (f" and {len(units) - 4} more" if len(units) > 4 else "")


@dataclass(frozen=True, slots=True)
class Hint:
    rule: str
    unit: int | None
    """The unit in question; None: the bus."""
    seen: str
    do: str


Seen = Iterator[tuple[int | None, str]]
"""The unit in question, and what was seen."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    look: Callable[[Picture], Seen]
    do: str
    hides: tuple[str, ...] = ()
    """Rules whose hints are explained by this one."""


def diagnose(picture: Picture) -> list[Hint]:
    """The hints for a bus, the most telling first; none for a bus in order."""
    hints: list[Hint] = []
    hidden: set[str] = set()
    for rule in RULES:
        if rule.name in hidden:
            continue
        found = [Hint(rule.name, unit, seen, rule.do) for unit, seen in rule.look(picture)]
        if found:
            hints += found
            hidden.update(rule.hides)
    return hints


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _bad_share(unit: UnitFigures) -> float:
    return _share(unit.damaged, unit.requests)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- the rules ------------------------------------------------------------------------------------


def _jammed(p: Picture) -> Seen:
    spoken_ns = p.figures.out_of_turn_bytes * p.char_ns
    if p.seconds > 0 and spoken_ns > JAMMED * p.seconds * 1e9:
        share = spoken_ns / (p.seconds * 1e9)
        yield None, f"{p.figures.out_of_turn_bytes} bytes out of turn, {share:.0%} of the line's time"


def _second_master(p: Picture) -> Seen:
    asked, told = p.figures.foreign_requests, p.figures.foreign_replies
    if asked >= 2:
        answers = f" and {told} replies of units that are not ours" if told > 1 else ""
        yield None, f"{asked} requests heard that are not ours{answers}"


def _wrong_speed(p: Picture) -> Seen:
    bad = p.total(lambda one: one.damaged)
    framed = p.total(lambda one: one.wrong_unit + one.wrong_function + one.wrong_count + one.late)
    if p.requests >= ENOUGH and not p.answering and not framed and bad >= 0.5 * p.requests:
        yield None, f"garbage to {bad} of {p.requests} requests, and not one whole frame from any device"


def _silent_all(p: Picture) -> Seen:
    mute = [unit for unit, one in p.units.items() if one.no_reply == one.requests >= 2]
    if p.requests >= FEW and len(mute) == len(p.units) and not p.figures.out_of_turn_bytes:
        yield None, f"nothing heard at all: {p.requests} requests to {_times(len(mute), 'device')}"


def _duplicate(p: Picture) -> Seen:
    for unit, one in p.units.items():
        others = [other for number, other in p.units.items() if number != unit and other.good]
        fine = bool(others) and all(_bad_share(other) <= FINE for other in others)
        if one.doubled >= 2:
            yield unit, f"{p.name(unit)} answered twice to {one.doubled} of {one.requests} requests"
        elif fine and one.requests >= ENOUGH and one.overlong >= FEW and _bad_share(one) >= BURST:
            yield (
                unit,
                f"{one.damaged} of {one.requests} replies of {p.name(unit)} garbled,"
                f" {one.overlong} of them too long, while the others are fine",
            )


def _hit(p: Picture, count: Callable[[UnitFigures], int], share: float) -> list[int]:
    return [
        unit
        for unit, one in p.units.items()
        if count(one) and one.good + one.damaged and _share(count(one), one.requests) >= share
    ]


def _is_common(p: Picture, hit: list[int]) -> bool:
    """Whether so many units are hit that the cause is what they share: the line."""
    heard = [unit for unit, one in p.units.items() if one.good + one.damaged]
    return len(hit) >= max(2, (len(heard) + 1) // 2) or (len(heard) == len(hit) == 1)


def _bias(p: Picture) -> Seen:
    hit = _hit(p, _noise, POOR)
    glitched = p.total(_noise)
    if p.requests >= ENOUGH and glitched >= FEW and _is_common(p, hit):
        good = p.total(lambda one: one.good)
        yield None, f"noise bytes before {glitched} of {good} good replies ({p.names_of(hit)})"


def _termination(p: Picture) -> Seen:
    hit = _hit(p, _damage, POOR)
    bad, trailed = p.total(lambda one: one.damaged), p.total(lambda one: one.trailed)
    if p.requests >= ENOUGH and p.answering and bad + trailed >= FEW and _is_common(p, hit):
        behind = f", noise bytes behind {trailed}" if trailed else ""
        yield None, f"{bad} of {p.requests} replies damaged{behind} ({p.names_of(hit)})"


def _one_poor(p: Picture) -> Seen:
    """What hits many units is said of the line, above; what is left is a unit's own."""
    own: dict[int, list[str]] = {}
    bad: dict[int, int] = {}
    for count, words in ((_damage, "damaged"), (_noise, "with noise bytes before them")):
        hit = _hit(p, count, POOR)
        for unit in () if _is_common(p, hit) else hit:
            own.setdefault(unit, []).append(f"{count(p.units[unit])} {words}")
            bad[unit] = bad.get(unit, 0) + count(p.units[unit])
    for unit, said in own.items():
        requests = p.units[unit].requests
        if bad[unit] >= FEW and requests >= ENOUGH:
            yield unit, f"of {requests} replies of {p.name(unit)} {', '.join(said)}; most others are fine"


def _damage(one: UnitFigures) -> int:
    """Replies that are not as they were sent, or have something behind them."""
    return one.damaged + one.trailed


def _noise(one: UnitFigures) -> int:
    return one.glitched


def _slow(p: Picture) -> Seen:
    for unit, one in p.units.items():
        if one.late >= 2 and one.no_reply >= 2 and one.late >= 0.05 * one.requests:
            timeout = (p.timeouts_ms or {}).get(unit)
            after = f" of {timeout:.0f} ms" if timeout else ""
            yield (
                unit,
                f"{p.name(unit)} answered {one.late} of {one.requests} requests after its timeout{after}",
            )


def _echo(p: Picture) -> Seen:
    echoes = p.total(lambda one: one.echoes)
    if p.requests >= ENOUGH and echoes >= 0.9 * p.requests:
        yield None, f"{echoes} of {p.requests} requests came back"


def _adapter_latency(p: Picture) -> Seen:
    if p.on_grid >= 0.9:
        yield None, f"{p.on_grid:.0%} of the replies were handed over in steps of 16 ms"


def _silent_one(p: Picture) -> Seen:
    good = sorted(p.answering)
    for unit, one in p.units.items():
        if good and one.requests >= FEW and one.no_reply == one.requests and not one.late:
            yield unit, f"nothing heard from {p.name(unit)}, while {_times(len(good), 'other')} answer"


RULES: tuple[Rule, ...] = (
    Rule(
        "line_jammed",
        _jammed,
        "somebody does not let go of the line: unplug one device after the other until it is silent",
        hides=(
            "second_master",
            "wrong_speed",
            "duplicate_unit_id",
            "bias",
            "termination",
            "one_poor",
            "slow",
        ),
    ),
    Rule(
        "second_master",
        _second_master,
        "a line has one master: find the other (PLC, display, another agent, a laptop) and take it off",
        hides=("wrong_speed", "duplicate_unit_id", "bias", "termination", "one_poor", "slow"),
    ),
    Rule(
        "wrong_speed",
        _wrong_speed,
        "check baud, parity and stop bits of this bus against the devices; are A and B swapped?",
        hides=("termination", "bias", "one_poor"),
    ),
    Rule(
        "all_silent",
        _silent_all,
        "check power, A and B (swapped?), the common wire, then speed, format and unit ids",
        hides=("one_silent",),
    ),
    Rule(
        "echo",
        _echo,
        "the adapter hears itself; that is removed, but switch its echo off (receiver off while sending)",
    ),
    Rule(
        "duplicate_unit_id",
        _duplicate,
        "two devices may have this unit id: unplug the one you know; if it still answers, change the other's",
        # What the second one says runs into the next device's transaction.
        hides=("termination", "one_poor"),
    ),
    Rule(
        "bias",
        _bias,
        "nothing holds the idle line: one pair of bias resistors, 120 ohm at both ends, the common wire",
    ),
    Rule(
        "termination",
        _termination,
        "the line itself: 120 ohm at both ends only, bias once, common wire, no star, no long stubs",
    ),
    Rule(
        "one_poor", _one_poor, "this device's own wiring: terminals, its branch, its common wire, its supply"
    ),
    Rule(
        "slow",
        _slow,
        "raise `timeout` of the bus, or response_timeout in its profile; is it busy, or behind a gateway?",
    ),
    Rule(
        "adapter_latency",
        _adapter_latency,
        "set the adapter's latency timer to 1 ms (low_latency): each request now costs up to 16 ms more",
    ),
    Rule(
        "one_silent",
        _silent_one,
        "the line works: check this device's power, terminals (A/B), unit id, speed and format",
    ),
)
"""In this order; a rule is not looked at when one above it explains what it would see."""
