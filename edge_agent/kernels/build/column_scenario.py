"""The part of the golden scenario that packs and unpacks columns: every kind of value, and every way on.

Two polled groups of points whose values are constant, smooth, noisy, wide, texts, truths, decimals of
each rounding, singles and doubles, with bad polls and a point that comes late; and windows of the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any

from edge_agent.kernels import column_layout as at
from edge_agent.kernels import golden
from edge_agent.kernels.aliases import work_cells

_POLLS = 6
_ALIASES = (3, 4, 5, 6, 70, 71, 72, 8, 9, 10, 11)
_ROWS = _POLLS * len(_ALIASES)
_WINDOWS = 6
_BYTES = 1024
_SEVEN = 7 * 0.1
"""0.7000000000000001: what a register of 7 with a scale of 0.1 is."""


def tables() -> dict[str, Any]:
    """The tables of the calls below, with rows that are to be packed."""
    floats, ints = ctypes.c_double, ctypes.c_int64
    rows = list(zip(*_samples(), strict=True))
    windows = list(_windows())
    window_rows, numbers = (list(zip(*part, strict=True)) for part in zip(*windows, strict=True))
    result: dict[str, Any] = {
        "sample_rows": (ints * (_ROWS * at.ROW_COLUMNS))(*_flat(rows[:-1])),
        "sample_floats": (floats * _ROWS)(*rows[-1]),
        "window_rows": (ints * (_WINDOWS * at.WINDOW_COLUMNS))(*_flat(window_rows)),
        "window_floats": (floats * (_WINDOWS * at.WINDOW_NUMBERS))(*_flat(numbers)),
    }
    for name in tuple(result):
        result[f"{name}_again"] = (result[name]._type_ * len(result[name]))()
    for name, cells in (("sample", work_cells(_ROWS)), ("window", at.WINDOW_CELLS)):
        result[f"{name}_data"] = (ctypes.c_uint8 * _BYTES)()
        result[f"{name}_work"] = (ints * cells)()
        result[f"{name}_work_again"] = (ints * cells)()
    return result


def calls(tables: golden.Tables) -> Iterator[tuple[str, list[golden.Json]]]:
    yield "work_cells", [_ROWS]
    for name, rows in (("sample", _ROWS), ("window", _WINDOWS)):
        for decoding, again in ((0, ""), (1, "_again")):
            names = (f"{name}_rows{again}", f"{name}_floats{again}", f"{name}_work{again}", f"{name}_data")
            # What was packed by the call before; its last byte is never 0.
            size = len(bytes(tables[f"{name}_data"]).rstrip(b"\0")) if decoding else _BYTES
            yield f"{name}_columns", [decoding, rows, *(["table", table] for table in names), size]


# --- rows -----------------------------------------------------------------------------------------


def _samples() -> Iterator[tuple[Any, ...]]:
    """Time, alias, kind, quality, number, lower half, float."""
    for poll in range(_POLLS):
        for place, alias in enumerate(_ALIASES):
            if alias == 72 and poll < 2:
                alias = 2_000_000 + poll
            time = poll * 1_000_000 + (poll % 3) * 17 + (place >= 7) * 31_250
            bad = poll == 3 and place < 4
            value = (at.NIL, 0, 0, 0.0) if bad else _value(place, poll)
            yield time, alias, value[0], 64 if bad else 3 * (place == 8), *value[1:]


def _value(place: int, poll: int) -> tuple[int, int, int, float]:
    number = (77, 1000 + 9 * poll, (poll * 7919) % 211 - 100, poll % 2, poll % 3)
    kinds = (at.INTEGER, at.INTEGER, at.INTEGER, at.TRUTH, at.TEXT)
    if place < len(number):
        return kinds[place], number[place], 0, 0.0
    if place == 5:
        return at.WIDE, -(1 << 30) - poll // 4, 0xFFFFFFF0 + poll, 0.0
    floats = (230.1 + poll, 230.1 + poll, 230.0999908447265625 + 2 * poll, _SEVEN, (poll - 2.5) / 3)
    return at.DOUBLE, 0, 0, floats[place - 6] if poll != 4 else (-0.0, float("inf"))[place % 2]


def _windows() -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    for row in range(_WINDOWS):
        usable = row != 3
        kind = at.DOUBLE if usable else at.NIL
        low = (7 * (row + 1) * 0.1, 230.5, 1 / 3)[row % 3] * usable
        numbers = (low, low * 1.5, low * 1.25, low / 7, low, low * 1.5)
        ints = (row + row // 4, 10 * usable, row % 2, 10 * (not usable), 64 * (not usable))
        yield (*ints, *[kind] * at.WINDOW_NUMBERS), numbers


def _flat(columns: Iterable[Iterable[Any]]) -> Iterator[Any]:
    return (cell for column in columns for cell in column)
