"""Where to cut a run of spans so that reading it takes the least time on the line.

Pure. Each request costs the same to begin with, and then by the length of what it reads; a gap is read
along where that is cheaper than a request of its own. Dynamic programming over the spans in order: the
best way to read the first j of them ends with a request that begins at some span i, and the best way
to read what lies before i is known.

With a cost that is linear in the length, the cost of beginning at i is a number of i alone, so the best
i is the least number among those within reach, and a window that only moves forward keeps that at hand:
the time is proportional to the spans, not to their square. Bits are packed eight to a byte: there the
cost is linear among the spans that begin at the same bit of a byte, hence eight windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

BITS_PER_BYTE = 8

Window = deque[tuple[int, int, int]]
"""(cost of beginning here, place, first item), of rising places and rising costs."""


def cheapest(
    spans: Sequence[tuple[int, int]], limit: int, fixed: int, each: int, per: int = 1
) -> list[tuple[int, int]]:
    """The requests as (place of the first span, one past that of the last one), in order.

    `spans` are (first item, one past the last item), both strictly rising, none longer than `limit`.
    A request costs `fixed`, and `each` for every `per` items it has begun: 1 for registers, 8 for
    bits. Of ways that cost the same, the one whose requests are filled up from the front.
    """
    costs = [0]
    begins = [0]
    windows: list[Window] = [deque() for _ in range(per)]
    for place, (first, end) in enumerate(spans):
        _enter(windows[first % per], costs[place] - first // per * each, place, first)
        least = best = -1
        for residue, window in enumerate(windows):
            while window and end - window[0][2] > limit:
                window.popleft()
            if not window:
                continue
            cost = window[0][0] + -(-(end - residue) // per) * each
            if best < 0 or (cost, -window[0][1]) < (least, -best):
                least, best = cost, window[0][1]
        costs.append(least + fixed)
        begins.append(best)
    return _traced(begins)


def _enter(window: Window, cost: int, place: int, first: int) -> None:
    # What costs no less and will be out of reach sooner can never be the best again.
    while window and window[-1][0] >= cost:
        window.pop()
    window.append((cost, place, first))


def _traced(begins: Sequence[int]) -> list[tuple[int, int]]:
    found = []
    end = len(begins) - 1
    while end > 0:
        found.append((begins[end], end))
        end = begins[end]
    return found[::-1]
