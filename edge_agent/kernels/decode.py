"""Registers or bits as on the wire to a number in the point's unit, and its quality.

Owns byte orders, types, bit slices, BCD, invalid and implausible values. Knows nothing of requests:
the payload covers the point, which the caller has checked. Integers stay exact in `RAW`; only the
number that is filtered and judged is a double. Values travel as two 32-bit halves, because a kernel
may not do bit operations on numbers of 2**63 and more.

Source for the payload: Modbus Application Protocol V1.1b3, 6.1 (bits, first bit lowest) and 6.3
(registers, high byte first).
"""

from __future__ import annotations

from edge_agent.kernels.intrinsics import f32_from_bits, f64_from_bits, i64_from_bits, is_finite
from edge_agent.kernels.layout import (
    ADDRESS,
    BCD16,
    BCD32,
    BOOL,
    BYTES_SWAPPED,
    CLOCK,
    F32,
    F64,
    FIRST_BAD,
    GOOD,
    HAS_PLAUSIBLE,
    IMPLAUSIBLE,
    INVALID,
    INVALID_AT,
    INVALID_COUNT,
    LOW_WORD_FIRST,
    NUMBER,
    OFFSET,
    PLAUSIBLE_HIGH,
    PLAUSIBLE_LOW,
    RAW,
    S16,
    S32,
    SCALE,
    SLICE_COUNT,
    SLICE_LOW,
    TYPE,
    U32,
    U64,
    VALUE,
    WIDTH,
    Bytes,
    Floats,
    Ints,
)
from edge_agent.kernels.registry import kernel

TWO_32 = 4294967296.0


@kernel("i64(i64)", exported=False)
def is_usable(quality: int) -> int:
    """1 when a value of this quality is filtered and judged: good, or only its wall time uncertain."""
    return 1 if quality in (GOOD, CLOCK) else 0


@kernel("i64(u8*, i64, i64)", exported=False)
def word_at(payload: Bytes, at: int, swapped: int) -> int:
    """The 16 bits of the register whose first byte is `payload[at]`."""
    if swapped != 0:
        return payload[at + 1] * 256 + payload[at]
    return payload[at] * 256 + payload[at + 1]


@kernel("i64(u8*, i64, i64, i64)", exported=False)
def pair_at(payload: Bytes, at: int, low_first: int, swapped: int) -> int:
    """The 32 bits of the two registers that start at `payload[at]`."""
    first = word_at(payload, at, swapped)
    second = word_at(payload, at + 2, swapped)
    if low_first != 0:
        return second * 65536 + first
    return first * 65536 + second


