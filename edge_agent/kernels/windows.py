"""What is kept of a point's values until its window is over.

Owns counts, extremes, mean and standard deviation of a window, and its reset when it is read. Knows
no clock: when a window ends is decided in the process stage.

`clock` (a value whose wall time is uncertain) counts as good; `implausible` and `stale` count as bad
like the bad qualities: their numbers are in no statistic. Minimum, maximum, first and last are of the
value, mean and standard deviation (of the population) of the filtered value. Mean and M2 follow
Welford: sums of squares lose everything at an offset of 1e9, which the tests pin.
"""

from __future__ import annotations

from edge_agent.kernels.decode import is_usable
from edge_agent.kernels.intrinsics import is_finite, sqrt
from edge_agent.kernels.layout import (
    BAD,
    COUNT,
    FIRST,
    GOOD,
    LAST,
    M2,
    MAX,
    MEAN,
    MIN,
    MISSING,
    OUT,
    OUT_BAD,
    OUT_COUNT,
    OUT_FIRST,
    OUT_LAST,
    OUT_MAX,
    OUT_MEAN,
    OUT_MIN,
    OUT_MISSING,
    OUT_STD,
    OUT_WORST,
    ROW,
    WORST,
    Floats,
    Ints,
)
from edge_agent.kernels.registry import kernel


@kernel("void(i64, f64, i64, f64*)", exported=False)
def spread(at: int, value: float, count: int, state_f: Floats) -> None:
    """One Welford step with the `count`-th value."""
    mean = state_f[at + MEAN]
    step = value - mean
    if is_finite(step):
        moved = mean + step / count
    else:
        # Two values of 1e308 and opposite sign: the mean is still a number, if slightly less exact.
        moved = mean + (value / count - mean / count)
    state_f[at + MEAN] = moved
    state_f[at + M2] += step * (value - moved)


@kernel("void(i64, i64, f64, f64, i64*, f64*)")
def window_add(at: int, quality: int, value: float, filtered: float, state_i: Ints, state_f: Floats) -> None:
    """Put one poll of the point at cell `at` into its window; `value` counts only if it is usable."""
    if quality > state_i[at + WORST]:
        state_i[at + WORST] = quality
    if is_usable(quality) == 0:
        state_i[at + BAD] += 1
        return
    count = state_i[at + COUNT] + 1
    state_i[at + COUNT] = count
    if count == 1:
        state_f[at + FIRST] = value
        state_f[at + MIN] = value
        state_f[at + MAX] = value
        state_f[at + MEAN] = 0.0
        state_f[at + M2] = 0.0
    if value < state_f[at + MIN]:
        state_f[at + MIN] = value
    if value > state_f[at + MAX]:
        state_f[at + MAX] = value
    state_f[at + LAST] = value
    spread(at, filtered, count, state_f)


@kernel("void(i64*, i64, i64*, f64*, i64*, f64*)")
def windows_read(points: Ints, n: int, state_i: Ints, state_f: Floats, out_i: Ints, out_f: Floats) -> None:
    """Write the windows of `n` points to `out_i` and `out_f` (OUT cells each) and empty them.

    Without a good value the numbers written to `out_f` mean nothing. A standard deviation that is
    beyond the range of a double is written as an infinity or NaN.
    """
    for k in range(n):
        at = points[k] * ROW
        out = k * OUT
        count = state_i[at + COUNT]
        out_i[out + OUT_COUNT] = count
        out_i[out + OUT_BAD] = state_i[at + BAD]
        out_i[out + OUT_MISSING] = state_i[at + MISSING]
        out_i[out + OUT_WORST] = state_i[at + WORST]
        state_i[at + COUNT] = 0
        state_i[at + BAD] = 0
        state_i[at + MISSING] = 0
        state_i[at + WORST] = GOOD
        if count > 0:
            out_f[out + OUT_MIN] = state_f[at + MIN]
            out_f[out + OUT_MAX] = state_f[at + MAX]
            out_f[out + OUT_MEAN] = state_f[at + MEAN]
            out_f[out + OUT_STD] = sqrt(state_f[at + M2] / count)
            out_f[out + OUT_FIRST] = state_f[at + FIRST]
            out_f[out + OUT_LAST] = state_f[at + LAST]
