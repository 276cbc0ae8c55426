"""The arithmetic coder of column bodies: bits with adaptive odds, and signed numbers made of them.

Owns the interval, its bytes and the contexts. One function serves both directions: encoding, it takes
the bit or number it is given; decoding, it ignores that and returns what the bytes say. So what is
written and what is read cannot drift apart. Knows nothing of rows.

Sources: range coder with byte-wise renormalisation after G. N. N. Martin (1979), binary decisions as
in LZMA; odds by the estimator of Krichevsky and Trofimov until they have been used often.
Bounds: every call ends after at most 64 steps; nothing is written beyond END, nothing read beyond it
(missing bytes are 0), and whatever the bytes are, no number leaves 64 bits.
"""

from __future__ import annotations

from edge_agent.kernels.column_layout import (
    AT,
    DECODING,
    END,
    FAILED,
    HALVES,
    LOW,
    RANGE,
    SIGNS,
    SIZES,
)
from edge_agent.kernels.intrinsics import bit_length
from edge_agent.kernels.layout import Buffer, Ints
from edge_agent.kernels.registry import kernel

FULL = 1 << 32
LEAST_RANGE = 1 << 24
EVEN = 1 << 15
MOST_USES = 126
"""Odds follow the last 128 uses: long enough to be exact, short enough for what changes."""
LONGEST = 60
"""Bits of the largest number that is coded."""


@kernel("void(i64, i64, i64*, u8*)", exported=False)
def begin(decoding: int, size: int, work: Ints, data: Buffer) -> None:
    """Start on `data`: room for `size` bytes when encoding, that many bytes of content when decoding."""
    work[DECODING] = decoding
    work[LOW] = 0
    work[RANGE] = FULL
    work[AT] = 0
    work[END] = size
    work[FAILED] = 0
    if decoding != 0:
        for _ in range(4):
            next_byte(work, data)


@kernel("void(i64*, u8*)", exported=False)
def next_byte(work: Ints, data: Buffer) -> None:
    at = work[AT]
    work[AT] = at + 1
    work[LOW] = work[LOW] * 256 + (data[at] if at < work[END] else 0)


@kernel("void(i64, i64*, u8*)", exported=False)
def put_byte(byte: int, work: Ints, data: Buffer) -> None:
    """Append `byte`; 256 and more carries into the bytes before it."""
    at = work[AT]
    if at >= work[END]:
        work[FAILED] = 1
        return
    if byte > 255:
        carried = at - 1
        while carried > 0 and data[carried] == 255:
            data[carried] = 0
            carried -= 1
        data[carried] = data[carried] + 1
    data[at] = byte & 255
    work[AT] = at + 1


@kernel("void(i64*, u8*)", exported=False)
def renormalise(work: Ints, data: Buffer) -> None:
    while work[RANGE] < LEAST_RANGE:
        work[RANGE] = work[RANGE] * 256
        if work[DECODING] != 0:
            next_byte(work, data)
        else:
            put_byte(work[LOW] >> 24, work, data)
            work[LOW] = (work[LOW] & (LEAST_RANGE - 1)) * 256


@kernel("i64(i64*, u8*)", exported=False)
def finish(work: Ints, data: Buffer) -> int:
    """The bytes that were needed; -1 when there was no room, or when not all of the bytes were read."""
    if work[FAILED] != 0:
        return -1
    if work[DECODING] != 0:
        return work[END] if work[AT] >= work[END] else -1
    # One byte that lies within the interval, whatever zeros follow.
    put_byte((work[LOW] + LEAST_RANGE - 1) >> 24, work, data)
    if work[FAILED] != 0:
        return -1
    length = work[AT]
    while length > 0 and data[length - 1] == 0:
        length -= 1
    return length


