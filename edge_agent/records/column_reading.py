"""Columns to samples and summaries: what receivers do with the bodies of kinds 9 and 10.

Owns what is checked of such a body before and after the kernels see it. Bounded: a body says how many rows
it has, at most MOST_ROWS, and everything that is allocated follows from that number. Not imported by the
daemon.
"""

from __future__ import annotations

from array import array
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.kernels.column_layout import (
    DECIMAL,
    DOUBLE,
    INTEGER,
    MOST_ROWS,
    NIL,
    ROW_COLUMNS,
    SINGLE,
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
from edge_agent.records.columns import arrays
from edge_agent.records.envelope import MAX_INT, integer
from edge_agent.records.values import Kind, Stamp

_FLOATS = frozenset((SINGLE, DOUBLE, DECIMAL))


def decode(kind: Kind, raw: Any, t0: Stamp, by: Kernels) -> Samples | Summaries:
    """The body of a record of kind 9 or 10; RecordError for anything that is none."""
    return (decode_samples if kind is Kind.SAMPLE_COLUMNS else decode_summaries)(raw, t0, by)


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


def _values(
    kinds: list[int], numbers: list[int], lows: list[int], floats: list[float], texts: list[str]
) -> tuple[Value, ...]:
    present = set(kinds)
    if present <= _FLOATS:
        return tuple(floats)
    if present == {INTEGER}:
        return tuple(numbers)
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


def _decode(
    code: Any, n: int, columns: tuple[int, int], cells: int, data: Any, by: Kernels
) -> tuple[list[int], list[float]]:
    if type(data) is not bytes or (not n and data):
        raise RecordError("the data of a column body are not bytes, or belong to no row")
    if not n:
        return [], []
    ints, floats = array("q", bytes(8 * columns[0] * n)), array("d", bytes(8 * columns[1] * n))
    rows, numbers, work = arrays(ints, floats, cells, by)
    if code(1, n, rows, numbers, work, data, len(data)) < 0:
        raise RecordError("the data of a column body are damaged")
    return (rows, numbers) if by.mode == "python" else (ints.tolist(), floats.tolist())
