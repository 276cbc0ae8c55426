"""The door to msgpack: canonical out, bounded in."""

from __future__ import annotations

import contextlib
import math
import random
import struct
import sys
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import RecordError
from edge_agent.records.pack import MAX_DEPTH, pack, pack_parts, unpack

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=40) | st.binary(max_size=40)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=60,
).filter(lambda value: _depth(value) <= MAX_DEPTH)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(values)
@settings(max_examples=200, deadline=None)
def test_what_is_packed_unpacks_to_the_same_value_and_packs_to_the_same_bytes(value: Any) -> None:
    data = pack(value)
    assert unpack(data) == value
    assert pack(unpack(data)) == data
    assert msgpack.unpackb(data, strict_map_key=False) == value


def test_map_order_does_not_change_the_bytes() -> None:
    assert pack({"b": 1, "a": 2}) == pack({"a": 2, "b": 1}) == b"\x82\xa1a\x02\xa1b\x01"


@pytest.mark.parametrize("count", [0, 15, 16, 65535, 65536])
def test_array_headers_are_those_of_msgpack(count: int) -> None:
    assert pack_parts(*[b"\x01"] * count) == msgpack.packb([1] * count)
    assert pack([0.5] * count) == msgpack.packb([0.5] * count, use_single_float=True)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 2.0**127, math.inf, -math.inf, 1.401298464324817e-45])
def test_a_float_that_fits_four_bytes_takes_them(value: float) -> None:
    data = pack(value)
    assert len(data) == 5
    assert struct.pack(">d", unpack(data)) == struct.pack(">d", value)


@pytest.mark.parametrize("value", [0.1, 1e300, 1e-300, 2.0**128, 16777217.0])
def test_a_float_that_would_lose_bits_takes_eight_bytes(value: float) -> None:
    assert len(pack(value)) == 9
    assert unpack(pack(value)) == value


def test_nan_keeps_all_its_bits() -> None:
    nan = struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0]
    assert struct.pack(">d", unpack(pack(nan))).hex() == "7ff8000000000123"


def test_integers_beyond_64_bits_and_foreign_types_are_refused() -> None:
    for value in (2**64, -(2**63) - 1, object(), {1, 2}, [object()]):
        with pytest.raises(RecordError):
            pack(value)


def test_a_lone_surrogate_does_not_stop_a_record() -> None:
    assert unpack(pack("a\ud800b")) == "a?b"


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xdd\xee\x6b\x28\x00",  # an array of 4e9 elements in 5 bytes
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xffab",
        b"\xc1",
        b"\xd4\x01\x00",  # extension
        b"\xd6\xff\x00\x00\x00\x00",  # timestamp extension
        b"\x91" * 5000 + b"\x01",
        b"\x81\xa1a" * 500 + b"\x01",
        b"\xdc\x10\x00" * 1000,
        b"\x01\x01",
        b"\x92\x01",
        b"\x90\x01",
        b"\xa3ab",
        b"\xa1\xff",  # not UTF-8
        b"\x82\xa1a\x01\xa1a\x02",  # the same key twice
        b"\x81\x01\x02",  # a key that is no text
        b"\x81\xc4\x01a\x02",
        b"\x81\x90\x02",
        b"\xcd\x01",
        b"\xcf\x01\x02\x03",
    ],
)
def test_hostile_bytes_are_a_record_error(hostile: bytes) -> None:
    with pytest.raises(RecordError):
        unpack(hostile)


def test_the_size_cap_holds_at_its_edge() -> None:
    assert len(unpack(b"\xc5\x00\x61" + bytes(0x61), max_bytes=100)) == 0x61
    with pytest.raises(RecordError, match="longer"):
        unpack(b"\xc5\x00\x62" + bytes(0x62), max_bytes=100)


def test_the_deepest_allowed_nesting_is_read_and_one_more_is_not() -> None:
    assert unpack(b"\x91" * MAX_DEPTH + b"\x01") is not None
    with pytest.raises(RecordError, match="nested"):
        unpack(b"\x91" * (MAX_DEPTH + 1) + b"\x01")


def test_a_bomb_allocates_little() -> None:
    tracemalloc.start()
    try:
        for bomb in (b"\xdc\x40\x00" * 5000, b"\xdd\x00\x00\x3f\xff" * 3000, b"\x9f" * 16000):
            with pytest.raises(RecordError):
                unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_every_cut_and_every_flipped_bit_is_an_error_or_a_value() -> None:
    data = pack([1, 3, b"12345678", "sample", 7, b"", [1, 2, True], [1.5, [1, 2, 300], ["é", None, 0.1]]])
    for stop in range(len(data)):
        with pytest.raises(RecordError):
            unpack(data[:stop])
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            unpack(bytes(flipped))
        except RecordError:
            continue


def test_random_bytes_never_raise_anything_else(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3000):
        try:
            unpack(rng.randbytes(rng.randrange(1, 60)))
        except RecordError:
            continue


LONG = b"\xd9\x80" + b"a" * 128


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(b"\x81\x01" + LONG, id="a number as a key"),
        pytest.param(b"\x81\xc4\x01a" + LONG, id="bytes as a key"),
        pytest.param(b"\x81\x91\x01" + LONG, id="an array as a key"),
        pytest.param(b"\x82\xa1a" + LONG + b"\xa1a" + LONG, id="a key twice"),
        pytest.param(b"\x92" + LONG + b"\x82\xa1a" + LONG + b"\xa1a" + LONG, id="a key twice, deeper"),
        pytest.param(b"\x92\x92" + LONG + b"\xa1\xff\x01", id="text that is not UTF-8"),
        pytest.param(b"\x82\xa1a" + LONG + b"\xa1\xff" + LONG, id="a key that is not UTF-8"),
    ],
)
def test_a_refused_value_stays_in_nobodys_memory(refused: bytes) -> None:
    """Releases of msgpack before 1.2.3 keep what they refuse; Debian has 1.0.3 (tests/packaging)."""

    def refuse(times: int) -> None:
        for _ in range(times):
            with contextlib.suppress(RecordError):
                unpack(refused)

    refuse(10)
    before = sys.getallocatedblocks()
    refuse(300)
    assert sys.getallocatedblocks() - before < 100
