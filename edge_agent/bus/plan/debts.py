"""Replies a unit still owes: a request that would be answered by one of them is not sent.

Pure. Silence alone does not prove that a late reply is not still being computed. A reply is told from
another of the same unit only by its function and its length, so after a request was not answered, the
next ones to that unit ask for another length: the points are asked in two parts, or one register more
(eight bits more) is read. A reply of another length that comes proves that the device has gone on, but
for one that answers out of turn, as a gateway may: what is owed is owed for twice the late window.
Where no other length is possible the request waits for the device's whole late window (`Device.free_at`).

An exception proves nothing: the late reply itself may be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.bus.plan.atoms import allowed, limits
from edge_agent.bus.wire.frames import byte_count
from edge_agent.model import NS, Area, MonoNs, PointDef, Quirks

FORGET_NS = 30 * NS
"""A reply that has not come by then is lost: no device computes for half a minute."""

Shape = tuple[int, int]
"""Function and byte count: all that distinguishes one reply of a unit from another."""


def shape(request: ReadRequest) -> Shape:
    return request.area.function, byte_count(request.area, request.count)


class Debts:
    """Of one unit."""

    __slots__ = ("_keeps", "_owed", "last")

    def __init__(self, keeps: bool = True) -> None:
        self._keeps = keeps
        """False where a late reply is known for what it is: nothing is ever owed."""
        self._owed: dict[Shape, MonoNs] = {}
        """Since when a reply of this shape is owed."""
        self.last: Outcome = NoReply()
        """What the request came to whose reply is owed."""

    def note(self, request: ReadRequest, outcome: Outcome, now: MonoNs, late_ns: int = 0) -> None:
        """`late_ns`: how long after its timeout a reply may still come."""
        if not self._keeps:
            return
        if self._owed:
            self._owed = {one: since for one, since in self._owed.items() if now < since + FORGET_NS}
        match outcome:
            case Values() if self._owed:
                answered = shape(request)
                self._owed = {
                    one: since
                    for one, since in self._owed.items()
                    if one != answered and now < since + 2 * late_ns
                }
            case DeviceException():
                if self._owed:
                    self._owed[shape(request)] = now
            case BadFrame(cause, paused=False) if cause is BadCause.CRC and not self._owed:
                pass  # A whole frame came in one go, damaged: nothing is owed. Unless it was the rest of what
                # is owed behind the beginning of this one, whose own rest is then still to come.
            case NoReply() | BadFrame() | PortDown():
                self._owed[shape(request)] = now
                self.last = outcome

    def owes(self, request: ReadRequest, now: MonoNs) -> bool:
        """Whether a late reply could be taken for the reply to this request."""
        return self.owed_since(request, now) is not None

    def owed_since(self, request: ReadRequest, now: MonoNs) -> MonoNs | None:
        """Since when a late reply could be taken for the reply to this request; None if none could."""
        since = self._owed.get(shape(request)) if self._owed else None
        return since if since is not None and now < since + FORGET_NS else None

    def owes_items(self, area: Area, count: int, now: MonoNs) -> bool:
        """Whether a late reply could be taken for one of so many items."""
        since = self._owed.get((area.function, byte_count(area, count)))
        return since is not None and now < since + FORGET_NS

    def __bool__(self) -> bool:
        return bool(self._owed)


def other_lengths(
    request: ReadRequest, points: tuple[PointDef, ...], quirks: Quirks, debts: Debts, now: MonoNs
) -> list[ReadRequest]:
    """The same points by requests of other lengths; the request itself where none is possible (a block
    that is only read whole, a single point the device allows nothing beside).

    `points` are the definitions of `request.points`.
    """
    if not debts.owes(request, now):
        return [request]
    if (request.area, request.address, request.count) in quirks.read_whole:
        return [request]
    # The first way is nearly always one, and a silent device is looked at with every turn.
    for parts in chain(_halves(request, points, debts, now), _longer(request, quirks)):
        if not any(debts.owes(part, now) for part in parts):
            return parts
    return [request]


def _halves(
    request: ReadRequest, points: tuple[PointDef, ...], debts: Debts, now: MonoNs
) -> Iterator[list[ReadRequest]]:
    """Ways to ask the points in two requests of lengths that are not owed, cut where no point and no group
    is cut."""
    first_end, end = 0, request.address + request.count
    for cut, begins in enumerate(points[1:], 1):
        first_end = max(first_end, points[cut - 1].address + points[cut - 1].words)
        lengths = first_end - request.address, end - begins.address
        if any(debts.owes_items(request.area, length, now) for length in lengths):
            continue
        if first_end <= begins.address and not _same_group(points[:cut], points[cut:]):
            yield [
                replace(request, count=first_end - request.address, points=request.points[:cut]),
                replace(
                    request,
                    address=begins.address,
                    count=end - begins.address,
                    points=request.points[cut:],
                ),
            ]


def _same_group(first: tuple[PointDef, ...], rest: tuple[PointDef, ...]) -> bool:
    return bool({point.group for point in first if point.group} & {point.group for point in rest})


def _longer(request: ReadRequest, quirks: Quirks) -> list[list[ReadRequest]]:
    """One item more behind or before, within what the device allows; nothing unknown is read from a
    device that takes an illegal address badly."""
    if quirks.on_illegal_address == "stop":
        return []
    step = 8 if request.area.is_bits else 1
    limit, _ = limits(request.area, quirks)
    if request.count + step > limit or (request.area, request.address) in quirks.read_alone:
        return []
    wider = [replace(request, count=request.count + step)]
    if request.address >= step:
        wider.append(replace(request, address=request.address - step, count=request.count + step))
    return [[way] for way in wider if allowed(way.area, way.address, way.address + way.count, quirks)]
