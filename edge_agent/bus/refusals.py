"""What a device was seen to refuse with exceptions 02 and 03, found by halving.

Pure. A merged read that is refused is cut in half for good and asked again; a point that is refused
alone is remembered with its exception and not asked again, so that it costs nothing and is bad with
its own reason. Its registers become a hole no merged read spans, and the cuts that led to it are taken
back, because the rest may well be read together. Everything is forgotten when the device was away: it
may be another one now.

`on_illegal_address = "stop"` is for devices that restart on an illegal read: what was refused once is
never asked again in any form.
"""

from __future__ import annotations

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.model import Area, PointDef

SPLITTABLE = (2, 3)
"""Illegal data address, illegal data value (often: too many registers)."""


class Refusals:
    """Of one device. `version` rises when plans made before are no longer right."""

    __slots__ = ("_codes", "_cuts", "_holes", "_stop", "version")

    def __init__(self, on_illegal_address: str = "split") -> None:
        self._stop = on_illegal_address == "stop"
        self._cuts: set[tuple[Area, int]] = set()
        self._holes: set[tuple[Area, int, int]] = set()
        self._codes: dict[int, int] = {}
        self.version = 0

    def code(self, point: int) -> int:
        """The exception this point is refused with, 0 while it is asked."""
        return self._codes.get(point, 0)

    @property
    def points(self) -> dict[int, int]:
        """Refused points and their exceptions."""
        return dict(self._codes)

    def cut_between(self, area: Area, first: int, end: int) -> bool:
        """Whether what lies from `first` to before `end` was refused as one and must be parted."""
        return any(where is area and first < cut < end for where, cut in self._cuts)

    def may_merge(self, area: Area, first: int, end: int, next_first: int, next_end: int) -> bool:
        if any(where is area and first < cut <= next_first for where, cut in self._cuts):
            return False
        whole = max(end, next_end)
        return not any(where is area and low < whole and first < high for where, low, high in self._holes)

    def refuse(self, request: ReadRequest, points: tuple[PointDef, ...], code: int) -> bool:
        """The device answered `request` with `code`. True when it is worth asking again: the plan for
        these points is now another one."""
        if code not in SPLITTABLE:
            return False
        if not self._stop and request.count != _span(points):
            return False  # More was asked than the points (a whole block, another length): no verdict.
        if not self._stop and self._cut(request, points):
            self.version += 1
            return True
        for index, point in zip(request.points, points, strict=True):
            self._codes[index] = code
            self._holes.add((point.area, point.address, point.address + point.words))
        self._cuts = {cut for cut in self._cuts if cut[0] is not request.area}
        self.version += 1
        return False

    def forget(self) -> None:
        """The device was away and is back. One that an illegal read makes restart was away for that."""
        if not self._stop and (self._codes or self._cuts):
            self._codes.clear()
            self._cuts.clear()
            self._holes.clear()
            self.version += 1

    def _cut(self, request: ReadRequest, points: tuple[PointDef, ...]) -> bool:
        """Cut in the middle, at a place where no point is cut. False where there is none."""
        places = sorted({point.address for point in points[1:]} - {points[0].address})
        places = [at for at in places if not any(p.address < at < p.address + p.words for p in points)]
        places = [at for at in places if (request.area, at) not in self._cuts]
        if not places:
            return False
        self._cuts.add((request.area, places[len(places) // 2]))
        return True


def _span(points: tuple[PointDef, ...]) -> int:
    return max(point.address + point.words for point in points) - points[0].address
