"""What was counted on a bus, as plain figures: since the start, and of the recent past only.

Pure. A rule that looks at figures since the start would still blame a line that was mended an hour ago,
so `Recent` keeps some of the past and takes the difference. A picture is taken every ten seconds if
enough was asked since the last one; so twelve of them are two minutes of a busy bus, and longer on a
slow one, whose few requests say as much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import sub
from typing import NamedTuple

from edge_agent.model import NS, MonoNs


class UnitFigures(NamedTuple):
    """Of one unit id. What a request came to, and what was heard beside it (see `overheard.Heard`).

    A tuple, because a hundred of them are made and subtracted every two seconds between two requests.
    """

    requests: int = 0
    values: int = 0
    exceptions: int = 0
    """Of the device itself."""
    no_reply: int = 0
    """Also where a gateway says so."""
    crc: int = 0
    short: int = 0
    wrong_unit: int = 0
    wrong_function: int = 0
    wrong_count: int = 0
    garbage: int = 0
    glitched: int = 0
    trailed: int = 0
    doubled: int = 0
    overlong: int = 0
    late: int = 0
    echoes: int = 0
    out_of_turn_bytes: int = 0

    @property
    def good(self) -> int:
        """Requests the device itself answered."""
        return self.values + self.exceptions

    @property
    def damaged(self) -> int:
        """Replies of which bytes came, but not as they were sent."""
        return self.crc + self.short + self.garbage


BAD_CAUSES = ("crc", "short", "wrong_unit", "wrong_function", "wrong_count", "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusFigures:
    units: Mapping[int, UnitFigures] = field(default_factory=dict)
    """By unit id."""
    resyncs: int = 0
    foreign_requests: int = 0
    foreign_replies: int = 0
    out_of_turn_bytes: int = 0


def units_since(now: Mapping[int, UnitFigures], then: Mapping[int, UnitFigures]) -> dict[int, UnitFigures]:
    none = UnitFigures()
    return {unit: _minus(figures, then.get(unit, none)) for unit, figures in now.items()}


def _minus(a: UnitFigures, b: UnitFigures) -> UnitFigures:
    return UnitFigures._make(map(sub, a, b))


def since(now: BusFigures, then: BusFigures) -> BusFigures:
    return BusFigures(
        units=units_since(now.units, then.units),
        resyncs=now.resyncs - then.resyncs,
        foreign_requests=now.foreign_requests - then.foreign_requests,
        foreign_replies=now.foreign_replies - then.foreign_replies,
        out_of_turn_bytes=now.out_of_turn_bytes - then.out_of_turn_bytes,
    )


def requests(figures: BusFigures) -> int:
    return sum(unit.requests for unit in figures.units.values())


class Recent:
    """The recent past of one bus; `now` is when it began to be counted."""

    EVERY_NS = 10 * NS
    AT_LEAST = 4
    """Requests between two pictures."""
    PICTURES = 12

    def __init__(self, now: MonoNs) -> None:
        self._pictures: deque[tuple[MonoNs, BusFigures]] = deque([(now, BusFigures())], self.PICTURES)

    def look(self, figures: BusFigures, now: MonoNs) -> tuple[BusFigures, int]:
        """What was counted recently, and over how many nanoseconds."""
        then, before = self._pictures[0]
        recent = since(figures, before), now - then
        last, picture = self._pictures[-1]
        if now - last >= self.EVERY_NS and requests(figures) - requests(picture) >= self.AT_LEAST:
            self._pictures.append((now, figures))
        return recent
