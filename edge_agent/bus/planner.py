"""From points that are due to the read requests that bring them, device by device.

Pure. Merges points of one area as far as the device allows: its longest read, the gaps it may be read
across, forbidden ranges, barriers, blocks that are only read whole, registers that are only read
alone, points that belong together, and what it was seen to refuse (`refusals`).

Invariant: every point is in exactly one request, or in the returned refusals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.bus.frames import byte_count
from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.refusals import Refusals
from edge_agent.model import Area, DeviceDef, PointDef, Quirks

AREAS = tuple(Area)


@dataclass(frozen=True, slots=True)
class Atom:
    """Points that are never parted: one point, points on the same registers, or a group."""

    area: Area
    first: int
    end: int
    """One past the last item."""
    points: tuple[tuple[PointDef, int], ...]
    """Definition and index."""


@dataclass(frozen=True, slots=True)
class Plan:
    requests: tuple[ReadRequest, ...]
    refused: tuple[tuple[ReadRequest, int], ...] = ()
    """What is not asked any more, with the exception code the device gave."""


class Planner:
    """Of one device. `device` and the indexes in `points` are those of the site."""

    def __init__(self, index: int, device: DeviceDef, points: Sequence[tuple[int, PointDef]]) -> None:
        self._index = index
        self._device = device
        self.points = dict(points)
        self._cache: dict[tuple[int, ...], Plan] = {}
        self._version: tuple[Refusals, int] | None = None

    def plan(self, due: Iterable[int], refusals: Refusals) -> Plan:
        """Requests for the points with these indexes, in the order of areas and addresses."""
        if self._version != (refusals, refusals.version):
            self._cache.clear()
            self._version = (refusals, refusals.version)
        key = tuple(sorted(due))
        known = self._cache.get(key)
        if known is None:
            # Sets of due points repeat with the least common multiple of the periods; what does not
            # repeat must not pile up.
            if len(self._cache) >= 256:
                self._cache.clear()
            known = self._cache[key] = self._make(key, refusals)
        return known

    def cheapest(self) -> ReadRequest:
        """The request with the shortest reply: what a silent device is probed with."""
        plan = self.plan(self.points, Refusals())
        return min(plan.requests, key=lambda request: byte_count(request.area, request.count))

    def definitions(self, request: ReadRequest) -> tuple[PointDef, ...]:
        return tuple(self.points[index] for index in request.points)

    def _make(self, due: tuple[int, ...], refusals: Refusals) -> Plan:
        refused = []
        asked = []
        for index in due:
            point = self.points[index]
            code = refusals.code(index)
            if code:
                refused.append((self._request(_atom([(point, index)])), code))
            else:
                asked.append((point, index))
        requests: list[ReadRequest] = []
        for area in AREAS:
            here = [pair for pair in asked if pair[0].area is area]
            if here:
                requests += self._area(area, here, refusals)
        return Plan(tuple(requests), tuple(refused))

    def _area(self, area: Area, points: list[tuple[PointDef, int]], refusals: Refusals) -> list[ReadRequest]:
        quirks = self._device.quirks
        requests = []
        for start, count in sorted(block[1:] for block in quirks.read_whole if block[0] is area):
            inside = [pair for pair in points if start <= pair[0].address and _end(pair[0]) <= start + count]
            if inside:
                points = [pair for pair in points if pair not in inside]
                requests.append(self._request(Atom(area, start, start + count, tuple(inside))))
        atoms = []
        for atom in _singles(points) if quirks.one_point_per_request else _atoms(points, quirks):
            parted = refusals.cut_between(area, atom.first, atom.end)
            atoms += _singles(atom.points) if parted else [atom]
        return sorted(requests + self._merge(atoms, refusals), key=lambda request: request.address)

    def _merge(self, atoms: list[Atom], refusals: Refusals) -> list[ReadRequest]:
        merged: list[Atom] = []
        for atom in sorted(atoms, key=lambda atom: (atom.first, atom.end)):
            if merged and self._joins(merged[-1], atom, refusals):
                last = merged[-1]
                merged[-1] = Atom(
                    atom.area, last.first, max(last.end, atom.end), _in_order(last.points + atom.points)
                )
            else:
                merged.append(atom)
        return [self._request(atom) for atom in merged]

    def _joins(self, last: Atom, atom: Atom, refusals: Refusals) -> bool:
        quirks, area = self._device.quirks, atom.area
        if quirks.one_point_per_request or _alone(last, quirks) or _alone(atom, quirks):
            return False
        limit, gap = limits(area, quirks)
        if max(last.end, atom.end) - last.first > limit or atom.first - last.end > gap:
            return False
        if not allowed(area, last.first, max(last.end, atom.end), quirks):
            return False
        return refusals.may_merge(area, last.first, last.end, atom.first, atom.end)

    def _request(self, atom: Atom) -> ReadRequest:
        return ReadRequest(
            device=self._index,
            unit_id=self._device.unit_id,
            area=atom.area,
            address=atom.first,
            count=atom.end - atom.first,
            points=tuple(index for _, index in atom.points),
        )


def limits(area: Area, quirks: Quirks) -> tuple[int, int]:
    """(longest read, widest gap) of the device, within what the protocol allows."""
    if area.is_bits:
        return min(quirks.max_read_bits, area.max_count), quirks.max_gap_bits
    return min(quirks.max_read_words, area.max_count), quirks.max_gap_words


def allowed(area: Area, first: int, end: int, quirks: Quirks) -> bool:
    """Whether the device may be read from `first` to before `end` in one request."""
    if end > 0x10000:
        return False
    if any(where is area and low < end and first <= high for where, low, high in quirks.forbidden):
        return False
    return not any(where is area and first < at < end for where, at in quirks.barriers)


def _atoms(points: list[tuple[PointDef, int]], quirks: Quirks) -> list[Atom]:
    """Groups that fit one request, points that share registers, and single points."""
    groups: dict[str, list[tuple[PointDef, int]]] = {}
    atoms = []
    for point, index in points:
        if point.group:
            groups.setdefault(point.group, []).append((point, index))
        else:
            atoms.append(_atom([(point, index)]))
    for members in groups.values():
        whole = _atom(members)
        limit, _ = limits(whole.area, quirks)
        fits = whole.end - whole.first <= limit and allowed(whole.area, whole.first, whole.end, quirks)
        atoms += [whole] if fits else _singles(members)
    return atoms


def _singles(points: Iterable[tuple[PointDef, int]]) -> list[Atom]:
    return [_atom([pair]) for pair in points]


def _atom(points: Sequence[tuple[PointDef, int]]) -> Atom:
    first = min(point.address for point, _ in points)
    end = max(_end(point) for point, _ in points)
    return Atom(points[0][0].area, first, end, _in_order(tuple(points)))


def _in_order(points: tuple[tuple[PointDef, int], ...]) -> tuple[tuple[PointDef, int], ...]:
    return tuple(sorted(points, key=lambda pair: (pair[0].address, pair[1])))


def _end(point: PointDef) -> int:
    return point.address + point.words


def _alone(atom: Atom, quirks: Quirks) -> bool:
    return any(area is atom.area and atom.first <= at < atom.end for area, at in quirks.read_alone)
