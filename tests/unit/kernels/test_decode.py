"""Decoding against `struct`: every type, order, slice; what is invalid; all modes alike."""

from __future__ import annotations

import itertools
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import GOOD, IMPLAUSIBLE, INVALID, NUMBER, RAW, VALUE
from edge_agent.model import Area, Order, PointType
from tests.unit.kernels.table_cells import Bench, bits
from tests.unit.process.sites import point, u16

STRUCT = {
    PointType.U16: "H", PointType.S16: "h", PointType.U32: "I", PointType.S32: "i",
    PointType.U64: "Q", PointType.S64: "q", PointType.F32: "f", PointType.F64: "d",
}  # fmt: skip
INTEGERS = [t for t in STRUCT if not t.is_float]
modest = settings(max_examples=60, deadline=None)


def on_the_wire(big_endian: bytes, order: Order) -> bytes:
    """The registers as a device with this order sends them, from the order's own definition."""
    words = [big_endian[i : i + 2] for i in range(0, len(big_endian), 2)]
    if order.low_word_first:
        words.reverse()
    return b"".join(w[::-1] if order.bytes_swapped else w for w in words)


def two_complement(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def test_letters_of_a_32_bit_order_are_the_places_of_its_bytes():
    for order in Order:
        sent = on_the_wire(b"abcd", order)
        assert sent.decode() == order.value


@pytest.mark.parametrize("kind", STRUCT)
@given(data=st.binary(min_size=8, max_size=8), order=st.sampled_from(Order))
@example(data=b"\xff" * 8, order=Order.ABCD)
@example(data=b"\x80" + b"\0" * 7, order=Order.DCBA)
@example(data=b"\x7f\xf0" + b"\0" * 6, order=Order.CDAB)
@example(data=b"\xff\x80\0\0\0\0\0\0", order=Order.BADC)
@modest
def test_every_type_and_order_equals_struct(kernel_set: Kernels, kind: PointType, data: bytes, order: Order):
    data = data[: kind.words * 2]
    (expected,) = struct.unpack(">" + STRUCT[kind], data)
    bench = Bench.of(kernel_set, [point(type=kind, order=order, address=7)])
    quality = bench.decode(b"\x55\xaa" * 3 + on_the_wire(data, order) + b"\x99", address=4)
    if kind.is_float:
        assert quality == (GOOD if math.isfinite(expected) else INVALID)
        if quality == GOOD:
            assert bits(bench.f(NUMBER)) == bits(expected)
    else:
        assert quality == GOOD
        assert bench.i(RAW) == two_complement(expected)
        assert bench.f(NUMBER) == float(expected)
        assert bench.f(VALUE) == float(expected)


@given(data=st.binary(min_size=4, max_size=4), address=st.integers(0, 31), start=st.integers(0, 5))
@modest
def test_a_packed_bit_is_the_one_of_its_address(kernel_set: Kernels, data: bytes, address: int, start: int):
    expected = int.from_bytes(data, "little") >> address & 1
    for area in (Area.COIL, Area.DISCRETE):
        bench = Bench.of(kernel_set, [point(type=PointType.BOOL, area=area, address=start + address)])
        assert bench.decode(data, address=start) == GOOD
        assert (bench.i(RAW), bench.f(VALUE)) == (expected, float(expected))


@given(word=st.integers(0, 0xFFFF))
@modest
def test_a_bool_in_a_register_is_whether_it_is_not_zero(kernel_set: Kernels, word: int):
    bench = Bench.of(kernel_set, [point(type=PointType.BOOL)])
    assert bench.decode(u16(word)) == GOOD
    assert bench.i(RAW) == (word != 0)


@given(data=st.data())
@modest
def test_a_slice_is_taken_from_the_unsigned_register_value(kernel_set: Kernels, data: st.DataObject):
    kind = data.draw(st.sampled_from(INTEGERS))
    width = kind.words * 16
    low = data.draw(st.integers(0, width - 1))
    count = data.draw(st.integers(1, width - low))
    raw = data.draw(st.integers(0, 2**width - 1))
    bench = Bench.of(kernel_set, [point(type=kind, bits=(low, count))])
    assert bench.decode(raw.to_bytes(kind.words * 2, "big")) == GOOD
    expected = raw >> low & ((1 << count) - 1)
    assert bench.i(RAW) == two_complement(expected)
    if kind is not PointType.S64 or count < 64:
        assert bench.f(NUMBER) == float(expected)


@pytest.mark.parametrize(
    ("low", "count"),
    [(0, 1), (0, 31), (0, 32), (0, 33), (0, 63), (1, 62), (31, 2), (32, 31), (33, 30), (63, 1)],
)
def test_a_slice_around_the_halves_takes_no_bit_too_many(kernel_set: Kernels, low: int, count: int):
    bench = Bench.of(kernel_set, [point(type=PointType.U64, bits=(low, count))])
    assert bench.decode(b"\xff" * 8) == GOOD
    assert bench.i(RAW) == (1 << count) - 1


@pytest.mark.parametrize("kind", [PointType.BCD16, PointType.BCD32])
@given(data=st.data())
@modest
def test_bcd_is_its_hexadecimal_digits_or_invalid(kernel_set: Kernels, kind: PointType, data: st.DataObject):
    digits = kind.words * 4
    text = data.draw(
        st.text("0123456789", min_size=digits, max_size=digits)
        | st.text("09af", min_size=digits, max_size=digits)
    )
    bench = Bench.of(kernel_set, [point(type=kind)])
    quality = bench.decode(bytes.fromhex(text))
    if text.isdecimal():
        assert (quality, bench.i(RAW), bench.f(VALUE)) == (GOOD, int(text), float(text))
    else:
        assert quality == INVALID


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (PointType.U16, 0xFFFF),
        (PointType.S16, 0x8000),
        (PointType.U32, 0xFFFFFFFF),
        (PointType.S32, 0x80000000),
        (PointType.U64, 2**64 - 1),
        (PointType.S64, 2**63),
        (PointType.F32, 0x4B000000),
    ],
)
def test_each_of_several_invalid_raw_values_is_invalid_and_no_other(
    kernel_set: Kernels, kind: PointType, raw: int
):
    others = tuple(range(2, 22))  # more than a row of them
    bench = Bench.of(kernel_set, [point(type=kind, invalid=(*others, raw)), point("q")])
    for value, quality in [(raw, INVALID), (2, INVALID), (21, INVALID), (raw ^ 1, GOOD), (22, GOOD)]:
        assert bench.decode(value.to_bytes(kind.words * 2, "big")) == quality


