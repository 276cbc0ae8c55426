"""Results and status read from the tables after the kernels wrote them.

Owns what a point's number looks like outside: an integer stays the register's own integer, a filtered
value is a float in the unit, a bad value is None.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import (
    FILTERED,
    FIRST_BAD,
    GOOD_NS,
    GOOD_VALUE,
    NEVER,
    NUMBER,
    OUT,
    OUT_BAD,
    OUT_COUNT,
    OUT_FIRST,
    OUT_LAST,
    OUT_MAX,
    OUT_MEAN,
    OUT_MIN,
    OUT_MISSING,
    OUT_STD,
    OUT_WORST,
    POLL_NS,
    QUALITY,
    RAW,
    ROW,
    VALUE,
)
from edge_agent.model import STALE, MonoNs, PointDef, PointType, Quality
from edge_agent.process.results import Summary, Value
from edge_agent.process.spans import Span
from edge_agent.process.tables import Tables
from edge_agent.process.texts import Text

QUALITIES = tuple(Quality(q) for q in range(256))
"""Made once: making one costs as much as reading the number it stands for."""

_TWO_64 = 1 << 64


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest of one point, for the status. `quality` is `stale` before the first poll."""

    point: int
    value: Value
    """In the unit; None before the first poll and while the quality is bad."""
    quality: Quality
    mono_ns: MonoNs | None
    """Time of the last poll."""
    good_value: Value
    """In the unit: the last usable value, however old."""
    good_mono_ns: MonoNs | None


class Carries(IntEnum):
    """Which number a sample of a point carries."""

    FILTERED = 0
    NUMBER = 1
    UNSIGNED = 2
    INTEGER = 3


def carries(point: PointDef) -> Carries:
    if point.filters:
        return Carries.FILTERED
    return Carries.NUMBER if point.type.is_float else _integer(point)


def _integer(point: PointDef) -> Carries:
    return Carries.UNSIGNED if point.type is PointType.U64 else Carries.INTEGER


def sample_value(tables: Tables, point: int, kind: Carries) -> Value:
    """What a sample of the last poll carries (see `Sample.value`).

    None too while a filter has not seen one usable value: it has no output to send with `implausible`.
    """
    at = point * ROW
    if tables.state_i[at + QUALITY] >= FIRST_BAD:
        return None
    if kind is Carries.FILTERED:
        return None if tables.state_i[at + GOOD_NS] == NEVER else tables.state_f[at + FILTERED]
    if kind is Carries.NUMBER:
        return tables.state_f[at + NUMBER]
    raw: int = tables.state_i[at + RAW]
    return raw + _TWO_64 if kind is Carries.UNSIGNED and raw < 0 else raw


class Summaries:
    """Reads the windows of the points it was made for."""

    def __init__(self, points: Sequence[int]) -> None:
        self._points = (ctypes.c_int64 * max(1, len(points)))(*points)
        self._count = len(points)
        self._out_i = (ctypes.c_int64 * (OUT * max(1, len(points))))()
        self._out_f = (ctypes.c_double * (OUT * max(1, len(points))))()

    def read(self, kernels: Kernels, tables: Tables, span: Span) -> list[Summary]:
        """Empty the windows; one summary for each point of which a poll was made or missed."""
        kernels.windows_read(
            self._points, self._count, tables.state_i, tables.state_f, self._out_i, self._out_f
        )
        return [self._summary(index, span) for index in range(self._count) if self._was_due(index)]

    def _was_due(self, index: int) -> bool:
        first = index * OUT
        return any(self._out_i[first + cell] for cell in (OUT_COUNT, OUT_BAD, OUT_MISSING))

    def _summary(self, index: int, span: Span) -> Summary:
        ints = self._out_i[index * OUT : index * OUT + OUT]
        floats = self._out_f[index * OUT : index * OUT + OUT]
        numbers = [_number(x) for x in floats] if ints[OUT_COUNT] else [None] * OUT
        polled = ints[OUT_COUNT] or ints[OUT_BAD]
        return Summary(
            point=self._points[index],
            t0_ns=span.t0_ns,
            t1_ns=span.t1_ns,
            count=ints[OUT_COUNT],
            bad=ints[OUT_BAD],
            missing=ints[OUT_MISSING],
            min=numbers[OUT_MIN],
            max=numbers[OUT_MAX],
            mean=numbers[OUT_MEAN],
            std=numbers[OUT_STD],
            first=numbers[OUT_FIRST],
            last=numbers[OUT_LAST],
            # Where no poll was made there is no quality to report, but nothing is known to be good either.
            quality=QUALITIES[ints[OUT_WORST]] if polled else STALE,
        )


def _number(x: float) -> float | None:
    """None for what no record may carry: a deviation beyond the range of a double."""
    return x if math.isfinite(x) else None


def latest_number(tables: Tables, index: int, point: PointDef) -> Latest:
    at = index * ROW
    state_i, state_f = tables.state_i, tables.state_f
    if state_i[at + QUALITY] == NEVER:
        return Latest(index, None, STALE, None, None, None)
    quality = QUALITIES[state_i[at + QUALITY]]
    has_good = state_i[at + GOOD_NS] != NEVER
    return Latest(
        index,
        None if quality.is_bad else _in_unit(tables, index, point),
        quality,
        MonoNs(state_i[at + POLL_NS]),
        state_f[at + GOOD_VALUE] if has_good else None,
        MonoNs(state_i[at + GOOD_NS]) if has_good else None,
    )


def _in_unit(tables: Tables, index: int, point: PointDef) -> Value:
    """The last value before filters; an integer that is its own value stays one."""
    if point.type.is_float or (point.scale, point.offset) != (1.0, 0.0):
        return tables.state_f[index * ROW + VALUE]
    return sample_value(tables, index, _integer(point))


def latest_text(index: int, text: Text) -> Latest:
    polled, good = text.poll_ns != NEVER, text.good_ns != NEVER
    return Latest(
        index,
        text.value,
        text.quality,
        MonoNs(text.poll_ns) if polled else None,
        text.good_value,
        MonoNs(text.good_ns) if good else None,
    )
