"""Samples and summaries as columns: the bodies of kinds 9 and 10, by the kernels of the column coder.

Owns the way between the bodies' Python values and the kernels' arrays, and what is checked of a body
before and after the kernels see it. Any `Kernels` will do: with those of mode `python`, a receiver
needs nothing compiled. Bounded: a body says how many rows it has, at most MOST_ROWS, and everything
that is allocated follows from that number.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any

from edge_agent import kernels
from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.kernels.column_layout import (
    DOUBLE,
    INTEGER,
    LARGEST,
    MOST_ROWS,
    NIL,
    ROW_COLUMNS,
    TEXT,
    TRUTH,
    WIDE,
    WINDOW_CELLS,
    WINDOW_COLUMNS,
    WINDOW_NUMBERS,
)
from edge_agent.model import WallNs
from edge_agent.process.results import Value
from edge_agent.records.bodies import Samples, Summaries, column, fields
from edge_agent.records.envelope import MAX_INT, integer
from edge_agent.records.pack import MAX_RECORD_BYTES, pack
from edge_agent.records.values import Stamp

_LOW = (1 << 32) - 1


@cache
def plain() -> Kernels:
    """The kernels as plain Python, for whoever has no others."""
    return kernels.load("python")


# --- samples --------------------------------------------------------------------------------------


def encode_samples(body: Samples, t0: Stamp, by: Kernels) -> bytes | None:
    """`[until, rows, texts, data]`; None where columns cannot hold the rows within a record."""
    n = len(body.aliases)
    if n > MOST_ROWS or not _small(body.offsets_us):
        return None
    if not n:
        return pack([body.until_ns - t0.wall_ns, 0, [], b""])
    texts: dict[str, int] = {}
    kinds, numbers, lows, floats = _cells(body.values, texts)
    ints = [*body.offsets_us, *body.aliases, *kinds, *body.qualities, *numbers, *lows]
    data = _encode(by.sample_columns, n, ints, floats, by.work_cells(n), by)
    return None if data is None else pack([body.until_ns - t0.wall_ns, n, list(texts), data])


def decode_samples(raw: Any, t0: Stamp, by: Kernels) -> Samples:
    until, n, texts, data = fields(raw, 4)
    if type(texts) is not list or not {str}.issuperset(map(type, texts)):
        raise RecordError("the texts of a column body are not a column of texts")
    n = integer(n, "rows", 0, MOST_ROWS)
    ints, floats = _decode(by.sample_columns, n, (ROW_COLUMNS, 1), by.work_cells(n), data, by)
    times, aliases, kinds, qualities, numbers, lows = (ints[at * n : at * n + n] for at in range(ROW_COLUMNS))
    return Samples(
        until_ns=WallNs(t0.wall_ns + integer(until, "until")),
        offsets_us=tuple(times),
        aliases=tuple(aliases),
        values=_values(kinds, numbers, lows, floats, texts),
        qualities=tuple(qualities),
    )


def _cells(
    values: Sequence[Value], texts: dict[str, int]
) -> tuple[list[int], list[int], list[int], list[float]]:
    """Kinds, numbers, lower halves and floats of the values; fills `texts` in order of appearance."""
    n = len(values)
    kinds, numbers, lows, floats = [NIL] * n, [0] * n, [0] * n, [0.0] * n
    for row, value in enumerate(values):
        if type(value) is float:
            kinds[row], floats[row] = DOUBLE, value
        elif type(value) is int:
            if -LARGEST <= value <= LARGEST:
                kinds[row], numbers[row] = INTEGER, value
            else:
                kinds[row], numbers[row], lows[row] = WIDE, value >> 32, value & _LOW
        elif isinstance(value, bool):
            kinds[row], numbers[row] = TRUTH, int(value)
        elif isinstance(value, str):
            kinds[row], numbers[row] = TEXT, texts.setdefault(value, len(texts))
    return kinds, numbers, lows, floats


def _values(
    kinds: list[int], numbers: list[int], lows: list[int], floats: list[float], texts: list[str]
) -> tuple[Value, ...]:
    values: list[Value] = list(floats)
    for row, kind in enumerate(kinds):
        if kind == INTEGER:
            values[row] = numbers[row]
        elif kind == NIL:
            values[row] = None
        elif kind == WIDE:
            values[row] = integer((numbers[row] << 32) + lows[row], "a value", -(2**63), 2**64 - 1)
        elif kind == TRUTH:
            values[row] = bool(integer(numbers[row], "a truth", 0, 1))
        elif kind == TEXT:
            values[row] = texts[integer(numbers[row], "the place of a text", 0, len(texts) - 1)]
    return tuple(values)


# --- summaries ------------------------------------------------------------------------------------


def encode_summaries(body: Summaries, t0: Stamp, by: Kernels) -> bytes | None:
    """`[until, length, rows, data]`; None where columns cannot hold the rows within a record."""
    n = len(body.aliases)
    counts = (*body.counts, *body.bads, *body.missings)
    if n > MOST_ROWS or not _small(counts):
        return None
    head = [body.until_ns - t0.wall_ns, body.length_ns, n]
    if not n:
        return pack([*head, b""])
    numbers = (*body.mins, *body.maxs, *body.means, *body.stds, *body.firsts, *body.lasts)
    kinds = [NIL if number is None else DOUBLE for number in numbers]
    floats = [0.0 if number is None else number for number in numbers]
    ints = [*body.aliases, *counts, *body.qualities, *kinds]
    data = _encode(by.window_columns, n, ints, floats, WINDOW_CELLS, by)
    return None if data is None else pack([*head, data])


def decode_summaries(raw: Any, t0: Stamp, by: Kernels) -> Summaries:
    until, length, n, data = fields(raw, 4)
    n = integer(n, "rows", 0, MOST_ROWS)
    ints, floats = _decode(by.window_columns, n, (WINDOW_COLUMNS, WINDOW_NUMBERS), WINDOW_CELLS, data, by)
    aliases, counts, bads, missings, qualities, *kinds = (
        ints[at * n : at * n + n] for at in range(WINDOW_COLUMNS)
    )
    mins, maxs, means, stds, firsts, lasts = (
        tuple(None if kind == NIL else x for kind, x in zip(kinds[at], floats[at * n :], strict=False))
        for at in range(WINDOW_NUMBERS)
    )
    return Summaries(
        until_ns=WallNs(t0.wall_ns + integer(until, "until")),
        length_ns=integer(length, "length", 0),
        aliases=column(aliases, "aliases", n, 0, 0xFFFFFF),
        counts=column(counts, "counts", n, 0, MAX_INT),
        bads=column(bads, "bads", n, 0, MAX_INT),
        missings=column(missings, "missings", n, 0, MAX_INT),
        mins=mins, maxs=maxs, means=means, stds=stds, firsts=firsts, lasts=lasts,
        qualities=column(qualities, "qualities", n, 0, 255),
    )  # fmt: skip


# --- arrays ---------------------------------------------------------------------------------------


def _small(numbers: Sequence[int]) -> bool:
    return not numbers or (min(numbers) >= -LARGEST and max(numbers) <= LARGEST)


def _encode(code: Any, n: int, ints: list[int], floats: list[float], cells: int, by: Kernels) -> bytes | None:
    rows, numbers, work = _arrays(ints, floats, cells, by)
    out: Any = bytearray(MAX_RECORD_BYTES)
    if by.mode != "python":
        out = (ctypes.c_uint8 * MAX_RECORD_BYTES).from_buffer(out)
    used = code(0, n, rows, numbers, work, out, MAX_RECORD_BYTES)
    return bytes(memoryview(out)[:used]) if used >= 0 else None


def _decode(
    code: Any, n: int, columns: tuple[int, int], cells: int, data: Any, by: Kernels
) -> tuple[list[int], list[float]]:
    if type(data) is not bytes or (not n and data):
        raise RecordError("the data of a column body are not bytes, or belong to no row")
    if not n:
        return [], []
    rows, numbers, work = _arrays([0] * (columns[0] * n), [0.0] * (columns[1] * n), cells, by)
    if code(1, n, rows, numbers, work, data, len(data)) < 0:
        raise RecordError("the data of a column body are damaged")
    return list(rows), list(numbers)


def _arrays(ints: list[int], floats: list[float], cells: int, by: Kernels) -> tuple[Any, Any, Any]:
    """As lists for plain Python, which is faster with them; as ctypes arrays for compiled kernels."""
    if by.mode == "python":
        return ints, floats, [0] * cells
    return (
        (ctypes.c_int64 * len(ints)).from_buffer(array("q", ints)),
        (ctypes.c_double * len(floats)).from_buffer(array("d", floats)),
        (ctypes.c_int64 * cells)(),
    )
