"""Encoding against a decoder written from the definition of the orders, letter by letter."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model import Order, PointType
from edge_agent.simulator import encode
from tests.unit.simulator.factory import point

NUMBERS = [t for t in PointType if t not in (PointType.STRING, PointType.BOOL)]


def bytes_by_letters(order: Order, words: tuple[int, ...]) -> bytes:
    """Most significant first: byte k of the value stands where its letter stands on the wire."""
    wire = b"".join(word.to_bytes(2, "big") for word in words)
    pairs = [wire[n : n + 2] for n in range(0, len(wire), 2)]
    if order in (Order.BADC, Order.DCBA):
        pairs = [pair[::-1] for pair in pairs]
    if order in (Order.CDAB, Order.DCBA):
        pairs.reverse()
    return b"".join(pairs)


def decoded(type_: PointType, data: bytes) -> int | float:
    match type_:
        case PointType.F32:
            return struct.unpack(">f", data)[0]
        case PointType.F64:
            return struct.unpack(">d", data)[0]
        case PointType.BCD16 | PointType.BCD32:
            return int(data.hex())
        case _:
            return int.from_bytes(data, "big", signed=type_.value.startswith("s"))


def raws(type_: PointType) -> st.SearchStrategy[int | float]:
    if type_.is_float:
        return st.floats(width=32 if type_ is PointType.F32 else 64)
    low, high = encode.raw_range(type_)
    return st.integers(low, high)


@given(st.sampled_from(NUMBERS).flatmap(lambda t: st.tuples(st.just(t), raws(t))), st.sampled_from(Order))
def test_registers_decode_to_what_was_encoded(typed, order):
    type_, raw = typed
    words = encode.words_of(type_, order, raw)
    assert len(words) == type_.words
    for seen in (decoded(type_, bytes_by_letters(order, words)), encode.raw_of(type_, order, words)):
        assert not isinstance(seen, str)
        assert seen == raw or (math.isnan(raw) and math.isnan(seen))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("abcd", (0x0102, 0x0304)),
        ("cdab", (0x0304, 0x0102)),
        ("badc", (0x0201, 0x0403)),
        ("dcba", (0x0403, 0x0201)),
    ],
)
def test_orders_are_the_letters_on_the_wire(order: str, words: tuple[int, ...]):
    assert encode.words_of(PointType.U32, Order(order), 0x01020304) == words


@given(
    st.floats(-3000, 3000),
    st.sampled_from([0.1, 0.01, 1.0, -0.5, 10.0]),
    st.sampled_from([0.0, -40.0, 273.15]),
)
def test_scaled_value_comes_back_within_half_a_step(value: float, scale: float, offset: float):
    p = point(type=PointType.S32, scale=scale, offset=offset)
    assert encode.value_of(p, encode.encode(p, value)) == pytest.approx(value, abs=abs(scale) / 2 + 1e-9)


@given(st.one_of(st.floats(), st.integers(-(2**70), 2**70)), st.sampled_from(NUMBERS))
def test_any_number_fits_the_register_somehow(value, type_):
    words = encode.encode(point(type=type_), value)
    assert all(0 <= word <= 0xFFFF for word in words)
    if not type_.is_float and not math.isnan(value):
        low, high = encode.raw_range(type_)
        assert encode.value_of(point(type=type_), words) == round(min(max(value, low), high))


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=16), st.sampled_from(Order))
def test_text_survives_and_only_its_bytes_may_be_swapped(text: str, order: Order):
    p = point(type=PointType.STRING, length_words=8, order=order)
    words = encode.encode(p, text)
    assert len(words) == 8
    assert encode.value_of(p, words) == text


def test_slice_of_bits_stands_in_its_place():
    p = point(bits=(4, 3))
    assert encode.encode(p, 5) == (5 << 4,)
    assert encode.value_of(p, (0xFFDF,)) == 5
    assert encode.encode(p, 99) == (7 << 4,)


@given(st.sampled_from([PointType.U16, PointType.S32, PointType.U64]), st.sampled_from(Order))
def test_invalid_code_is_served_and_understood(type_: PointType, order: Order):
    code = 1 << 16 * type_.words - 1
    p = point(type=type_, order=order, invalid=(code,))
    words = encode.no_value(p)
    assert words is not None
    assert encode.value_of(p, words) is None


def test_float_without_a_code_says_nan_and_integer_has_no_way_to_say_so():
    words = encode.no_value(point(type=PointType.F32))
    assert words is not None
    assert encode.value_of(point(type=PointType.F32), words) is None
    assert encode.no_value(point()) is None
