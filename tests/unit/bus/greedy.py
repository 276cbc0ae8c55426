"""The plan everybody makes: from left to right, join what follows as long as the device allows it.

The reference for the planner's gain, in its test and in its benchmark. Knows the same rules, no cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.bus.plan.atoms import Indexed, Rules, atoms_of, runs
from edge_agent.bus.plan.cost import LineCost
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import Area, Quirks


def spans(
    points: Sequence[Indexed], quirks: Quirks, refusals: Refusals, widest_gap: int | None = None
) -> list[tuple[Area, int, int]]:
    """(area, first, one past the last) of each request; `widest_gap` is kept beside the device's own."""
    made: list[tuple[Area, int, int]] = []
    for area in Area:
        rules = Rules(area, quirks, refusals)
        here = [pair for pair in points if pair[0].area is area]
        found, alone = runs(atoms_of(here, quirks, refusals), rules)
        made += [(area, atom.first, atom.end) for atom in alone]
        for run in found:
            made += _joined(area, [(atom.first, atom.end) for atom in run], rules.limit, widest_gap)
    return made


def line_ns(made: Sequence[tuple[Area, int, int]], cost: LineCost, turnaround_ns: int) -> int:
    return sum(cost.read_ns(area, end - first, turnaround_ns) for area, first, end in made)


def _joined(
    area: Area, run: Sequence[tuple[int, int]], limit: int, widest_gap: int | None
) -> list[tuple[Area, int, int]]:
    made = [(area, *run[0])]
    for first, end in run[1:]:
        _, begin, last = made[-1]
        near = widest_gap is None or first - last <= widest_gap
        if near and end - begin <= limit:
            made[-1] = (area, begin, end)
        else:
            made.append((area, first, end))
    return made
