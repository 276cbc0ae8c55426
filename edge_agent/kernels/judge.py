"""The whole judgement of one block in one call: decode, filter, alarms, window.

Owns the order in which a poll changes a point's state. What a sample or the status shows is read
from that state afterwards (RAW, NUMBER, VALUE, FILTERED, QUALITY, CHANGED), so there is no second
copy of it. Must stay cheap: a call costs about a microsecond before it looks at the first point.
"""

from __future__ import annotations

from edge_agent.kernels.alarms import judge_alarms
from edge_agent.kernels.decode import decode, is_usable
from edge_agent.kernels.filters import filter_value
from edge_agent.kernels.layout import (
    CHANGED,
    FILTER_COUNT,
    FILTERED,
    FIRST_BAD,
    GOOD_NS,
    GOOD_VALUE,
    POLL_NS,
    QUALITY,
    RAW,
    ROW,
    SAID,
    SAID_QUALITY,
    SAID_RAW,
    VALUE,
    WINDOWED,
    Bytes,
    Floats,
    Ints,
)
from edge_agent.kernels.registry import kernel
from edge_agent.kernels.windows import window_add


@kernel("void(i64, i64, i64*, i64*, f64*)", exported=False)
def note_change(at: int, quality: int, config_i: Ints, state_i: Ints, state_f: Floats) -> None:
    """Set CHANGED: does this poll say something else than the last one that said something?

    With a filter its output is compared, without one the register's own integer (floats by their
    bits), so that no step of a 64-bit counter is rounded away. A bad poll has no value to compare.
    """
    changed = quality != state_i[at + SAID_QUALITY]
    if quality < FIRST_BAD:
        if config_i[at + FILTER_COUNT] > 0:
            changed = changed or state_f[at + FILTERED] != state_f[at + SAID]
        else:
            changed = changed or state_i[at + RAW] != state_i[at + SAID_RAW]
        state_f[at + SAID] = state_f[at + FILTERED]
        state_i[at + SAID_RAW] = state_i[at + RAW]
    state_i[at + SAID_QUALITY] = quality
    state_i[at + CHANGED] = 1 if changed else 0


@kernel("i64(u8*, i64, i64*, i64, i64, i64, i64*, f64*, i64*, f64*, i64*)")
def judge(
    payload: Bytes,
    address: int,
    points: Ints,
    n: int,
    mono_ns: int,
    quality: int,
    config_i: Ints,
    config_f: Floats,
    state_i: Ints,
    state_f: Floats,
    moves: Ints,
) -> int:
    """Take one outcome through everything that its points ask for.

    `payload` holds the registers (or packed bits) from `address` on and covers all `n` points, each of
    which is listed once; with a bad `quality` it is not looked at. `mono_ns` is the time of the reply's
    last byte. Writes the transitions of alarms to `moves` (MOVE cells each; room for all alarms of the
    points) and returns how many there are.
    """
    found = 0
    for k in range(n):
        at = points[k] * ROW
        judged = quality
        if quality < FIRST_BAD:
            decoded = decode(payload, address, at, config_i, config_f, state_i, state_f)
            judged = max(quality, decoded)
        if is_usable(judged) != 0:
            value = state_f[at + VALUE]
            filtered = filter_value(at, value, mono_ns, config_i, config_f, state_i, state_f)
            found = judge_alarms(at, mono_ns, filtered, found, config_i, config_f, state_i, state_f, moves)
            state_f[at + FILTERED] = filtered
            state_f[at + GOOD_VALUE] = value
            state_i[at + GOOD_NS] = mono_ns
        if config_i[at + WINDOWED] != 0:
            window_add(at, judged, state_f[at + VALUE], state_f[at + FILTERED], state_i, state_f)
        state_i[at + QUALITY] = judged
        state_i[at + POLL_NS] = mono_ns
        note_change(at, judged, config_i, state_i, state_f)
    return found
