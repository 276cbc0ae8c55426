"""Threshold alarms with a dead band on clearing, and delays measured between sample times.

Owns the four states of an alarm and how a usable value moves them:

    state        condition holds                      condition does not hold
    NORMAL       PENDING_ON, or ACTIVE (raised)       NORMAL
    PENDING_ON   PENDING_ON, or ACTIVE (raised)       NORMAL
    ACTIVE       ACTIVE                               PENDING_OFF, or NORMAL (cleared)
    PENDING_OFF  ACTIVE                               PENDING_OFF, or NORMAL (cleared)

The second choice is taken when the delay is over. Once raised, the condition is widened by the dead
band. Bad and implausible values do not come here, so they neither raise nor clear; and the time from
the last usable value before them to the first one after them is not counted (`step_ns` is 0 then).
"""

from __future__ import annotations

from edge_agent.kernels.decode import is_usable
from edge_agent.kernels.layout import (
    A_DEADBAND,
    A_ELAPSED_NS,
    A_HIGH,
    A_KIND,
    A_LOW,
    A_OFF_DELAY_NS,
    A_ON_DELAY_NS,
    A_RAW_INPUT,
    A_STATE,
    A_VALUE,
    ABOVE,
    ACTIVE,
    ALARM_AT,
    ALARM_COUNT,
    BELOW,
    CLEARED,
    EQUALS,
    FILTERED,
    GOOD_NS,
    GOOD_VALUE,
    MOVE,
    NEVER,
    NORMAL,
    OUTSIDE,
    PENDING_OFF,
    PENDING_ON,
    QUALITY,
    RAISED,
    RATE_ABOVE,
    ROW,
    VALUE,
    Floats,
    Ints,
)
from edge_agent.kernels.registry import kernel

NS_PER_S = 1e9


@kernel("i64(i64, f64, f64, i64*, f64*)", exported=False)
def holds(at: int, value: float, slack: float, config_i: Ints, config_f: Floats) -> int:
    """1 when the alarm's condition holds with its limits moved towards normal by `slack`."""
    kind = config_i[at + A_KIND]
    low = config_f[at + A_LOW]
    high = config_f[at + A_HIGH]
    result = 0
    if kind in (ABOVE, RATE_ABOVE, OUTSIDE):
        if value > high - slack:
            result = 1
    elif kind == EQUALS and value - low <= slack and low - value <= slack:
        result = 1
    if (kind in (BELOW, OUTSIDE)) and value < low + slack:
        result = 1
    return result


@kernel("i64(i64, f64, i64, i64*, f64*, i64*, f64*)")
def alarm_step(
    at: int,
    value: float,
    step_ns: int,
    config_i: Ints,
    config_f: Floats,
    state_i: Ints,
    state_f: Floats,
) -> int:
    """Show the alarm at cell `at` one compared value, `step_ns` of counted time after the last one.

    Returns RAISED, CLEARED, or 0 when nothing was raised or cleared.
    """
    state = state_i[at + A_STATE]
    raised_before = state in (ACTIVE, PENDING_OFF)
    slack = config_f[at + A_DEADBAND] if raised_before else 0.0
    wanted = holds(at, value, slack, config_i, config_f) != 0
    if wanted == raised_before:
        state_i[at + A_STATE] = ACTIVE if wanted else NORMAL
        return 0
    waiting = state in (PENDING_ON, PENDING_OFF)
    elapsed_ns = state_i[at + A_ELAPSED_NS] + step_ns if waiting else 0
    state_i[at + A_ELAPSED_NS] = elapsed_ns
    if elapsed_ns < config_i[at + (A_ON_DELAY_NS if wanted else A_OFF_DELAY_NS)]:
        state_i[at + A_STATE] = PENDING_ON if wanted else PENDING_OFF
        return 0
    state_i[at + A_STATE] = ACTIVE if wanted else NORMAL
    state_f[at + A_VALUE] = value
    return RAISED if wanted else CLEARED


@kernel("i64(i64, i64, f64, i64, i64*, f64*, i64*, f64*, i64*)", exported=False)
def judge_alarms(
    at: int,
    mono_ns: int,
    filtered: float,
    found: int,
    config_i: Ints,
    config_f: Floats,
    state_i: Ints,
    state_f: Floats,
    moves: Ints,
) -> int:
    """Show a usable value of the point at cell `at` to all its alarms; returns `found` and the new moves.

    Must run while QUALITY, GOOD_NS, GOOD_VALUE and FILTERED are still those of the value before. Time
    counts only if that value came with the poll before this one. A rate needs two usable values at
    two times; without them its alarm keeps its state.
    """
    before_ns = state_i[at + GOOD_NS]
    passed_ns = 0
    if before_ns != NEVER and mono_ns > before_ns:
        passed_ns = mono_ns - before_ns
    quality_before = state_i[at + QUALITY]
    step_ns = passed_ns if is_usable(quality_before) != 0 else 0
    alarm = config_i[at + ALARM_AT]
    for _ in range(config_i[at + ALARM_COUNT]):
        raw_input = config_i[alarm + A_RAW_INPUT] != 0
        compared = state_f[at + VALUE] if raw_input else filtered
        is_rate = config_i[alarm + A_KIND] == RATE_ABOVE
        if is_rate and passed_ns > 0:
            before = state_f[at + GOOD_VALUE] if raw_input else state_f[at + FILTERED]
            compared = (compared - before) / (passed_ns / NS_PER_S)
        if passed_ns > 0 or not is_rate:
            move = alarm_step(alarm, compared, step_ns, config_i, config_f, state_i, state_f)
            if move != 0:
                moves[found * MOVE] = alarm
                moves[found * MOVE + 1] = move
                found += 1
        alarm += ROW
    return found
