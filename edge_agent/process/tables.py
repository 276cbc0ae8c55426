"""A site laid out in the tables that the kernels work on, and state carried to the next layout.

Owns which row belongs to which point, filter stage and alarm (the cells themselves are named in
`kernels.layout`), and what "the definition did not change" means. Knows no events and no time.

Invariant: everything a kernel uses as an index or a count is checked here; kernels check nothing.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from edge_agent.kernels import layout
from edge_agent.kernels.layout import ROW, Floats, Ints
from edge_agent.model import (
    AlarmDef,
    AlarmInput,
    AlarmKind,
    Filter,
    Lowpass,
    Median,
    PointDef,
    PointType,
    Send,
    Site,
    send_mode,
)

_TYPES = {
    PointType.BOOL: layout.BOOL,
    PointType.U16: layout.U16,
    PointType.S16: layout.S16,
    PointType.U32: layout.U32,
    PointType.S32: layout.S32,
    PointType.U64: layout.U64,
    PointType.S64: layout.S64,
    PointType.F32: layout.F32,
    PointType.F64: layout.F64,
    PointType.BCD16: layout.BCD16,
    PointType.BCD32: layout.BCD32,
}

_ALARM_KINDS = {
    AlarmKind.ABOVE: layout.ABOVE,
    AlarmKind.BELOW: layout.BELOW,
    AlarmKind.OUTSIDE: layout.OUTSIDE,
    AlarmKind.RATE_ABOVE: layout.RATE_ABOVE,
    AlarmKind.EQUALS: layout.EQUALS,
}


def sending(point: PointDef, window_ns: int) -> Send:
    """How the point really sends, also where the site was not resolved from a configuration."""
    return send_mode(point.send, point.type, point.poll_ns, window_ns)


@dataclass(slots=True, kw_only=True)
class Tables:
    """The four tables, and what their rows stand for."""

    config_i: Ints
    config_f: Floats
    state_i: Ints
    state_f: Floats
    moves: Ints
    """Room for one transition of every alarm."""
    point_keys: tuple[Hashable, ...]
    """Per point: what its state depends on. Equal keys in two layouts mean that the state may move."""
    alarm_keys: tuple[Hashable, ...]
    alarm_cells: tuple[int, ...]
    """Per alarm: the first cell of its row."""
    alarm_at: dict[int, int] = field(default_factory=dict)
    """The other way: first cell of an alarm's row to the index of the alarm."""


