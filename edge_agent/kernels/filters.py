"""The filter chain of a point: median despike, first-order low pass, dead band, in any order.

Owns what a filter keeps between values. Sees usable values only: the caller leaves out bad and
implausible ones, so they neither enter a filter nor move its output. Every output is finite when
every input is.
"""

from __future__ import annotations

from edge_agent.kernels.intrinsics import exp, is_finite
from edge_agent.kernels.layout import (
    F_FILLED,
    F_KIND,
    F_NEXT,
    F_NS,
    F_OUT,
    F_PARAMETER,
    F_RING,
    F_SAMPLES,
    FILTER_AT,
    FILTER_COUNT,
    LOWPASS,
    MEDIAN,
    ROW,
    Floats,
    Ints,
)
from edge_agent.kernels.registry import kernel


@kernel("f64(i64, f64, i64*, i64*, f64*)", exported=False)
def median(at: int, value: float, config_i: Ints, state_i: Ints, state_f: Floats) -> float:
    """The median of the last F_SAMPLES values; until they are there, of those that are.

    Of an even number it is the lower of the two in the middle, so that the output is always a value
    that was measured. The rank is counted instead of sorted: at most 15 values, and no scratch space.
    """
    samples = config_i[at + F_SAMPLES]
    place = state_i[at + F_NEXT]
    state_f[at + F_RING + place] = value
    state_i[at + F_NEXT] = 0 if place + 1 >= samples else place + 1
    filled = state_i[at + F_FILLED]
    if filled < samples:
        filled += 1
        state_i[at + F_FILLED] = filled
    rank = (filled - 1) // 2
    first = at + F_RING
    for i in range(filled):
        candidate = state_f[first + i]
        below = 0
        equal = 0
        for j in range(filled):
            if state_f[first + j] < candidate:
                below += 1
            elif state_f[first + j] == candidate:
                equal += 1
        if below <= rank and rank < below + equal:
            return candidate
    return value


@kernel("f64(i64, f64, i64, f64*, i64*, f64*)", exported=False)
def lowpass(at: int, value: float, mono_ns: int, config_f: Floats, state_i: Ints, state_f: Floats) -> float:
    """First order with time constant tau, stepped by the time since the last usable value.

    The first value is the first output. `out + share * step` and not a weighted sum, because only
    so a constant input stays exactly constant at any offset; the sum serves where the step overflows.
    """
    if state_i[at + F_FILLED] == 0:
        out = value
    else:
        out = state_f[at + F_OUT]
        dt_ns = mono_ns - state_i[at + F_NS]
        if dt_ns > 0:
            kept = exp(-(dt_ns / config_f[at + F_PARAMETER]))
            step = value - out
            if is_finite(step):
                out = out + (1.0 - kept) * step
            else:
                out = kept * out + (1.0 - kept) * value
    state_i[at + F_FILLED] = 1
    state_i[at + F_NS] = mono_ns
    state_f[at + F_OUT] = out
    return out


@kernel("f64(i64, f64, f64*, i64*, f64*)", exported=False)
def deadband(at: int, value: float, config_f: Floats, state_i: Ints, state_f: Floats) -> float:
    """Holds its output until the input is further than the width away, then takes the input."""
    held = state_f[at + F_OUT]
    width = config_f[at + F_PARAMETER]
    if state_i[at + F_FILLED] != 0 and value - held <= width and held - value <= width:
        return held
    state_i[at + F_FILLED] = 1
    state_f[at + F_OUT] = value
    return value


@kernel("f64(i64, f64, i64, i64*, f64*, i64*, f64*)")
def filter_value(
    at: int,
    value: float,
    mono_ns: int,
    config_i: Ints,
    config_f: Floats,
    state_i: Ints,
    state_f: Floats,
) -> float:
    """Send one usable value of the point at cell `at` through its stages; returns the output."""
    stage = config_i[at + FILTER_AT]
    for _ in range(config_i[at + FILTER_COUNT]):
        kind = config_i[stage + F_KIND]
        if kind == MEDIAN:
            value = median(stage, value, config_i, state_i, state_f)
        elif kind == LOWPASS:
            value = lowpass(stage, value, mono_ns, config_f, state_i, state_f)
        else:
            value = deadband(stage, value, config_f, state_i, state_f)
        stage += ROW
    return value
