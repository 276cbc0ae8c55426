"""What of a device is never parted when it is read, and where one read must end and another begin.

Pure. An atom is a point, the points on the same registers, or a group. `runs` sets apart whatever the
device does not stand in one request (gaps, forbidden ranges, barriers, blocks, registers read alone,
what it was seen to refuse); within a run only the longest read is left to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import Area, DeviceDef, PointDef, Quirks

Indexed = tuple[PointDef, int]
"""A point's definition and its index in the site."""


@dataclass(frozen=True, slots=True)
class Atom:
    """Points that are never parted."""

    area: Area
    first: int
    end: int
    """One past the last item."""
    points: tuple[Indexed, ...]
    """In the order of their addresses."""


def limits(area: Area, quirks: Quirks) -> tuple[int, int]:
    """(longest read, widest gap) of the device, within what the protocol allows."""
    if area.is_bits:
        return min(quirks.max_read_bits, area.max_count), quirks.max_gap_bits
    return min(quirks.max_read_words, area.max_count), quirks.max_gap_words


def allowed(area: Area, first: int, end: int, quirks: Quirks) -> bool:
    """Whether the device may be read from `first` to before `end` for more than one point's sake."""
    return Rules(area, quirks).allow(first, end)


def objection(area: Area, first: int, end: int, device: DeviceDef) -> str:
    """Why somebody who asks for exactly `first` to before `end` is not to be given it; empty if he is.

    Unlike the planner he may ask by itself for what is only read whole or alone.
    """
    quirks = device.quirks
    for where, low, high in quirks.forbidden:
        if where is area and first <= high and low < end:
            return f"{area} {low}-{high} is forbidden: the device may misbehave when it is read"
    if (area, first, end - first) in quirks.read_whole:
        return ""
    for where, at, count in quirks.read_whole:
        if where is area and first < at + count and at < end:
            return f"{area} {at}-{at + count - 1} is only read whole and by itself"
    # A point is asked for as it stands: one of two registers that is only read alone, for example.
    wanted = area, first, end - first
    if any((point.area, point.address, point.words) == wanted for point in device.points):
        return ""
    return _too_much(area, first, end, quirks)


def _too_much(area: Area, first: int, end: int, quirks: Quirks) -> str:
    limit, _ = limits(area, quirks)
    if end - first > limit:
        return f"at most {limit} {'bits' if area.is_bits else 'registers'} at once"
    for where, at in quirks.barriers:
        if where is area and first < at < end:
            return f"{area} {at} and what stands before it are only read apart"
    for where, at in quirks.read_alone:
        if where is area and first <= at < end and end - first > 1:
            return f"{area} {at} is only read by itself"
    return ""


class Rules:
    """What one area of one device does not stand."""

    __slots__ = ("_barriers", "_blocked", "_cuts", "gap", "limit")

    def __init__(self, area: Area, quirks: Quirks, refusals: Refusals | None = None) -> None:
        self.limit, self.gap = limits(area, quirks)
        self._blocked = [(low, high + 1) for where, low, high in quirks.forbidden if where is area]
        self._blocked += [(at, at + 1) for where, at in quirks.read_alone if where is area]
        self._blocked += [(at, at + count) for where, at, count in quirks.read_whole if where is area]
        self._barriers = [at for where, at in quirks.barriers if where is area]
        self._cuts: list[int] = []
        if refusals is not None:
            self._blocked += refusals.holes(area)
            self._cuts = refusals.cuts(area)

    def allow(self, first: int, end: int) -> bool:
        """Whether a read for more than one point's sake may reach from `first` to before `end`."""
        if end > 0x10000 or any(low < end and first < high for low, high in self._blocked):
            return False
        return not any(first < at < end for at in self._barriers)

    def part(self, last: Atom, atom: Atom) -> bool:
        """Whether `last` and `atom`, which follows it, each of them allowed, never share a read."""
        if atom.first - last.end > self.gap or self.cut(last.first, atom.first):
            return True
        return not self.allow(last.first, max(last.end, atom.end))

    def cut(self, first: int, next_first: int) -> bool:
        """Whether what begins at `first` and what begins at `next_first` were refused as one."""
        return any(first < at <= next_first for at in self._cuts)


def atoms_of(points: Sequence[Indexed], quirks: Quirks, refusals: Refusals) -> list[Atom]:
    """Of points of one area, by address; of those that begin together, the longer first."""
    groups: dict[str, list[Indexed]] = {}
    single: list[Indexed] = []
    for pair in points:
        group = "" if quirks.one_point_per_request else pair[0].group
        (groups.setdefault(group, []) if group else single).append(pair)
    atoms = [atom([pair]) for pair in single]
    for members in groups.values():
        atoms += _group(members, quirks, refusals)
    return _shared(atoms)


def atom(points: Sequence[Indexed]) -> Atom:
    first = min(point.address for point, _ in points)
    last = max(end(point) for point, _ in points)
    return Atom(points[0][0].area, first, last, in_order(points))


def in_order(points: Iterable[Indexed]) -> tuple[Indexed, ...]:
    return tuple(sorted(points, key=lambda pair: (pair[0].address, pair[1])))


def end(point: PointDef) -> int:
    return point.address + point.words


def runs(atoms: Iterable[Atom], rules: Rules) -> tuple[list[list[Atom]], list[Atom]]:
    """(runs, atoms asked by themselves) of atoms as `atoms_of` gives them.

    The atoms of a run may be read together as far as the longest read reaches. One that lies within
    another costs nothing and is taken into it, so that in a run both firsts and ends rise.
    """
    found: list[list[Atom]] = []
    alone = []
    for one in atoms:
        if one.end - one.first > rules.limit or not rules.allow(one.first, one.end):
            alone.append(one)
        elif not found or rules.part(found[-1][-1], one):
            found.append([one])
        elif one.end <= found[-1][-1].end:
            found[-1][-1] = _joined(found[-1][-1], one)
        else:
            found[-1].append(one)
    return found, alone


def _group(members: list[Indexed], quirks: Quirks, refusals: Refusals) -> list[Atom]:
    """One atom where the device can read the group at once and has not refused to."""
    whole = atom(members)
    fits = whole.end - whole.first <= limits(whole.area, quirks)[0]
    fits = fits and allowed(whole.area, whole.first, whole.end, quirks)
    if fits and not refusals.cut_between(whole.area, whole.first, whole.end):
        return [whole]
    return [atom([pair]) for pair in members]


def _shared(atoms: list[Atom]) -> list[Atom]:
    """Atoms on exactly the same registers are one: reading them twice would bring nothing new."""
    atoms.sort(key=attrgetter("first"))
    by_place: dict[tuple[int, int], Atom] = {}
    for one in atoms:
        known = by_place.get((one.first, one.end))
        by_place[one.first, one.end] = _joined(known, one) if known else one
    return sorted(by_place.values(), key=lambda one: (one.first, -one.end))


def _joined(outer: Atom, inner: Atom) -> Atom:
    return replace(outer, points=in_order(outer.points + inner.points))
