"""Points whose device answered "not now": they are asked again later, ever more rarely.

Pure, one per device. Busy (6), acknowledge (5), failure (4) and parity (8) are the word of
a device that is there, so no breaker opens; but asking it again at every period is what keeps it busy.
An illegal function (1) is a fact of the configuration: asked again once an hour at the most, in case
another device stands there by then. Kept by point and not for the whole device: one register that a
device fails at must not cost the others their rate. 2 and 3 are `refusals`'; 10 and 11 the breaker's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.bus.outcomes import DeviceException, Outcome, ReadRequest, Values
from edge_agent.model import NS, MonoNs

ILLEGAL_FUNCTION = 1

PAUSES_NS: dict[int, tuple[int, int]] = {
    ILLEGAL_FUNCTION: (60 * NS, 3600 * NS),
    4: (NS, 10 * NS),
    5: (NS // 2, 10 * NS),
    6: (NS // 2, 10 * NS),
    8: (NS, 10 * NS),
}
"""Exception to the first pause and the longest; each pause is twice the one before. Source of the codes:
Modbus Application Protocol V1.1b3, 7."""


@dataclass(frozen=True, slots=True)
class Deferral:
    code: int
    until: MonoNs
    times: int
    """Refusals in a row."""


class Deferrals:
    """Of one device."""

    __slots__ = ("_points",)

    def __init__(self) -> None:
        self._points: dict[int, Deferral] = {}

    @property
    def points(self) -> dict[int, int]:
        """Points that are asked later, and their exceptions."""
        return {point: deferral.code for point, deferral in self._points.items()}

    def note(self, request: ReadRequest, outcome: Outcome, now: MonoNs) -> None:
        """What a request came to. Silence and damage change nothing: they say nothing of the points."""
        if isinstance(outcome, Values):
            if self._points:
                for point in request.points:
                    self._points.pop(point, None)
        elif isinstance(outcome, DeviceException) and outcome.code in PAUSES_NS:
            for point in request.points:
                self._points[point] = self._longer(point, outcome.code, now)

    def __bool__(self) -> bool:
        return bool(self._points)

    def later(self, points: Iterable[int], now: MonoNs) -> dict[int, int]:
        """Those of the points that are not to be asked yet, and their exceptions."""
        if not self._points:
            return {}
        found = ((point, self._points.get(point)) for point in points)
        return {point: one.code for point, one in found if one is not None and now < one.until}

    def forget(self) -> None:
        """The device was away and is back; it may be another one."""
        self._points.clear()

    def _longer(self, point: int, code: int, now: MonoNs) -> Deferral:
        before = self._points.get(point)
        times = before.times if before is not None and before.code == code else 0
        first_ns, longest_ns = PAUSES_NS[code]
        # 2**12 times any first pause is beyond its longest.
        return Deferral(code, MonoNs(now + min(first_ns << min(times, 12), longest_ns)), times + 1)
