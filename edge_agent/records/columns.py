"""Samples and summaries to columns: the bodies of kinds 9 and 10, by the kernels of the column coder.

Owns the way from the bodies' Python values to the kernels' arrays; `column_reading` goes the other, which
the daemon never does. Any `Kernels` will do: with those of mode `python` nothing need be compiled.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any

from edge_agent import kernels
from edge_agent.kernels import Kernels
from edge_agent.kernels.column_layout import (
    DOUBLE,
    INTEGER,
    LARGEST,
    MOST_ROWS,
    NIL,
    TEXT,
    TRUTH,
    WIDE,
    WINDOW_CELLS,
)
from edge_agent.process.results import Value
from edge_agent.records.bodies import Samples, Summaries
from edge_agent.records.pack import MAX_RECORD_BYTES, pack
from edge_agent.records.values import Stamp

_LOW = (1 << 32) - 1


@cache
def plain() -> Kernels:
    """The kernels as plain Python, for whoever has no others."""
    return kernels.load("python")


_chosen: list[Kernels] = []


def use(by: Kernels) -> None:
    """Read and write columns with these kernels from now on, wherever a caller names none. For a program to
    say once, at its start; what is read or written does not depend on it."""
    _chosen[:] = [by]


def default() -> Kernels:
    """Those that the program chose, else plain Python."""
    return _chosen[0] if _chosen else plain()


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


def _cells(
    values: Sequence[Value], texts: dict[str, int]
) -> tuple[list[int], list[int], list[int], list[float]]:
    """Kinds, numbers, lower halves and floats of the values; fills `texts` in order of appearance."""
    n = len(values)
    present = set(map(type, values))
    if present == {float}:
        return [DOUBLE] * n, [0] * n, [0] * n, list(values)  # type: ignore[arg-type]
    if present == {int} and _small(values):  # type: ignore[arg-type]
        return [INTEGER] * n, list(values), [0] * n, [0.0] * n  # type: ignore[arg-type]
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


# --- arrays ---------------------------------------------------------------------------------------


def _small(numbers: Sequence[int]) -> bool:
    return not numbers or (min(numbers) >= -LARGEST and max(numbers) <= LARGEST)


def _encode(code: Any, n: int, ints: list[int], floats: list[float], cells: int, by: Kernels) -> bytes | None:
    rows, numbers, work = arrays(array("q", ints), array("d", floats), cells, by)
    out: Any = bytearray(MAX_RECORD_BYTES)
    if by.mode != "python":
        out = (ctypes.c_uint8 * MAX_RECORD_BYTES).from_buffer(out)
    used = code(0, n, rows, numbers, work, out, MAX_RECORD_BYTES)
    return bytes(memoryview(out)[:used]) if used >= 0 else None


def arrays(ints: array[int], floats: array[float], cells: int, by: Kernels) -> tuple[Any, Any, Any]:
    """What the kernels take: for plain Python lists, which are faster there; for compiled kernels these
    very arrays, and a work table of `cells`."""
    if by.mode == "python":
        return ints.tolist(), floats.tolist(), [0] * cells
    return (
        (ctypes.c_int64 * len(ints)).from_buffer(ints),
        (ctypes.c_double * len(floats)).from_buffer(floats),
        (ctypes.c_int64 * cells)(),
    )
