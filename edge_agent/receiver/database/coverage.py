"""Pure: which intervals of a stream a batch changes.

The database keeps disjoint intervals that do not touch, so a stream without holes is one row, however long it
is. Only what lies around the new ones is looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.receiver.intervals import Intervals

Span = tuple[int, int]
_NEAR = 100


@dataclass(frozen=True, slots=True)
class Change:
    remove: tuple[Span, ...]
    add: tuple[Span, ...]


def intervals(spans: Iterable[Span] = ()) -> Intervals:
    """Without a bound: the database holds as many as there are."""
    return Intervals(tuple(spans), max_intervals=sys.maxsize)


def reaches(new: Intervals) -> list[Span]:
    """Where to look for intervals that overlap or touch `new`. Those that are near each other are one, so
    that a receiver which gets every other record asks once; those that are far apart are not, so that live
    records and a backlog do not fetch everything between them."""
    found: list[Span] = []
    for first, last in new:
        if found and first - found[-1][1] <= _NEAR:
            found[-1] = (found[-1][0], last + 1)
        else:
            found.append((first - 1, last + 1))
    return found


def change(known: Sequence[Span], new: Intervals) -> Change:
    """What becomes of the intervals `known` (all that overlap or touch `new`, and maybe others)."""
    merged = intervals(known)
    for first, last in new:
        merged.add(first, last)
    before, after = set(known), set(merged)
    return Change(tuple(sorted(before - after)), tuple(sorted(after - before)))
