"""When a row of samples is expected, in microseconds after the body's t0.

Owns the three ways to foresee a time: as long after the row before as last time (requests that follow
each other), the point's last period, and its mean period (a schedule). The one that cost least lately,
over all points, is taken, on both sides alike.
"""

from __future__ import annotations

from edge_agent.kernels.coder import code_number, moved_scale
from edge_agent.kernels.column_layout import (
    GAP,
    GAP_SCALE,
    LAST_TIME,
    MEAN_STEP,
    OF_TIMES,
    SEEN,
    STEP,
    TIME,
    TIME_COST,
    TIME_SCALE,
)
from edge_agent.kernels.layout import Buffer, Ints
from edge_agent.kernels.registry import kernel
from edge_agent.kernels.slots import charge, cheapest, within


@kernel("i64(i64, i64, i64*)", exported=False)
def expected_time(slot: int, way: int, work: Ints) -> int:
    if way == 0 or work[slot + SEEN] < 2:
        return work[TIME] + work[slot + GAP]
    if way == 1:
        return work[slot + LAST_TIME] + work[slot + STEP]
    return work[slot + LAST_TIME] + (work[slot + MEAN_STEP] + 8) // 16


@kernel("void(i64, i64, i64*, u8*)", exported=False)
def code_time(slot: int, time: int, work: Ints, data: Buffer) -> None:
    """The time of a row that has one of its own; TIME moves to it."""
    guess = expected_time(slot, cheapest(TIME_COST, work), work)
    scale = work[slot + GAP_SCALE] - 1 if work[slot + GAP_SCALE] > 0 else work[TIME_SCALE]
    error = code_number(time - guess, OF_TIMES, scale, 0, work, data)
    time = within(guess + error, work)
    for way in range(3):
        charge(TIME_COST + way, time - expected_time(slot, way, work), work)
    work[TIME_SCALE] = moved_scale(work[TIME_SCALE], error)
    work[slot + GAP_SCALE] = moved_scale(scale, error) + 1
    work[slot + GAP] = time - work[TIME]
    work[TIME] = time


@kernel("void(i64, i64*)", exported=False)
def note_time(slot: int, work: Ints) -> None:
    """A row of the slot has the time that TIME is."""
    step = work[TIME] - work[slot + LAST_TIME]
    if work[slot + SEEN] == 1:
        work[slot + MEAN_STEP] = 16 * step
    elif work[slot + SEEN] == 2:
        work[slot + MEAN_STEP] += (16 * step - work[slot + MEAN_STEP]) // 4
    work[slot + STEP] = step
    work[slot + LAST_TIME] = work[TIME]
    work[slot + SEEN] = min(work[slot + SEEN] + 1, 2)
