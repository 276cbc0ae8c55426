"""From points that are due to the read requests that bring them in the least time, device by device.

Pure. The points of an area become atoms and runs (`atoms`), each run is cut where that costs least
(`partition`), by the bytes at this speed, the silences, and the device's turnaround (`cost`).

Invariant: every point is in exactly one request, or in the returned refusals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.plan.atoms import Atom, Indexed, Rules, atom, atoms_of, end, in_order, runs
from edge_agent.bus.plan.cost import LineCost, Turnaround, default_cost
from edge_agent.bus.plan.partition import BITS_PER_BYTE, cheapest
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.bus.wire.frames import byte_count
from edge_agent.model import Area, DeviceDef, PointDef

AREAS = tuple(Area)
_CACHED = 256
"""Sets of due points repeat with the least common multiple of the periods; what does not repeat must
not pile up."""


@dataclass(frozen=True, slots=True)
class Plan:
    requests: tuple[ReadRequest, ...]
    refused: tuple[tuple[ReadRequest, int], ...] = ()
    """What is not asked any more, and why (`Refusals.code`)."""


class Planner:
    """Of one device. `device` and the indexes in `points` are those of the site."""

    def __init__(
        self,
        index: int,
        device: DeviceDef,
        points: Sequence[tuple[int, PointDef]],
        cost: LineCost | None = None,
    ) -> None:
        self._index = index
        self._device = device
        self.points = dict(points)
        self.cost = cost or default_cost()
        self.turnaround = Turnaround(self.cost.assumed_turnaround_ns)
        self._cache: dict[tuple[int, tuple[int, ...]], Plan] = {}
        self._version: tuple[Refusals, int] | None = None
        self._last: tuple[Iterable[int], int, Plan] | None = None
        """What was asked last, by identity: the points of a class are one tuple for ever."""

    def assume(self, turnaround_ns: int) -> None:
        """How long the device has taken to reply, on average; 0 while that is not known."""
        self.turnaround.assume(turnaround_ns)

    def plan(self, due: Iterable[int], refusals: Refusals) -> Plan:
        """Requests for the points with these indexes, in the order of areas and addresses."""
        if self._version != (refusals, refusals.version):
            self._cache.clear()
            self._last = None
            self._version = (refusals, refusals.version)
        if self._last is not None and self._last[0] is due and self._last[1] == self.turnaround.ns:
            return self._last[2]
        key = (self.turnaround.ns, tuple(sorted(due)))
        known = self._cache.get(key)
        if known is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            known = self._cache[key] = self._make(key[1], refusals)
        if isinstance(due, tuple):
            self._last = (due, self.turnaround.ns, known)
        return known

    def cheapest(self) -> ReadRequest:
        """The request with the shortest reply: what a silent device is probed with. Nothing that it refused
        as far as was known to the last plan: one that an illegal read makes restart would never come back."""
        plan = self.plan(self.points, self._version[0] if self._version else Refusals())
        requests = plan.requests or tuple(request for request, _ in plan.refused)
        return min(requests, key=lambda request: byte_count(request.area, request.count))

    def definitions(self, request: ReadRequest) -> tuple[PointDef, ...]:
        return tuple(self.points[index] for index in request.points)

    def line_ns(self, request: ReadRequest) -> int:
        """Time the request, its reply and the silences take of the line, with what is assumed now."""
        return self.cost.read_ns(request.area, request.count, self.turnaround.ns)

    def _make(self, due: tuple[int, ...], refusals: Refusals) -> Plan:
        refused = []
        asked: dict[Area, list[Indexed]] = {}
        for index in due:
            point = self.points[index]
            code = refusals.code(index)
            if code:
                refused.append((self._request(atom([(point, index)])), code))
            else:
                asked.setdefault(point.area, []).append((point, index))
        requests: list[ReadRequest] = []
        for area in AREAS:
            if area in asked:
                requests += self._area(area, asked[area], refusals)
        return Plan(tuple(requests), tuple(refused))

    def _area(self, area: Area, points: list[Indexed], refusals: Refusals) -> list[ReadRequest]:
        quirks = self._device.quirks
        blocks, points = self._blocks(area, points)
        rules = Rules(area, quirks, refusals)
        atoms = atoms_of(points, quirks, refusals)
        if quirks.one_point_per_request:
            asked = blocks + atoms
        else:
            found, alone = runs(atoms, rules)
            asked = blocks + alone
            for run in found:
                asked += self._merged(run, rules.limit)
        return [self._request(one) for one in sorted(asked, key=lambda one: (one.first, one.end))]

    def _blocks(self, area: Area, points: list[Indexed]) -> tuple[list[Atom], list[Indexed]]:
        """(what is read whole, the other points): a block serves every point that lies in it."""
        blocks = []
        for start, count in sorted(block[1:] for block in self._device.quirks.read_whole if block[0] is area):
            inside = [p for p in points if start <= p[0].address and end(p[0]) <= start + count]
            if inside:
                served = {index for _, index in inside}
                points = [pair for pair in points if pair[1] not in served]
                blocks.append(Atom(area, start, start + count, in_order(inside)))
        return blocks, points

    def _merged(self, run: list[Atom], limit: int) -> list[Atom]:
        """The run as the requests that cost least."""
        if len(run) == 1:
            return run
        area, cost = run[0].area, self.cost
        parts = cheapest(
            [(one.first, one.end) for one in run],
            limit,
            cost.fixed_ns(self.turnaround.ns),
            cost.char_ns if area.is_bits else 2 * cost.char_ns,
            BITS_PER_BYTE if area.is_bits else 1,
        )
        return [_merge(run[begin:stop]) for begin, stop in parts]

    def _request(self, atom: Atom) -> ReadRequest:
        return ReadRequest(
            device=self._index,
            unit_id=self._device.unit_id,
            area=atom.area,
            address=atom.first,
            count=atom.end - atom.first,
            points=tuple(index for _, index in atom.points),
        )


def _merge(run: list[Atom]) -> Atom:
    points = in_order(pair for one in run for pair in one.points)
    return Atom(run[0].area, run[0].first, run[-1].end, points)
