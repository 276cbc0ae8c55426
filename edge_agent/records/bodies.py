"""Bodies of the records that carry measurements: samples, summaries, alarm transitions.

Columns instead of rows: a column of small integers is one byte an entry, and a decoder walks a few
long arrays instead of thousands of short ones. A decoder ignores elements behind those it knows.
Each class states its wire form; times become absolute when decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.process.results import Value
from edge_agent.records.envelope import MAX_INT, integer
from edge_agent.records.pack import pack
from edge_agent.records.values import Stamp

_VALUE_TYPES: frozenset[type] = frozenset((int, float, str, bool, type(None)))
_NUMBER_TYPES: frozenset[type] = frozenset((float, type(None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Wire: `[until, times, aliases, values, qualities]`. `until`: ns after t0. `times`: per row the
    microseconds since the row before it (the first: since t0). `qualities`: `row, quality` in turn for
    the rows that are not good."""

    until_ns: WallNs
    offsets_us: tuple[int, ...]
    """Per row, since t0."""
    aliases: tuple[int, ...]
    values: tuple[Value, ...]
    qualities: tuple[int, ...]

    def encode(self, t0: Stamp) -> bytes:
        before = (0, *self.offsets_us)
        marks = [part for row, q in enumerate(self.qualities) if q for part in (row, q)]
        times = [now - then for now, then in zip(self.offsets_us, before, strict=False)]
        return pack([self.until_ns - t0.wall_ns, times, self.aliases, self.values, marks])

    @classmethod
    def decode(cls, raw: Any, t0: Stamp) -> Self:
        until, times, aliases, values, marks = fields(raw, 5)
        offsets, total = [], 0
        for step in _integers(times, "times"):
            offsets.append(total := total + step)
        rows = len(offsets)
        _check_column(values, "values", rows, _VALUE_TYPES)
        return cls(
            until_ns=WallNs(t0.wall_ns + integer(until, "until")),
            offsets_us=tuple(offsets),
            aliases=column(aliases, "aliases", rows, 0, 0xFFFFFF),
            values=tuple(values),
            qualities=_qualities(marks, rows),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summaries:
    """Wire: `[until, length, aliases, counts, bads, missings, mins, maxs, means, stds, firsts, lasts,
    qualities]`. t0's wall clock is the window's beginning; `until` and `length` in ns after it. One
    record holds points of one window; numbers are floats in the unit, nil where no good value was."""

    until_ns: WallNs
    length_ns: int
    aliases: tuple[int, ...]
    counts: tuple[int, ...]
    bads: tuple[int, ...]
    missings: tuple[int, ...]
    mins: tuple[float | None, ...]
    maxs: tuple[float | None, ...]
    means: tuple[float | None, ...]
    stds: tuple[float | None, ...]
    firsts: tuple[float | None, ...]
    lasts: tuple[float | None, ...]
    qualities: tuple[int, ...]

    def encode(self, t0: Stamp) -> bytes:
        return pack(
            [
                self.until_ns - t0.wall_ns, self.length_ns, self.aliases, self.counts, self.bads,
                self.missings, self.mins, self.maxs, self.means, self.stds, self.firsts, self.lasts,
                self.qualities,
            ]
        )  # fmt: skip

    @classmethod
    def decode(cls, raw: Any, t0: Stamp) -> Self:
        until, length, aliases, counts, bads, missings, *numbers, qualities = fields(raw, 13)
        rows = len(aliases) if type(aliases) is list else 0
        for one in numbers:
            _check_column(one, "numbers", rows, _NUMBER_TYPES)
        mins, maxs, means, stds, firsts, lasts = map(tuple, numbers)
        return cls(
            until_ns=WallNs(t0.wall_ns + integer(until, "until")),
            length_ns=integer(length, "length", 0),
            aliases=column(aliases, "aliases", rows, 0, 0xFFFFFF),
            counts=column(counts, "counts", rows, 0, MAX_INT),
            bads=column(bads, "bads", rows, 0, MAX_INT),
            missings=column(missings, "missings", rows, 0, MAX_INT),
            mins=mins, maxs=maxs, means=means, stds=stds, firsts=firsts, lasts=lasts,
            qualities=column(qualities, "qualities", rows, 0, 255),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Wire: `[name, device, point, active, value, severity, repeated]`. Names instead of aliases: an
    alarm must be readable whatever dictionaries a receiver has. t0 is the time of the transition."""

    name: str
    device: str
    point: str
    active: bool
    value: float | None
    severity: str
    repeated: bool

    def encode(self, _t0: Stamp) -> bytes:
        return pack(
            [self.name, self.device, self.point, self.active, self.value, self.severity, self.repeated]
        )

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        name, device, point, active, value, severity, repeated = fields(raw, 7)
        texts = (name, device, point, severity)
        if any(type(text) is not str for text in texts) or type(active) is not bool:
            raise RecordError("an alarm's name, device, point, severity or state has the wrong type")
        if type(repeated) is not bool or type(value) not in _NUMBER_TYPES:
            raise RecordError("an alarm's value or `repeated` has the wrong type")
        return cls(
            name=name,
            device=device,
            point=point,
            active=active,
            value=value,
            severity=severity,
            repeated=repeated,
        )


def fields(raw: Any, count: int) -> list[Any]:
    """The first `count` elements of a body; RecordError if it has fewer."""
    if type(raw) is not list or len(raw) < count:
        raise RecordError(f"a body is not an array of at least {count}")
    return raw[:count]


def _check_column(raw: Any, what: str, rows: int, types: frozenset[type]) -> None:
    if type(raw) is not list or len(raw) != rows:
        raise RecordError(f"{what} is not a column of {rows}")
    if not types.issuperset(map(type, raw)):
        raise RecordError(f"{what} holds a type that does not belong there")


def _integers(raw: Any, what: str) -> list[int]:
    if type(raw) is not list or not {int}.issuperset(map(type, raw)):
        raise RecordError(f"{what} is not a column of integers")
    return raw


def column(raw: Any, what: str, rows: int, low: int, high: int) -> tuple[int, ...]:
    """`raw` if it is `rows` integers within the limits; RecordError names `what` otherwise."""
    numbers = _integers(raw, what)
    if len(numbers) != rows or (numbers and (min(numbers) < low or max(numbers) > high)):
        raise RecordError(f"{what} is not a column of {rows} integers from {low} to {high}")
    return tuple(numbers)


def _qualities(marks: Any, rows: int) -> tuple[int, ...]:
    """Row and quality in turn, rows ascending: so a row is never named twice."""
    flat = _integers(marks, "qualities")
    if len(flat) % 2:
        raise RecordError("qualities are not pairs")
    result, before = [0] * rows, -1
    for row, quality in zip(flat[::2], flat[1::2], strict=True):
        if not before < row < rows or not 1 <= quality <= 255:
            raise RecordError(f"quality {quality} of row {row} of {rows} is out of place")
        result[row], before = quality, row
    return tuple(result)
