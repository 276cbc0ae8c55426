"""What was seen on a bus that speaks for one cause: one function per rule of `diagnosis`.

Pure. Each says what it saw in figures, of the unit in question or of the line, or nothing.

Thresholds: a line in order has no bad frame in a day; three in two minutes are no accident. A share is
only judged over a dozen requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edge_agent.bus.quality.figures import BusFigures, UnitFigures

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
    is_wire: bool = True
    """Whether the agent itself stands on the line."""
    is_server: bool = False
    """Whether a device server stands before it, which gives every reply to all its connections."""
    timeouts_ms: Mapping[int, float] | None = None
    """Configured, by unit id."""
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


Seen = Iterator[tuple[int | None, str]]
"""The unit in question, and what was seen."""


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _bad_share(unit: UnitFigures) -> float:
    return _share(unit.damaged, unit.requests)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _others(count: int) -> str:
    return "1 other answers" if count == 1 else f"{count} others answer"


def line_jammed(p: Picture) -> Seen:
    spoken_ns = p.figures.out_of_turn_bytes * p.char_ns
    if p.seconds > 0 and spoken_ns > JAMMED * p.seconds * 1e9:
        share = spoken_ns / (p.seconds * 1e9)
        yield None, f"{p.figures.out_of_turn_bytes} bytes out of turn, {share:.0%} of the line's time"


def second_master(p: Picture) -> Seen:
    asked, told = p.figures.foreign_requests, p.figures.foreign_replies
    if asked >= 2:
        answers = f" and {told} replies of units that are not ours" if told > 1 else ""
        yield None, f"{asked} requests heard that are not ours{answers}"


def wrong_speed(p: Picture) -> Seen:
    bad = p.total(lambda one: one.damaged)
    framed = p.total(lambda one: one.wrong_unit + one.wrong_function + one.wrong_count + one.late)
    if p.requests >= ENOUGH and not p.answering and not framed and bad >= 0.5 * p.requests:
        yield None, f"garbage to {bad} of {p.requests} requests, and not one whole frame from any device"


def all_silent(p: Picture) -> Seen:
    mute = [unit for unit, one in p.units.items() if one.no_reply == one.requests >= 2]
    if p.requests >= FEW and len(mute) == len(p.units) and not p.figures.out_of_turn_bytes:
        yield None, f"nothing heard at all: {p.requests} requests to {_times(len(mute), 'device')}"


def duplicate_unit_id(p: Picture) -> Seen:
    answering = p.answering
    poor = {unit for unit, one in answering.items() if _bad_share(one) > FINE}
    for unit, one in p.units.items():
        fine = poor <= {unit} and bool(answering.keys() - {unit})
        if one.doubled >= 2:
            # One request may have several of them.
            yield unit, f"{one.doubled} second replies of {p.name(unit)} in {one.requests} requests"
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


def bias(p: Picture) -> Seen:
    hit = _hit(p, _noise, POOR)
    glitched = p.total(_noise)
    if p.requests >= ENOUGH and glitched >= FEW and _is_common(p, hit):
        good = p.total(lambda one: one.good)
        yield None, f"noise bytes before {glitched} of {good} good replies ({p.names_of(hit)})"


def termination(p: Picture) -> Seen:
    hit = _hit(p, _damage, POOR)
    bad, trailed = p.total(lambda one: one.damaged), p.total(lambda one: one.trailed)
    if p.requests >= ENOUGH and p.answering and bad + trailed >= FEW and _is_common(p, hit):
        behind = f", noise bytes behind {trailed}" if trailed else ""
        yield None, f"{bad} of {p.requests} replies damaged{behind} ({p.names_of(hit)})"


def one_poor(p: Picture) -> Seen:
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


def slow(p: Picture) -> Seen:
    for unit, one in p.units.items():
        if one.late >= 2 and one.no_reply >= 2 and one.late >= 0.05 * one.requests:
            timeout = (p.timeouts_ms or {}).get(unit)
            after = f" of {timeout:.0f} ms" if timeout else ""
            yield (
                unit,
                f"{p.name(unit)} answered {one.late} of {one.requests} requests after its timeout{after}",
            )


def echo(p: Picture) -> Seen:
    echoes = p.total(lambda one: one.echoes)
    if p.requests >= ENOUGH and echoes >= 0.9 * p.requests:
        yield None, f"{echoes} of {p.requests} requests came back"


def adapter_latency(p: Picture) -> Seen:
    if p.on_grid >= 0.9:
        yield None, f"{p.on_grid:.0%} of the replies were handed over in steps of 16 ms"


def one_silent(p: Picture) -> Seen:
    good = sorted(p.answering)
    for unit, one in p.units.items():
        if good and one.requests >= FEW and one.no_reply == one.requests and not one.late:
            yield unit, f"nothing heard from {p.name(unit)}, while {_others(len(good))}"
