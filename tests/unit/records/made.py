"""Bodies that Hypothesis makes: everything samples and summaries can hold, and what agents make of them."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from edge_agent.records.bodies import Samples, Summaries
from tests.unit.records.sites import T0


def until(ns: int = 0) -> Any:
    return T0 + ns


def samples(rows: list[tuple[int, int, Any, int]]) -> Samples:
    times, aliases, values, qualities = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Samples(until_ns=until(), offsets_us=times, aliases=aliases, values=values, qualities=qualities)


def summaries(rows: list[tuple[Any, ...]]) -> Summaries:
    names = [
        "aliases",
        "counts",
        "bads",
        "missings",
        "mins",
        "maxs",
        "means",
        "stds",
        "firsts",
        "lasts",
        "qualities",
    ]
    parts = zip(*rows, strict=True) if rows else [()] * len(names)
    return Summaries(until_ns=until(), length_ns=10, **dict(zip(names, parts, strict=True)))


def bits(value: Any) -> Any:
    """Tells apart what `==` does not: 1, 1.0 and True, the two zeros, and NaNs."""
    return ("float", struct.pack(">d", value)) if type(value) is float else (type(value), value)


# --- what there may be ------------------------------------------------------------------------

NANS = [struct.unpack(">d", bytes.fromhex(text))[0] for text in ("7ff8000000000123", "fff8000000000000")]
EDGES = [0, 1, -1, 2**56, -(2**56), 2**56 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**32, -(2**32)]
ODD_FLOATS = [
    0.0, -0.0, float("inf"), float("-inf"), 5e-324, -5e-324, 1.7976931348623157e308, 1e-6, 0.1,
    0.7000000000000001, 3 * 0.1, 2.0**24, 2.0**53, 1e22, 1 / 3, *NANS,
]  # fmt: skip
singles = st.floats(width=32, allow_nan=False)
decimals = st.builds(lambda n, k: n / 10**k, st.integers(-(10**9), 10**9), st.integers(0, 7))
scaled = st.builds(lambda n, k: n * 10.0**-k, st.integers(-(10**6), 10**6), st.integers(0, 7))
short_singles = decimals.map(lambda x: struct.unpack("f", struct.pack("f", x))[0])
numbers = (
    st.floats() | singles | decimals | scaled | short_singles | st.sampled_from(ODD_FLOATS)
    | st.floats(-1e3, 1e3)
)  # fmt: skip
integers = st.integers(-(2**63), 2**64 - 1) | st.integers(-300, 300) | st.sampled_from(EDGES)
values = st.none() | st.booleans() | integers | numbers | st.sampled_from(["", "on", "off", "x" * 40])
times = st.integers(-(2**40), 2**40) | st.just(0) | st.sampled_from([100_000, 1_000_000])
aliases = st.integers(0, 5) | st.integers(0, 0xFFFFFF)
qualities = st.sampled_from([0, 0, 0, 1, 64, 130, 255])
any_rows = st.lists(st.tuples(times, aliases, values, qualities), max_size=60)


@st.composite
def polled_rows(draw: st.DrawFn) -> list[tuple[int, int, Any, int]]:
    """As an agent makes them: a few points polled again and again, each with values of one sort."""
    sorts = draw(
        st.lists(st.sampled_from([integers, singles, decimals, scaled, short_singles, numbers]), max_size=5)
    )
    rows = []
    for poll in range(draw(st.integers(1, 12))):
        time = poll * 1_000_000 + draw(st.integers(-200, 200))
        for alias, sort in enumerate(sorts):
            bad = draw(st.integers(0, 9)) == 0
            rows.append((time, alias, None if bad else draw(sort), 64 if bad else 0))
    return rows


counts = st.integers(0, 2**56) | st.integers(0, 12)
maybe = st.none() | numbers
any_windows = st.lists(
    st.tuples(aliases, counts, counts, counts, *[maybe] * 6, st.integers(0, 255)), max_size=30
)
