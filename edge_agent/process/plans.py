"""What a read request means for the process stage, worked out once per distinct request.

Owns the split of a request's points into those the kernels judge and texts, and the checks that make
the kernel call safe: every point lies inside the request, and stands in it once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.kernels.layout import Ints
from edge_agent.model import Order, PointDef, PointType, Send

_PLANS_MOST = 4096
"""Which points are due together depends on how their periods meet: a few sets in practice, and a
bound for the rest."""


@dataclass(frozen=True, slots=True)
class TextRead:
    """A text and where it stands in the reply."""

    point: int
    start: int
    stop: int
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One request, ready for the kernels."""

    least_bytes: int
    """A reply with fewer is not one to this request."""
    numbers: Ints
    count: int
    """Points in `numbers`."""
    senders: tuple[int, ...]
    """Points among the numbers that send samples or changes."""
    texts: tuple[TextRead, ...]


class Plans:
    """The plans of one configuration."""

    def __init__(self, points: Sequence[PointDef], sends: Sequence[Send]) -> None:
        self._points = points
        self._sends = sends
        self._plans: dict[tuple[int, int, tuple[int, ...]], Plan] = {}

    def of(self, request: ReadRequest) -> Plan:
        """ValueError if the request does not hold its points: then the planner is wrong."""
        key = (request.address, request.count, request.points)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _PLANS_MOST:
                self._plans.clear()
            plan = self._plans[key] = self._make(request)
        return plan

    def _make(self, request: ReadRequest) -> Plan:
        for index in request.points:
            self._check(request, self._points[index])
        if len(set(request.points)) != len(request.points):
            raise ValueError(f"{request} reads a point twice")
        numbers = [index for index in request.points if self._points[index].type is not PointType.STRING]
        texts = [index for index in request.points if self._points[index].type is PointType.STRING]
        return Plan(
            least_bytes=(request.count + 7) // 8 if request.area.is_bits else request.count * 2,
            numbers=(ctypes.c_int64 * max(1, len(numbers)))(*numbers),
            count=len(numbers),
            senders=tuple(index for index in numbers if self._sends[index] is not Send.SUMMARY),
            texts=tuple(self._text(request, index) for index in texts),
        )

    @staticmethod
    def _check(request: ReadRequest, point: PointDef) -> None:
        inside = request.address <= point.address
        inside = inside and point.address + point.words <= request.address + request.count
        if point.area is not request.area or not inside:
            raise ValueError(f"{point.key} is not inside {request}")

    def _text(self, request: ReadRequest, index: int) -> TextRead:
        point = self._points[index]
        start = (point.address - request.address) * 2
        return TextRead(index, start, start + point.words * 2, point.order)