def test_an_invalid_value_leaves_the_value_before_it(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(type=PointType.U16, invalid=(9,))])
    assert [bench.decode(u16(8)), bench.decode(u16(9))] == [GOOD, INVALID]
    assert (bench.i(RAW), bench.f(VALUE)) == (8, 8.0)


@given(raw=st.integers(-(2**15), 2**15 - 1), scale=st.floats(-1e3, 1e3), offset=st.floats(-1e9, 1e9))
@modest
def test_value_is_number_times_scale_plus_offset(kernel_set: Kernels, raw: int, scale: float, offset: float):
    bench = Bench.of(kernel_set, [point(type=PointType.S16, scale=scale, offset=offset)])
    assert bench.decode(struct.pack(">h", raw)) == GOOD
    assert bits(bench.f(VALUE)) == bits(raw * scale + offset)


def test_plausible_bounds_belong_to_the_range(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(type=PointType.S16, scale=0.5, plausible=(-2.0, 3.0))])
    got = {raw: bench.decode(struct.pack(">h", raw)) for raw in (-5, -4, 0, 6, 7)}
    assert got == {-5: IMPLAUSIBLE, -4: GOOD, 0: GOOD, 6: GOOD, 7: IMPLAUSIBLE}
    assert bench.f(VALUE) == 3.5


def test_a_value_that_overflows_is_invalid(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point(scale=10.0)])
    assert bench.decode(struct.pack(">d", 1e308)) == INVALID


def test_words_beside_the_point_do_not_matter(kernel_set: Kernels):
    for kind, order in itertools.product([PointType.U32, PointType.U64], Order):
        bench = Bench.of(kernel_set, [point(type=kind, order=order, address=10)])
        body = on_the_wire((0x0102030405060708).to_bytes(8, "big")[-kind.words * 2 :], order)
        seen = set()
        for before, after in [(b"\0\0", b"\0\0"), (b"\xff\xff", b"\xff\xff")]:
            bench.decode(before * 2 + body + after, address=8)
            seen.add(bench.i(RAW))
        assert len(seen) == 1