def build(site: Site) -> Tables:
    """Lay out `site` with fresh state. ValueError where a number would lead a kernel out of its rows."""
    points, alarms = site.points, site.alarms
    rows = _Rows(len(points))
    point_of = {point.key: index for index, point in enumerate(points)}
    owners = [point_of[f"{alarm.device}.{alarm.point}"] for alarm in alarms]
    filter_rows = [rows.take(len(_checked(point).filters)) for point in points]
    alarm_counts = Counter(owners)
    alarm_rows = [rows.take(alarm_counts[index]) for index in range(len(points))]
    invalid_rows = [rows.take(-(-len(point.invalid) // ROW)) for point in points]
    keys = _point_keys(site)
    places = _places(owners, alarm_rows)
    tables = Tables(
        config_i=(ctypes.c_int64 * rows.cells)(),
        config_f=(ctypes.c_double * rows.cells)(),
        state_i=(ctypes.c_int64 * rows.cells)(),
        state_f=(ctypes.c_double * rows.cells)(),
        moves=(ctypes.c_int64 * (layout.MOVE * max(1, len(alarms))))(),
        point_keys=keys,
        alarm_keys=tuple((keys[owner], alarm) for owner, alarm in zip(owners, alarms, strict=True)),
        alarm_cells=tuple(places),
        alarm_at={cell: index for index, cell in enumerate(places)},
    )
    for index, point in enumerate(points):
        at = index * ROW
        _put_point(tables, at, point)
        _put_filters(tables, at, filter_rows[index] * ROW, point.filters)
        _put_invalid(tables, at, invalid_rows[index] * ROW, point.invalid)
        tables.config_i[at + layout.WINDOWED] = sending(point, site.window_ns) is Send.SUMMARY
        tables.config_i[at + layout.ALARM_AT] = alarm_rows[index] * ROW
        tables.config_i[at + layout.ALARM_COUNT] = alarm_counts[index]
        for cell, value in layout.INITIAL_I:
            tables.state_i[at + cell] = value
    for cell, alarm in zip(places, alarms, strict=True):
        _put_alarm(tables, cell, alarm)
    return tables


class _Rows:
    """Hands out rows after those of the points."""

    def __init__(self, used: int) -> None:
        self._used = used

    def take(self, count: int) -> int:
        first = self._used
        self._used += count
        return first

    @property
    def cells(self) -> int:
        return max(1, self._used) * ROW


def _checked(point: PointDef) -> PointDef:
    """The point, if its filters and slice stay inside their rows and registers."""
    for stage in point.filters:
        if isinstance(stage, Median) and not 1 <= stage.samples <= layout.MEDIAN_MOST:
            raise ValueError(f"{point.key}: a median of {stage.samples} samples has no room")
        if isinstance(stage, Lowpass) and stage.tau_ns <= 0:
            raise ValueError(f"{point.key}: a low pass needs a time constant above 0")
    if point.bits and not (point.bits[0] >= 0 and 1 <= point.bits[1] <= 64 - point.bits[0]):
        raise ValueError(f"{point.key}: bits {point.bits} are outside the register")
    return point


def _places(owners: Sequence[int], first_rows: Sequence[int]) -> list[int]:
    """Per alarm the first cell of its row: a point's alarms lie side by side, in their order."""
    used: dict[int, int] = {}
    places = []
    for owner in owners:
        before = used.get(owner, 0)
        used[owner] = before + 1
        places.append((first_rows[owner] + before) * ROW)
    return places


def _point_keys(site: Site) -> tuple[Hashable, ...]:
    return tuple(
        (device.bus, device.unit_id, definition(point)) for device in site.devices for point in device.points
    )


def definition(point: PointDef) -> PointDef:
    """What a point's state depends on: texts, period, group and the way it sends may change freely."""
    return replace(point, title="", enum=(), flags=(), poll_ns=0, group="", send=Send.SUMMARY)


def _put_point(tables: Tables, at: int, point: PointDef) -> None:
    config_i, config_f = tables.config_i, tables.config_f
    if point.type is not PointType.STRING:  # the kernels never see the row of a text
        config_i[at + layout.TYPE] = _TYPES[point.type]
    config_i[at + layout.WIDTH] = 0 if point.area.is_bits else point.words
    config_i[at + layout.ADDRESS] = point.address
    config_i[at + layout.LOW_WORD_FIRST] = point.order.low_word_first
    config_i[at + layout.BYTES_SWAPPED] = point.order.bytes_swapped
    if point.bits:
        config_i[at + layout.SLICE_LOW], config_i[at + layout.SLICE_COUNT] = point.bits
    config_f[at + layout.SCALE] = point.scale
    config_f[at + layout.OFFSET] = point.offset
    if point.plausible:
        config_i[at + layout.HAS_PLAUSIBLE] = 1
        config_f[at + layout.PLAUSIBLE_LOW], config_f[at + layout.PLAUSIBLE_HIGH] = point.plausible


def _put_filters(tables: Tables, at: int, first: int, filters: Sequence[Filter]) -> None:
    tables.config_i[at + layout.FILTER_AT] = first
    tables.config_i[at + layout.FILTER_COUNT] = len(filters)
    for cell, stage in zip(range(first, first + len(filters) * ROW, ROW), filters, strict=True):
        if isinstance(stage, Median):
            tables.config_i[cell + layout.F_KIND] = layout.MEDIAN
            tables.config_i[cell + layout.F_SAMPLES] = stage.samples
        elif isinstance(stage, Lowpass):
            tables.config_i[cell + layout.F_KIND] = layout.LOWPASS
            tables.config_f[cell + layout.F_PARAMETER] = stage.tau_ns
        else:
            tables.config_i[cell + layout.F_KIND] = layout.DEADBAND
            tables.config_f[cell + layout.F_PARAMETER] = stage.width


def _put_invalid(tables: Tables, at: int, first: int, values: Sequence[int]) -> None:
    tables.config_i[at + layout.INVALID_AT] = first
    tables.config_i[at + layout.INVALID_COUNT] = len(values)
    for i, value in enumerate(values):
        tables.config_i[first + i] = ctypes.c_int64(value).value


def _put_alarm(tables: Tables, at: int, alarm: AlarmDef) -> None:
    tables.config_i[at + layout.A_KIND] = _ALARM_KINDS[alarm.kind]
    tables.config_i[at + layout.A_RAW_INPUT] = alarm.input is AlarmInput.RAW
    tables.config_i[at + layout.A_ON_DELAY_NS] = alarm.on_delay_ns
    tables.config_i[at + layout.A_OFF_DELAY_NS] = alarm.off_delay_ns
    tables.config_f[at + layout.A_LOW] = alarm.low
    tables.config_f[at + layout.A_HIGH] = alarm.high
    tables.config_f[at + layout.A_DEADBAND] = alarm.deadband


# --- carrying state over ----------------------------------------------------------------------


def carry(old: Tables, new: Tables, *, windows: bool) -> None:
    """Copy to `new` the state of every point, filter and alarm whose definition is the same in `old`.

    `windows` False: the open windows stay behind, as they do for a point that sent no summaries before
    or sends none now.
    """
    before = {key: index for index, key in enumerate(old.point_keys)}
    for index, key in enumerate(new.point_keys):
        if key in before:
            source, target = before[key] * ROW, index * ROW
            _copy_rows(old, new, source, target, 1)
            _copy_rows(
                old,
                new,
                old.config_i[source + layout.FILTER_AT],
                new.config_i[target + layout.FILTER_AT],
                new.config_i[target + layout.FILTER_COUNT],
            )
            had, has = old.config_i[source + layout.WINDOWED], new.config_i[target + layout.WINDOWED]
            if not (windows and had and has):
                _empty_window(new, target)
            if had and not has:
                # Only its summaries were sent: whatever comes next is news to the receiver.
                new.state_i[target + layout.SAID_QUALITY] = layout.NEVER
    alarms_before = {key: index for index, key in enumerate(old.alarm_keys)}
    for index, key in enumerate(new.alarm_keys):
        if key in alarms_before:
            _copy_rows(old, new, old.alarm_cells[alarms_before[key]], new.alarm_cells[index], 1)


def _copy_rows(old: Tables, new: Tables, source: int, target: int, rows: int) -> None:
    for cell in range(rows * ROW):
        new.state_i[target + cell] = old.state_i[source + cell]
        new.state_f[target + cell] = old.state_f[source + cell]


def _empty_window(tables: Tables, at: int) -> None:
    for cell in (layout.COUNT, layout.BAD, layout.MISSING, layout.WORST):
        tables.state_i[at + cell] = 0
