"""What the column coder remembers of one source of numbers, and how it foresees the next number.

Owns the slots' numbers: the three ways to foresee (the last, the line through the last two, a running
mean), of which the one that cost least lately is taken, on both sides alike. The first number of a
slot is foreseen from the first of the slot before it, the second from the first, each with contexts of
its own. Knows nothing of rows and times.
"""

from __future__ import annotations

from edge_agent.kernels.coder import code_number, moved_scale, sign_of
from edge_agent.kernels.column_layout import (
    COST,
    DOMAIN,
    FAILED,
    FIRST_NUMBER,
    FIRST_SCALE,
    KNOWN,
    LARGEST,
    LOW_BITS,
    LOW_SCALE,
    MEAN,
    NUMBER,
    NUMBER_BEFORE,
    OF_FIRST,
    OF_LOW,
    OF_NEXT,
    OF_SECOND,
    SCALE,
    SECOND_SCALE,
    SIGN,
)
from edge_agent.kernels.intrinsics import bit_length
from edge_agent.kernels.layout import Buffer, Ints
from edge_agent.kernels.registry import kernel


@kernel("i64(i64, i64*)", exported=False)
def cheapest(costs: int, work: Ints) -> int:
    """Which of three ways has the lowest cost, the first of equals."""
    best = 0
    if work[costs + 1] < work[costs]:
        best = 1
    if work[costs + 2] < work[costs + best]:
        best = 2
    return best


@kernel("void(i64, i64, i64*)", exported=False)
def charge(cost: int, error: int, work: Ints) -> None:
    """Let a cost follow the size of its errors, in sixteenths of a bit."""
    work[cost] = (7 * work[cost] + 16 * bit_length(abs(error))) // 8


@kernel("i64(i64, i64, i64*)", exported=False)
def foreseen(slot: int, way: int, work: Ints) -> int:
    if way == 0:
        return work[slot + NUMBER]
    if way == 1:
        return 2 * work[slot + NUMBER] - work[slot + NUMBER_BEFORE]
    return (work[slot + MEAN] + 8) // 16


@kernel("i64(i64, i64*)", exported=False)
def within(number: int, work: Ints) -> int:
    """`number`, or 0 and a failure where it is beyond what may enter the coder."""
    if -LARGEST <= number <= LARGEST:
        return number
    work[FAILED] = 1
    return 0


@kernel("void(i64, i64, i64, i64*)", exported=False)
def begin_slot(slot: int, domain: int, number: int, work: Ints) -> None:
    work[slot + DOMAIN] = domain
    work[slot + KNOWN] = 1
    work[slot + NUMBER] = number
    work[slot + NUMBER_BEFORE] = number
    work[slot + MEAN] = 16 * number
    work[slot + SIGN] = 0
    work[slot + LOW_BITS] = 0
    work[slot + LOW_SCALE] = 0
    for way in range(3):
        work[slot + COST + way] = 0


@kernel("void(i64, i64, i64*)", exported=False)
def learn(slot: int, number: int, work: Ints) -> None:
    for way in range(3):
        charge(slot + COST + way, number - foreseen(slot, way, work), work)
    work[slot + NUMBER_BEFORE] = work[slot + NUMBER]
    work[slot + NUMBER] = number
    work[slot + MEAN] += (16 * number - work[slot + MEAN]) // 4


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_first(slot: int, domain: int, number: int, work: Ints, data: Buffer) -> int:
    guess = work[FIRST_NUMBER + domain]
    scale = work[FIRST_SCALE + domain]
    error = code_number(number - guess, OF_FIRST, scale, 0, work, data)
    number = within(guess + error, work)
    work[FIRST_SCALE + domain] = moved_scale(scale, error)
    work[FIRST_NUMBER + domain] = number
    begin_slot(slot, domain, number, work)
    return number


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_in_slot(slot: int, domain: int, number: int, work: Ints, data: Buffer) -> int:
    """A number of a slot; another domain than the last one's starts it anew."""
    if work[slot + DOMAIN] != domain:
        return code_first(slot, domain, number, work, data)
    guess = foreseen(slot, cheapest(slot + COST, work), work)
    if work[slot + KNOWN] == 1:
        scale = work[SECOND_SCALE + domain]
        error = code_number(number - guess, OF_SECOND, scale, 0, work, data)
        work[slot + KNOWN] = 2
        work[SECOND_SCALE + domain] = moved_scale(scale, error)
        work[slot + SCALE] = 16 * bit_length(abs(error))
    else:
        scale = work[slot + SCALE]
        error = code_number(number - guess, OF_NEXT, scale, work[slot + SIGN], work, data)
        work[slot + SCALE] = moved_scale(scale, error)
    work[slot + SIGN] = sign_of(error)
    number = within(guess + error, work)
    learn(slot, number, work)
    return number


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_low_bits(slot: int, low: int, bits: int, work: Ints, data: Buffer) -> int:
    """What stands below a number, by its distance from the last on the circle of `bits` bits."""
    before = work[slot + LOW_BITS]
    full = 1 << bits
    error = (low - before + full + full // 2) % full - full // 2
    error = code_number(error, OF_LOW, work[slot + LOW_SCALE], 0, work, data)
    work[slot + LOW_SCALE] = moved_scale(work[slot + LOW_SCALE], error)
    # A damaged distance may be longer than the circle.
    low = (before + error % full) % full
    work[slot + LOW_BITS] = low
    return low
