"""What a device was seen to refuse, with exceptions 02 and 03 or by silence, found by halving.

Pure. A merged read that is refused is cut in half and asked again; a point that is refused alone is
remembered with the reason and not asked again, so that it costs nothing and is bad with its own
reason. Its registers become a hole no merged read spans, and the cuts that led to it are taken back,
because the rest may well be read together.

How long: until the device may be another one. Nothing that is read today says who a device is, so its
identity is its place (bus and unit id) for as long as it stays there: after an absence long enough for
it to be exchanged or given other firmware (`device.Device.back`) everything is forgotten.

An exception is the device's word; silence is not, a bad line is silent too. So what rests on silence is
asked again after `RETRY_SILENT_NS`: the point alone, at the price of one timeout.

`on_illegal_address = "stop"` is for devices that restart on an illegal read: what was refused once is
never asked again in any form.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.bus.outcomes import DeviceException, NoReply, Outcome, ReadRequest
from edge_agent.model import NS, Area, MonoNs, PointDef

SPLITTABLE = (2, 3)
"""Illegal data address, illegal data value (often: too many registers)."""
SILENT = -1
"""In the place of an exception's code: nothing was heard, while the device answered other reads."""
RETRY_SILENT_NS = 3600 * NS


class Refusals:
    """Of one device. `version` rises when plans made before are no longer right."""

    __slots__ = ("_again_at", "_codes", "_cuts", "_holes", "_stop", "version")

    def __init__(self, on_illegal_address: str = "split") -> None:
        self._stop = on_illegal_address == "stop"
        self._cuts: dict[tuple[Area, int], int] = {}
        """Where reads are parted, and why: an exception's code or `SILENT`."""
        self._holes: dict[int, tuple[Area, int, int]] = {}
        """By point: the registers no merged read spans."""
        self._codes: dict[int, int] = {}
        self._again_at: MonoNs | None = None
        """When what rests on silence is asked again."""
        self.version = 0

    def code(self, point: int) -> int:
        """The exception this point is refused with, or `SILENT`; 0 while it is asked."""
        return self._codes.get(point, 0)

    def __bool__(self) -> bool:
        return bool(self._codes)

    @property
    def points(self) -> dict[int, int]:
        """Refused points and why."""
        return dict(self._codes)

    def holes(self, area: Area) -> list[tuple[int, int]]:
        """(first, one past the last) of each range no merged read of the area may touch."""
        return [(first, end) for where, first, end in self._holes.values() if where is area]

    def cuts(self, area: Area) -> list[int]:
        """Addresses: what begins before one and what begins there or behind are read apart."""
        return [at for where, at in self._cuts if where is area]

    def cut_between(self, area: Area, first: int, end: int) -> bool:
        """Whether what lies from `first` to before `end` was refused as one and must be parted."""
        return any(where is area and first < cut < end for where, cut in self._cuts)

    def refuse(self, request: ReadRequest, points: tuple[PointDef, ...], code: int) -> bool:
        """The device answered `request` with `code`. True when it is worth asking again: the plan for
        these points is now another one."""
        if code not in SPLITTABLE:
            return False
        if not self._stop and request.count != _span(points):
            return False  # More was asked than the points (a whole block, another length): no verdict.
        return self._judge(request, points, code)

    def silent(
        self, request: ReadRequest, points: tuple[PointDef, ...], now: MonoNs, *, whole: bool = False
    ) -> bool:
        """The device says nothing to `request`, and answers others. As `refuse`; `whole`: there is no
        smaller way to read these points."""
        if self._again_at is None:
            self._again_at = MonoNs(now + RETRY_SILENT_NS)
        return self._judge(request, points, SILENT, whole)

    def answered(self, points: Iterable[int]) -> None:
        """What was silent before and is asked again was read: it is merged as before."""
        read = [index for index in points if index in self._holes and index not in self._codes]
        for index in read:
            del self._holes[index]
        self.version += bool(read)

    def retry(self, now: MonoNs) -> tuple[int, ...]:
        """Points that are asked again from now on, each alone, because they were only silent."""
        if self._again_at is None or now < self._again_at or self._stop:
            return ()
        again = tuple(point for point, code in self._codes.items() if code == SILENT)
        for point in again:
            del self._codes[point]
        self._cuts = {cut: code for cut, code in self._cuts.items() if code != SILENT}
        self._again_at = MonoNs(now + RETRY_SILENT_NS) if again else None
        self.version += 1
        return again

    def forget(self) -> None:
        """It may be another device now. One that an illegal read makes restart was away for that."""
        if not self._stop and (self._codes or self._cuts or self._holes):
            self._codes.clear()
            self._cuts.clear()
            self._holes.clear()
            self._again_at = None
            self.version += 1

    def _judge(
        self, request: ReadRequest, points: tuple[PointDef, ...], code: int, whole: bool = False
    ) -> bool:
        self.version += 1
        if not (self._stop or whole) and self._cut(request, points, code):
            return True
        for index, point in zip(request.points, points, strict=True):
            self._codes[index] = code
            self._holes[index] = (point.area, point.address, point.address + point.words)
        self._cuts = {cut: why for cut, why in self._cuts.items() if cut[0] is not request.area}
        return False

    def _cut(self, request: ReadRequest, points: tuple[PointDef, ...], code: int) -> bool:
        """Cut in the middle, at a place where no point is cut. False where there is none."""
        places = sorted({point.address for point in points[1:]} - {points[0].address})
        places = [at for at in places if not any(p.address < at < p.address + p.words for p in points)]
        places = [at for at in places if (request.area, at) not in self._cuts]
        if not places:
            return False
        self._cuts[request.area, places[len(places) // 2]] = code
        return True


def outcome(code: int) -> Outcome:
    """What a poll that is not made for this reason comes to."""
    return NoReply() if code == SILENT else DeviceException(code, 0)


def _span(points: tuple[PointDef, ...]) -> int:
    return max(point.address + point.words for point in points) - points[0].address
