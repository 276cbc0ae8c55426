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


@dataclass(frozen=True, slots=True)
class Change:
    remove: tuple[Span, ...]
    add: tuple[Span, ...]


def intervals(spans: Iterable[Span] = ()) -> Intervals:
    """Without a bound: the database holds as many as there are."""
    return Intervals(tuple(spans), max_intervals=sys.maxsize)


def change(known: Sequence[Span], new: Intervals) -> Change:
    """What becomes of the intervals `known` (all that overlap or touch `new`, and maybe others)."""
    merged = intervals(known)
    for first, last in new:
        merged.add(first, last)
    before, after = set(known), set(merged)
    return Change(tuple(sorted(before - after)), tuple(sorted(after - before)))
