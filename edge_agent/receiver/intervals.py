"""Pure: a set of whole numbers as intervals, for sequence numbers that mostly come in order.

Bounded: beyond `max_intervals` the two lowest ones are joined, and the hole between them is counted in
`given_up`; it stays counted as missing, only its place is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence


class Intervals:
    def __init__(self, spans: Sequence[tuple[int, int]] = (), max_intervals: int = 1024) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._max = max_intervals
        self.given_up = 0
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Include `first` to `last`, both included."""
        # Everything that overlaps or touches [first, last] becomes one interval with it.
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        if len(self._firsts) > self._max:
            self.given_up += self._firsts[1] - self._lasts[0] - 1
            del self._firsts[1], self._lasts[0]

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self._lasts, number)
        return place < len(self._lasts) and self._firsts[place] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        """How many intervals, not how many numbers."""
        return len(self._firsts)

    @property
    def highest(self) -> int:
        """0 when empty."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def lowest(self) -> int:
        """0 when empty."""
        return self._firsts[0] if self._firsts else 0

    def holes(self, first: int, last: int) -> list[tuple[int, int]]:
        """What of `first` to `last` is not included."""
        found = []
        for low, high in self:
            if high < first:
                continue
            if low > last:
                break
            if low > first:
                found.append((first, low - 1))
            first = high + 1
        if first <= last:
            found.append((first, last))
        return found

    def reaches(self, first: int) -> int:
        """The end of the interval that holds `first`; `first` - 1 when none does."""
        place = bisect_left(self._lasts, first)
        inside = place < len(self._lasts) and self._firsts[place] <= first
        return self._lasts[place] if inside else first - 1
