"""Open windows as a value: taken out of the tables for a checkpoint, put back by the next run.

A window of an hour must survive a killed process. What it has collected (counts, extremes, Welford's
mean and M2) is all there is to it, so a window that is taken out and put back goes on to the last bit as
if nothing had happened. Filters are not kept: they start anew, and with them what `mean` and `std` see.

Pure. `take_up` says which windows go on and which can only be closed; nothing is thrown away here.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum

from edge_agent.kernels import layout
from edge_agent.kernels.layout import ROW
from edge_agent.model import STALE, DeviceDef, PointDef, Quality, Site, WallNs
from edge_agent.process.results import Summary
from edge_agent.process.tables import Tables, definition

KEY_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """What one point has collected so far. The numbers mean nothing while `count` is 0."""

    key: bytes
    """Digest of what the point's state depends on: equal keys, equal meaning."""
    point: int
    """Its index in the configuration it was collected by."""
    count: int
    bad: int
    missing: int
    worst: int
    min: float
    max: float
    mean: float
    m2: float
    first: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The running window of every point that had a poll in it."""

    t0_ns: WallNs
    t1_ns: WallNs
    until_ns: WallNs
    """Everything observed up to here is in it, or in summaries made before."""
    rows: tuple[OpenWindow, ...]

    def unobserved_ns(self, now_ns: WallNs) -> int:
        """How much of the window passed since `until_ns`; 0 where the clock went backwards."""
        return max(0, min(now_ns, self.t1_ns) - self.until_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenUp:
    """What became of a snapshot's windows."""

    going_on: int = 0
    """Windows that are open in this run."""
    ended: tuple[Summary, ...] = ()
    """Those that are over; points by their index in this configuration."""
    foreign: tuple[Summary, ...] = ()
    """Those of points that are defined otherwise now, or gone: by their index in the old one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The windowed points of one configuration by their digests."""

    of_point: Mapping[int, bytes]
    points: Mapping[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site, windowed: Sequence[int]) -> Keys:
        owners = [device for device in site.devices for _ in device.points]
        points = site.points
        keys = {index: digest(owners[index], points[index]) for index in windowed}
        return cls(keys, {key: index for index, key in keys.items()})


def digest(device: DeviceDef, point: PointDef) -> bytes:
    """The same in every run and release for the same definition: only what differs from a field's
    default counts, so that a release that adds a field changes no digest."""
    meaning = definition(point)
    said = ((name, getattr(meaning, name), default) for name, default in _FIELDS)
    told = [(name, _plain(value)) for name, value, default in said if value != default]
    return hashlib.sha256(repr((device.bus, device.unit_id, told)).encode()).digest()[:KEY_BYTES]


_FIELDS = tuple((one.name, one.default) for one in fields(PointDef))


def _plain(value: object) -> object:
    """How an enumeration is shown differs between releases of Python."""
    return value.value if isinstance(value, Enum) else value


def collected(tables: Tables, keys: Keys) -> Iterator[OpenWindow]:
    """The open windows in which a poll was made or missed."""
    ints, floats = tables.state_i, tables.state_f
    for point, key in keys.of_point.items():
        at = point * ROW
        count, bad, missing, worst = ints[at + layout.COUNT : at + layout.WORST + 1]
        if count or bad or missing:
            low, high, mean, m2, first, last = floats[at + layout.MIN : at + layout.LAST + 1]
            yield OpenWindow(
                key=key, point=point, count=count, bad=bad, missing=missing, worst=worst,
                min=low, max=high, mean=mean, m2=m2, first=first, last=last,
            )  # fmt: skip


def take_up(
    found: Snapshot, tables: Tables, keys: Keys, points: Sequence[PointDef], now_ns: WallNs, still_open: bool
) -> TakenUp:
    """Put the windows of points that mean the same as before back into the tables if their time is not
    over (`still_open`); the others are ended. Polls of the pause count as missing.

    A clock that stands before the window (a gateway that boots in 1970) ends it too: what was collected
    is sent rather than kept for a time that may not come.
    """
    pause_ns = found.unobserved_ns(now_ns)
    going_on, ended, foreign = 0, [], []
    for row in found.rows:
        point = keys.points.get(row.key)
        if point is None:
            foreign.append(_closed(row, row.point, found))
            continue
        row = _with_pause(row, points[point], pause_ns)
        if still_open:
            _put_back(tables, point, row)
            going_on += 1
        else:
            ended.append(_closed(row, point, found))
    return TakenUp(going_on=going_on, ended=tuple(ended), foreign=tuple(foreign))


def _put_back(tables: Tables, point: int, row: OpenWindow) -> None:
    """Let the window of `point` go on with what `row` collected."""
    at = point * ROW
    counted: list[ctypes.c_int64 | int] = [row.count, row.bad, row.missing, row.worst]
    tables.state_i[at + layout.COUNT : at + layout.WORST + 1] = counted
    numbers: list[ctypes.c_double | float] = [row.min, row.max, row.mean, row.m2, row.first, row.last]
    tables.state_f[at + layout.MIN : at + layout.LAST + 1] = numbers


def _with_pause(row: OpenWindow, point: PointDef, pause_ns: int) -> OpenWindow:
    """`row` with the polls that its point would have been due for in a pause. How often a continuous
    point would have been read nobody can say: none is counted."""
    return replace(row, missing=row.missing + pause_ns // point.poll_ns) if point.poll_ns else row


def _closed(row: OpenWindow, point: int, snapshot: Snapshot) -> Summary:
    """The summary of a window that does not go on."""
    has = row.count > 0
    return Summary(
        point=point,
        t0_ns=snapshot.t0_ns,
        t1_ns=snapshot.t1_ns,
        count=row.count,
        bad=row.bad,
        missing=row.missing,
        min=_number(row.min) if has else None,
        max=_number(row.max) if has else None,
        mean=_number(row.mean) if has else None,
        std=_number(_deviation(row)) if has else None,
        first=_number(row.first) if has else None,
        last=_number(row.last) if has else None,
        quality=Quality(row.worst) if row.count or row.bad else STALE,
    )


def _deviation(row: OpenWindow) -> float:
    share = row.m2 / row.count
    return math.sqrt(share) if share >= 0 else math.nan


def _number(x: float) -> float | None:
    return x if math.isfinite(x) else None
