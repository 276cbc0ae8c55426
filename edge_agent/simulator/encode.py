"""Values to registers and back, for every type and order. Pure.

The way back is here too, written with `struct` alone: it is the plain twin that tests hold against
the agent's own decoding. A value is scaled, rounded and kept within its type's range, as a device
does, never refused.
"""

from __future__ import annotations

import math
import struct

from edge_agent.model import Order, PointDef, PointType

Raw = int | float | str

_STRUCT = {
    PointType.U16: ">H", PointType.S16: ">h", PointType.U32: ">I", PointType.S32: ">i",
    PointType.U64: ">Q", PointType.S64: ">q", PointType.F32: ">f", PointType.F64: ">d",
    PointType.BOOL: ">H",
}  # fmt: skip
_BCD_DIGITS = {PointType.BCD16: 4, PointType.BCD32: 8}


def raw_range(type_: PointType) -> tuple[int, int]:
    """Least and greatest integer the type holds (not for floats and strings)."""
    if type_ is PointType.BOOL:
        return 0, 1
    if type_ in _BCD_DIGITS:
        return 0, 10 ** _BCD_DIGITS[type_] - 1
    bits = 16 * type_.words
    signed = type_ in (PointType.S16, PointType.S32, PointType.S64)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def to_raw(point: PointDef, value: Raw) -> Raw:
    """Undo scale and offset, round, and keep within what the register holds."""
    if isinstance(value, str) or point.type is PointType.STRING:
        return str(value)
    if point.scale != 1.0 or point.offset != 0.0:
        value = (value - point.offset) / point.scale
    if point.type.is_float:
        return value
    if isinstance(value, float) and math.isnan(value):
        return 0
    low, high = (0, (1 << point.bits[1]) - 1) if point.bits else raw_range(point.type)
    # Clamped before rounding: an infinity has no integer.
    return round(min(max(value, low), high))


def encode(point: PointDef, value: Raw) -> tuple[int, ...]:
    """The registers (or the one bit) of `value`, which is in the point's unit.

    A slice of bits stands in its place, all other bits 0, ready to be or-ed with its neighbours.
    """
    raw = to_raw(point, value)
    if point.bits and isinstance(raw, int):
        low, high = raw_range(point.type)
        raw = raw << point.bits[0]
        raw = raw - (high - low + 1) if raw > high else raw
    return words_of(point.type, point.order, raw, point.length_words)


def words_of(type_: PointType, order: Order, raw: Raw, length_words: int = 0) -> tuple[int, ...]:
    """Registers in the order of the wire for a raw value."""
    return _arrange(type_, order, _big_endian(type_, raw, length_words))


def raw_of(type_: PointType, order: Order, words: tuple[int, ...]) -> Raw:
    """The raw value of registers: the inverse of `words_of`.

    Digits above 9 in BCD count as they are; tests that care look at the words.
    """
    data = b"".join(struct.pack(">H", word) for word in _arrange(type_, order, words))
    if type_ is PointType.STRING:
        return data.rstrip(b"\0 ").decode("latin-1")
    if type_ in _BCD_DIGITS:
        return sum(int(digit, 16) * 10**place for place, digit in enumerate(reversed(data.hex())))
    raw = struct.unpack(_STRUCT[type_], data)[0]
    return int(raw != 0) if type_ is PointType.BOOL else raw


def value_of(point: PointDef, words: tuple[int, ...]) -> Raw | None:
    """The value in the point's unit; None where the registers say "no value"."""
    raw = raw_of(point.type, point.order, words)
    if isinstance(raw, str):
        return raw
    if isinstance(raw, float) and not math.isfinite(raw):
        return None
    if point.invalid and _unsigned(point, words) in point.invalid:
        return None
    if point.bits:
        raw = _unsigned(point, words) >> point.bits[0] & (1 << point.bits[1]) - 1
    return raw if point.scale == 1.0 and point.offset == 0.0 else raw * point.scale + point.offset


def no_value(point: PointDef) -> tuple[int, ...] | None:
    """The registers with which the device says "no value"; None where it has no way to say so."""
    if point.invalid:
        data = point.invalid[0].to_bytes(2 * point.words, "big")
        return _arrange(point.type, point.order, struct.unpack(f">{point.words}H", data))
    return words_of(point.type, point.order, math.nan) if point.type.is_float else None


def _unsigned(point: PointDef, words: tuple[int, ...]) -> int:
    ordered = _arrange(point.type, point.order, words)
    return int.from_bytes(b"".join(struct.pack(">H", word) for word in ordered), "big")


def _big_endian(type_: PointType, raw: Raw, length_words: int) -> tuple[int, ...]:
    if type_ is PointType.STRING:
        data = str(raw).encode("latin-1", "replace")[: 2 * length_words].ljust(2 * length_words, b"\0")
    elif type_ in _BCD_DIGITS:
        data = bytes.fromhex(f"{raw:0{_BCD_DIGITS[type_]}d}")
    else:
        data = _pack(type_, raw)
    return struct.unpack(f">{len(data) // 2}H", data)


def _pack(type_: PointType, raw: Raw) -> bytes:
    try:
        return struct.pack(_STRUCT[type_], raw)
    except OverflowError:
        # Too large for f32: what a device's own conversion gives.
        return struct.pack(_STRUCT[type_], math.copysign(math.inf, float(raw)))


def _arrange(type_: PointType, order: Order, words: tuple[int, ...]) -> tuple[int, ...]:
    """Most significant first to wire order and back: both reversals undo themselves.

    Text has no most significant word, so only the bytes within its words may be swapped.
    """
    if order.bytes_swapped:
        words = tuple((word << 8 & 0xFF00) | word >> 8 for word in words)
    if order.low_word_first and type_ is not PointType.STRING:
        words = words[::-1]
    return words
