"""Floats that began as decimals, and the two parts every other float is coded in.

Owns which integer with how many decimals a double came from, so that 230.1 is coded as 2301. Three
roundings occur in the field: the double nearest to 2301 / 10 (a rounded result), the same as a single
(a register of a device that divides), and 2301 * 0.1 (a register scaled by the agent). A decimal is
used only if it gives the very same bits back.
"""

from __future__ import annotations

from edge_agent.kernels.column_layout import (
    DIVIDED_SINGLE,
    FAILED,
    FITS,
    LARGEST,
    MOST_DECIMALS,
    MULTIPLIED,
    NO_FORM,
)
from edge_agent.kernels.intrinsics import f64_from_bits, high_bits, is_finite, low_bits
from edge_agent.kernels.layout import Ints
from edge_agent.kernels.registry import kernel

SPLIT = 536870913.0
"""2**29 + 1, which cuts a double to the 24 bits of a single (Veltkamp); exact for all decimals here."""
MOST_SINGLE = 1 << 24
MOST_DOUBLE = 1 << 53
SIGN_HALF = 1 << 31
LOW_MASK = (1 << 29) - 1


@kernel("f64(i64)", exported=False)
def power_of_ten(decimals: int) -> float:
    power = 1.0
    for _ in range(decimals):
        power *= 10.0
    return power


@kernel("f64(i64, i64)", exported=False)
def from_decimal(number: int, form: int) -> float:
    """The double that `number` means in a form (3 * decimals + rounding)."""
    power = power_of_ten(form // 3)
    rounding = form % 3
    if rounding == MULTIPLIED:
        return number * (1.0 / power)
    value = number / power
    if rounding == DIVIDED_SINGLE:
        spread = value * SPLIT
        value = spread - (spread - value)
    return value


@kernel("i64(i64)", exported=False)
def most_number(form: int) -> int:
    """What the numbers of a form stay below, so that every rounding is the nearest."""
    return MOST_SINGLE if form % 3 == DIVIDED_SINGLE else MOST_DOUBLE


@kernel("f64(i64, i64, i64*)", exported=False)
def checked_decimal(number: int, form: int, work: Ints) -> float:
    """`from_decimal`, and a failure for what no encoder writes."""
    if not (-most_number(form) < number < most_number(form) and form <= 3 * MOST_DECIMALS + MULTIPLIED):
        work[FAILED] = 1
        return 0.0
    return from_decimal(number, form)


@kernel("i64(f64, i64)", exported=False)
def to_decimal(value: float, form: int) -> int:
    """The number that means exactly `value` in a form; LARGEST when there is none."""
    most = most_number(form)
    scaled = value * power_of_ten(form // 3)
    if not -most < scaled < most:
        return LARGEST
    number = int(scaled + 0.5) if scaled >= 0.0 else int(scaled - 0.5)
    again = from_decimal(number, form)
    # Bits and not values: zero has two.
    if high_bits(again) != high_bits(value) or low_bits(again) != low_bits(value):
        return LARGEST
    return number


@kernel("void(f64, i64, i64*)", exported=False)
def try_decimals(value: float, slot: int, work: Ints) -> None:
    """Raise the decimals of a slot, for each rounding, until they fit `value` too, or give them up."""
    for rounding in range(3):
        decimals = work[slot + FITS + rounding]
        while 0 <= decimals <= MOST_DECIMALS and to_decimal(value, 3 * decimals + rounding) == LARGEST:
            decimals += 1
        work[slot + FITS + rounding] = decimals if decimals <= MOST_DECIMALS else -1


@kernel("i64(i64, i64*)", exported=False)
def fitting_form(slot: int, work: Ints) -> int:
    """The form with the fewest decimals that a slot's numbers led to; NO_FORM when there is none."""
    best = NO_FORM
    for rounding in range(3):
        decimals = work[slot + FITS + rounding]
        if decimals >= 0 and 3 * decimals + rounding < best:
            best = 3 * decimals + rounding
    return best


@kernel("i64(f64)", exported=False)
def is_plain(value: float) -> int:
    """1 for what decimals are tried on: a number, and not the negative zero."""
    return 1 if is_finite(value) and (value != 0.0 or high_bits(value) == 0) else 0


@kernel("i64(f64)", exported=False)
def upper_part(value: float) -> int:
    """The upper 35 bits of a double as a number that rises with it; of a single, all there is."""
    high = high_bits(value)
    magnitude = (high & (SIGN_HALF - 1)) * 8 + (low_bits(value) >> 29)
    return magnitude if high < SIGN_HALF else -1 - magnitude


@kernel("i64(f64)", exported=False)
def lower_part(value: float) -> int:
    """The lower 29 bits of a double; 0 in a single."""
    return low_bits(value) & LOW_MASK


@kernel("f64(i64, i64, i64*)", exported=False)
def from_parts(upper: int, lower: int, work: Ints) -> float:
    """The double with these parts; a failure where the upper has more than 35 bits."""
    magnitude = upper if upper >= 0 else -1 - upper
    if magnitude >= SIGN_HALF * 8:
        work[FAILED] = 1
        return 0.0
    high = magnitude // 8 + (0 if upper >= 0 else SIGN_HALF)
    return f64_from_bits(high, magnitude % 8 * 536870912 + lower)
