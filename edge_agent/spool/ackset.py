"""A set of positions as disjoint ranges: what is done, in a few numbers however much it is.

Live and backlog records are acknowledged independently, so what is done is not one number but a
handful of ranges. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last, both included."""


class AckSet:
    """Ranges are kept sorted, disjoint and never adjacent."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[Range]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """Number of ranges."""
        return len(self._starts)

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self._starts, position) - 1
        return place >= 0 and self._ends[place] >= position

    def add(self, first: int, last: int) -> None:
        """Add `first` to `last`, joining what touches."""
        if last < first:
            return
        low = bisect_left(self._ends, first - 1)
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first = min(first, self._starts[low])
            last = max(last, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [last]

    def covers(self, first: int, last: int) -> bool:
        """Whether all of `first` to `last` is in the set; true for an empty range."""
        if last < first:
            return True
        place = bisect_right(self._starts, first) - 1
        return place >= 0 and self._ends[place] >= last

    def missing(self, first: int, last: int) -> list[Range]:
        """The parts of `first` to `last` that are not in the set."""
        result: list[Range] = []
        place = bisect_left(self._ends, first)
        while first <= last:
            if place == len(self._starts) or self._starts[place] > last:
                return [*result, (first, last)]
            if self._starts[place] > first:
                result.append((first, self._starts[place] - 1))
            first = self._ends[place] + 1
            place += 1
        return result

    def forget_below(self, position: int) -> None:
        """Drop everything smaller than `position`: nobody asks for it any more."""
        place = bisect_left(self._ends, position)
        del self._starts[:place], self._ends[:place]
        if self._starts and self._starts[0] < position:
            self._starts[0] = position