@kernel("i64(u8*, i64, i64, i64*)", exported=False)
def low_half(payload: Bytes, address: int, at: int, config_i: Ints) -> int:
    """The lower 32 bits of a point's unsigned register value."""
    place = config_i[at + ADDRESS] - address
    width = config_i[at + WIDTH]
    low_first = config_i[at + LOW_WORD_FIRST]
    swapped = config_i[at + BYTES_SWAPPED]
    if width == 0:
        return (payload[place // 8] >> (place % 8)) & 1
    if width == 1:
        return word_at(payload, place * 2, swapped)
    if width == 2 or low_first != 0:
        return pair_at(payload, place * 2, low_first, swapped)
    return pair_at(payload, place * 2 + 4, low_first, swapped)


@kernel("i64(u8*, i64, i64, i64*)", exported=False)
def high_half(payload: Bytes, address: int, at: int, config_i: Ints) -> int:
    """The upper 32 bits of a point's unsigned register value; 0 for types of 32 bits and less."""
    if config_i[at + WIDTH] < 4:
        return 0
    first = (config_i[at + ADDRESS] - address) * 2
    low_first = config_i[at + LOW_WORD_FIRST]
    if low_first != 0:
        first += 4
    return pair_at(payload, first, low_first, config_i[at + BYTES_SWAPPED])


@kernel("i64(i64, i64, i64, i64)", exported=False)
def slice_low(high: int, low: int, shift: int, count: int) -> int:
    """The lower half of `count` bits from bit `shift` of a 64-bit value."""
    if shift >= 32:
        low = high >> (shift - 32)
    elif shift > 0:
        low = (low >> shift) | ((high & ((1 << shift) - 1)) << (32 - shift))
    if count < 32:
        return low & ((1 << count) - 1)
    return low


@kernel("i64(i64, i64, i64)", exported=False)
def slice_high(high: int, shift: int, count: int) -> int:
    """The upper half of `count` bits from bit `shift` of a 64-bit value."""
    if shift >= 32 or count <= 32:
        return 0
    high = high >> shift
    if count < 64:
        return high & ((1 << (count - 32)) - 1)
    return high


@kernel("i64(i64)", exported=False)
def bcd(bits: int) -> int:
    """The number that eight BCD digits spell; -1 when one of them is no decimal digit."""
    number = 0
    for i in range(8):
        digit = (bits >> (28 - 4 * i)) & 15
        if digit > 9:
            return -1
        number = number * 10 + digit
    return number


@kernel("i64(i64*, i64, i64)", exported=False)
def is_listed(config_i: Ints, at: int, raw: int) -> int:
    """1 when `raw` is one of the point's invalid raw values."""
    first = config_i[at + INVALID_AT]
    for i in range(config_i[at + INVALID_COUNT]):
        if config_i[first + i] == raw:
            return 1
    return 0


@kernel("i64(i64, i64, i64, i64, i64*, f64*)", exported=False)
def read_integer(at: int, kind: int, high: int, low: int, state_i: Ints, state_f: Floats) -> int:
    """Write RAW and NUMBER of an integer type from the halves of its bits; returns the quality."""
    raw = i64_from_bits(high, low)
    number = high * TWO_32 + low
    if kind in (BCD16, BCD32):
        raw = bcd(low)
        if raw < 0:
            return INVALID
    elif kind == BOOL and raw != 0:
        raw = 1
    elif kind == S16 and low >= 32768:
        raw = low - 65536
    elif kind == S32 and low >= 2147483648:
        raw = low - 4294967296
    state_i[at + RAW] = raw
    # The halves give a u64 its own number; every other type is what its 64-bit integer says.
    state_f[at + NUMBER] = number if kind == U64 else raw * 1.0
    return GOOD


@kernel("i64(i64, i64, i64, i64, i64*, f64*)", exported=False)
def read_float(at: int, kind: int, high: int, low: int, state_i: Ints, state_f: Floats) -> int:
    """Write RAW and NUMBER of a float from the halves of its bits; returns the quality."""
    number = f64_from_bits(high, low) if kind == F64 else f32_from_bits(low)
    if not is_finite(number):
        return INVALID
    state_i[at + RAW] = i64_from_bits(high, low)
    state_f[at + NUMBER] = number
    return GOOD


@kernel("i64(u8*, i64, i64, i64*, f64*, i64*, f64*)")
def decode(
    payload: Bytes, address: int, at: int, config_i: Ints, config_f: Floats, state_i: Ints, state_f: Floats
) -> int:
    """Decode one point from the registers or bits that start at `address`; returns its quality.

    Writes RAW, NUMBER and VALUE of the row at cell `at` unless the quality is bad: an invalid raw
    value, an invalid BCD digit, a float that is not finite, a value that overflows. A value outside
    the plausible range is written. A slice is taken from the unsigned register value before the
    type is looked at, and has no sign; a float has no slice.
    """
    kind = config_i[at + TYPE]
    high = high_half(payload, address, at, config_i)
    low = low_half(payload, address, at, config_i)
    if is_listed(config_i, at, i64_from_bits(high, low)) != 0:
        return INVALID
    if kind in (F32, F64):
        quality = read_float(at, kind, high, low, state_i, state_f)
    else:
        count = config_i[at + SLICE_COUNT]
        if count > 0:
            shift = config_i[at + SLICE_LOW]
            low_bits = slice_low(high, low, shift, count)
            high = slice_high(high, shift, count)
            low = low_bits
            if kind in (S16, S32):
                kind = U32
        quality = read_integer(at, kind, high, low, state_i, state_f)
    if quality >= FIRST_BAD:
        return quality
    value = state_f[at + NUMBER] * config_f[at + SCALE] + config_f[at + OFFSET]
    if not is_finite(value):
        return INVALID
    state_f[at + VALUE] = value
    if config_i[at + HAS_PLAUSIBLE] != 0 and (
        value < config_f[at + PLAUSIBLE_LOW] or value > config_f[at + PLAUSIBLE_HIGH]
    ):
        return IMPLAUSIBLE
    return GOOD