@kernel("i64(i64, i64, i64*, u8*)", exported=False)
def code_bit(bit: int, context: int, work: Ints, data: Buffer) -> int:
    """A bit by the odds in the cell `context`, which learn from it."""
    cell = work[context]
    odds = (cell >> 8) ^ EVEN
    uses = cell & 255
    bound = (work[RANGE] >> 16) * odds
    if work[DECODING] != 0:
        bit = 1 if work[LOW] >= bound else 0
    if bit != 0:
        work[LOW] = work[LOW] - bound if work[DECODING] != 0 else work[LOW] + bound
        work[RANGE] -= bound
        odds -= odds // (uses + 2)
    else:
        work[RANGE] = bound
        odds += (2 * EVEN - odds) // (uses + 2)
    if uses < MOST_USES:
        uses += 1
    work[context] = (odds ^ EVEN) * 256 + uses
    if work[RANGE] < LEAST_RANGE:
        renormalise(work, data)
    return bit


@kernel("i64(i64, i64, i64, i64*, u8*)", exported=False)
def code_tree(value: int, bits: int, context: int, work: Ints, data: Buffer) -> int:
    """A number of `bits` bits, the highest first, each with odds of its own behind those before it."""
    node = 1
    for i in range(bits):
        bit = (value >> (bits - 1 - i)) & 1
        node = node * 2 + code_bit(bit, context + node, work, data)
    return node - (1 << bits)


@kernel("i64(i64, i64, i64*, u8*)", exported=False)
def code_plain(value: int, bits: int, work: Ints, data: Buffer) -> int:
    """A number of up to 60 bits at even odds, 16 bits at a time, the highest first."""
    result = 0
    left = bits
    while left > 0:
        count = 16 if left > 16 else left
        left -= count
        part = (value >> left) & ((1 << count) - 1)
        step = work[RANGE] >> count
        if work[DECODING] != 0:
            part = work[LOW] // step
            if part >> count != 0:
                # No encoder leaves the interval; only damage does.
                work[FAILED] = 1
                work[LOW] = 0
                part = 0
            work[LOW] -= part * step
        else:
            work[LOW] += part * step
        work[RANGE] = step
        renormalise(work, data)
        result = (result << count) | part
    return result


@kernel("i64(i64, i64, i64, i64, i64*, u8*)", exported=False)
def code_number(number: int, bank: int, scale: int, sign: int, work: Ints, data: Buffer) -> int:
    """A signed number of at most 60 bits by the contexts of a bank.

    `scale` is the size in bits expected, in sixteenths; `sign` what the last number of the same source
    had: 0 for zero or unknown, 1 for positive, 2 for negative.
    """
    expected = (scale + 8) // 16
    magnitude = abs(number)
    quiet = bank + min(expected, 7) * 2 + (1 if sign == 0 else 0)
    if code_bit(1 if magnitude != 0 else 0, quiet, work, data) == 0:
        return 0
    usual = max(expected, 1)
    size = bit_length(magnitude)
    sizes = bank + SIZES + min(expected, 3) * 64
    size = (code_tree((size - usual + 64) % 64, 6, sizes, work, data) + usual) % 64
    if size == 0 or size > LONGEST:
        work[FAILED] = 1
        return 0
    negative = code_bit(1 if number < 0 else 0, bank + SIGNS + sign, work, data)
    below = size - 1
    result = 1
    if below > 0:
        below -= 1
        half = bank + HALVES + min(max(size - usual, -2), 2) + 2
        result = 2 + code_bit((magnitude >> below) & 1, half, work, data)
        result = (result << below) | code_plain(magnitude & ((1 << below) - 1), below, work, data)
    return -result if negative != 0 else result


@kernel("i64(i64, i64)", exported=False)
def moved_scale(scale: int, number: int) -> int:
    """The expected size, in sixteenths of a bit, after `number`."""
    return (3 * scale + 16 * bit_length(abs(number)) + 2) // 4


@kernel("i64(i64)", exported=False)
def sign_of(number: int) -> int:
    if number > 0:
        return 1
    return 2 if number < 0 else 0
