"""The scenario behind the golden vectors: a made-up site whose blocks exercise every kernel.

Must be the same on every machine and Python version, so it has its own little random numbers. It
visits every type and order, slices, invalid and implausible values, every filter and alarm with
delays, bad polls, and times that stand still; no NaN reaches a table (its bits differ by machine).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from edge_agent.errors import KernelError
from edge_agent.kernels import golden
from edge_agent.kernels import layout as at
from edge_agent.kernels.build import column_scenario

_WIDTHS = {
    at.BOOL: 1, at.U16: 1, at.S16: 1, at.U32: 2, at.S32: 2, at.U64: 4, at.S64: 4, at.F32: 2, at.F64: 4,
    at.BCD16: 1, at.BCD32: 2,
}  # fmt: skip
_ROUNDS = 24
_ROWS = 160
_STEP_NS = (100_000_000, 0, 250_000_001, 5_000_000_000)
_COILS = 16
_SPECIAL = (0x0000, 0xFFFF, 0x8000, 0x7FFF, 0x7F80, 0x7FC0, 0xFF80, 0x3F80, 0x9999, 0x0001)


@dataclass(slots=True)
class _Random:
    """Numerical Recipes' 32-bit congruential generator."""

    state: int = 1

    def below(self, limit: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % limit


@dataclass(slots=True)
class _Site:
    """Tables under construction; rows are given out from the front, as the layout demands."""

    tables: dict[str, ctypes.Array[Any]] = field(
        default_factory=lambda: {
            name: (golden.ELEMENTS[kind] * (_ROWS * at.ROW))()
            for name, kind in (
                ("config_i", "i64"),
                ("config_f", "f64"),
                ("state_i", "i64"),
                ("state_f", "f64"),
            )
        }
    )
    rows: int = 0
    points: list[int] = field(default_factory=list)
    coils: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)

    def row(self, ints: Mapping[int, int], floats: Mapping[int, float]) -> int:
        start = self.rows * at.ROW
        self.rows += 1
        for cell, value in ints.items():
            self.tables["config_i"][start + cell] = value
        for cell, number in floats.items():
            self.tables["config_f"][start + cell] = number
        return start


def write() -> golden.Json:
    """Run the scenario through the plain bodies; the content of `golden.json`."""
    from edge_agent.kernels.catalogue import all_kernels

    functions = {
        name: kernel.function
        for name, kernel in all_kernels().items()
        if kernel.exported and not kernel.system
    }
    site = _site()
    extra = {"moves": ("i64", 256), "out_i": ("i64", 1024), "out_f": ("f64", 1024)}
    site.tables |= {name: (golden.ELEMENTS[kind] * length)() for name, (kind, length) in extra.items()}
    site.tables |= column_scenario.tables()
    before = {name: golden.pack(table) for name, table in site.tables.items()}
    calls = [_run(functions, name, arguments, site.tables) for name, arguments in _all_calls(site)]
    if missing := set(functions) - {call[0] for call in calls}:
        raise KernelError(f"no golden vector calls {', '.join(sorted(missing))}: extend build/scenario.py")
    return {
        "tables": before,
        "calls": calls,
        "after": {name: golden.pack(table) for name, table in site.tables.items()},
    }


def _run(
    functions: Mapping[str, Callable[..., Any]],
    name: str,
    arguments: list[golden.Json],
    tables: golden.Tables,
) -> golden.Json:
    result = golden.call(functions[name], arguments, tables)
    return [name, arguments, golden.pack_number(result), golden.crc(tables)]


# --- the site ---------------------------------------------------------------------------------


def _site() -> _Site:
    site = _Site()
    address = 0
    for index, (kind, (low_first, swapped)) in enumerate(product(_WIDTHS, product((0, 1), (0, 1)))):
        site.points.append(site.row(*_point(index, kind, address, low_first, swapped)))
        address += _WIDTHS[kind]
    for coil in range(_COILS):
        site.coils.append(
            site.row({at.TYPE: at.BOOL, at.WIDTH: 0, at.ADDRESS: coil, at.WINDOWED: 1}, {at.SCALE: 1.0})
        )
    for start in (*site.points, *site.coils):
        for cell, value in at.INITIAL_I:
            site.tables["state_i"][start + cell] = value
    _add_filters(site)
    _add_alarms(site)
    _add_invalid(site)
    return site


def _point(
    index: int, kind: int, address: int, low_first: int, swapped: int
) -> tuple[dict[int, int], dict[int, float]]:
    ints = {
        at.TYPE: kind, at.WIDTH: _WIDTHS[kind], at.ADDRESS: address, at.LOW_WORD_FIRST: low_first,
        at.BYTES_SWAPPED: swapped, at.WINDOWED: index % 5 != 0, at.HAS_PLAUSIBLE: index % 4 == 1,
    }  # fmt: skip
    if index % 3 == 2 and kind not in (at.F32, at.F64, at.BOOL):
        ints |= {at.SLICE_LOW: index % 13, at.SLICE_COUNT: 1 + index % 3 * 16 % (_WIDTHS[kind] * 16 - 13)}
    scale = (1.0, 0.1, -0.001, 3.5)[index % 4]
    floats = {at.SCALE: scale, at.OFFSET: index % 6 * 1.25, at.PLAUSIBLE_LOW: -1e6, at.PLAUSIBLE_HIGH: 1e9}
    return ints, floats


def _add_filters(site: _Site) -> None:
    chains: tuple[tuple[tuple[int, int, float], ...], ...] = (
        ((at.MEDIAN, 5, 0.0), (at.LOWPASS, 0, 5e8), (at.DEADBAND, 0, 2.5)),
        ((at.LOWPASS, 0, 3e9),),
        ((at.DEADBAND, 0, 1000.0), (at.MEDIAN, 15, 0.0)),
        ((at.MEDIAN, 4, 0.0),),
    )
    for number, start in enumerate(site.points[1::2]):
        chain = chains[number % len(chains)]
        stages = [
            site.row({at.F_KIND: kind, at.F_SAMPLES: samples}, {at.F_PARAMETER: parameter})
            for kind, samples, parameter in chain
        ]
        site.tables["config_i"][start + at.FILTER_AT] = stages[0]
        site.tables["config_i"][start + at.FILTER_COUNT] = len(stages)
        site.stages += stages


def _add_alarms(site: _Site) -> None:
    kinds = (at.ABOVE, at.BELOW, at.OUTSIDE, at.RATE_ABOVE, at.EQUALS)
    for number, start in enumerate((*site.points[::3], site.coils[3])):
        alarms = [_alarm(site, kinds[(number + i) % 5], number + i) for i in range(1 + number % 3)]
        site.tables["config_i"][start + at.ALARM_AT] = alarms[0]
        site.tables["config_i"][start + at.ALARM_COUNT] = len(alarms)
        site.alarms += alarms


def _alarm(site: _Site, kind: int, number: int) -> int:
    delays = (0, 300_000_000, 2_000_000_000)
    ints = {
        at.A_KIND: kind, at.A_RAW_INPUT: number % 2,
        at.A_ON_DELAY_NS: delays[number % 3], at.A_OFF_DELAY_NS: delays[number // 3 % 3],
    }  # fmt: skip
    low, high = ((0.0, 1.0), (100.0, 30000.0), (-5.0, 2e9))[number % 3]
    return site.row(ints, {at.A_LOW: low, at.A_HIGH: high, at.A_DEADBAND: number % 4 * 0.5})


def _add_invalid(site: _Site) -> None:
    for start in site.points[::4]:
        place = site.row({0: 0x7FFF, 1: -1, 2: 0x8000, 3: 0x9999}, {})
        site.tables["config_i"][start + at.INVALID_AT] = place
        site.tables["config_i"][start + at.INVALID_COUNT] = 4


def _all_calls(site: _Site) -> Iterator[tuple[str, list[golden.Json]]]:
    yield from _calls(site)
    yield from column_scenario.calls(site.tables)


# --- the calls --------------------------------------------------------------------------------


def _calls(site: _Site) -> Iterator[tuple[str, list[golden.Json]]]:
    random = _Random()
    mono_ns = 1_000_000_000
    for number in range(_ROUNDS):
        mono_ns += _STEP_NS[number % 4 if number % 5 else 0]
        quality = 64 + number if number % 7 == 6 else at.CLOCK if number % 7 == 3 else at.GOOD
        yield _judge(site.points, _payload(random, number), mono_ns, quality)
        yield _judge(site.coils, bytes(random.below(256) for _ in range(_COILS // 8)).hex(), mono_ns, quality)
        if number % 8 == 7:
            yield (
                "windows_read",
                [_indexes(site.points), len(site.points), *_tables("state_i", "state_f", "out_i", "out_f")],
            )
    yield from _alone(site, _payload(random, 1), mono_ns)


def _judge(points: list[int], payload: str, mono_ns: int, quality: int) -> tuple[str, list[golden.Json]]:
    tables = _tables("config_i", "config_f", "state_i", "state_f", "moves")
    return "judge", [["bytes", payload], 0, _indexes(points), len(points), mono_ns, quality, *tables]


def _alone(site: _Site, payload: str, mono_ns: int) -> Iterator[tuple[str, list[golden.Json]]]:
    """Each inner kernel called by itself, as tools and tests do."""
    tables = _tables("config_i", "config_f", "state_i", "state_f")
    for start in site.points[::5]:
        yield "decode", [["bytes", payload], 0, start, *tables]
    for number, start in enumerate(site.points[1::6]):
        yield "filter_value", [start, ["f64", (number * 7.25).hex()], mono_ns + number, *tables]
    for number, start in enumerate(site.alarms[::4]):
        yield "alarm_step", [start, ["f64", (number * 1e4).hex()], 400_000_000, *tables]
    for number, start in enumerate(site.points[::9]):
        offset = ["f64", (1e9 + number * 0.125).hex()]
        yield "window_add", [start, number % 2 * 64, offset, offset, *_tables("state_i", "state_f")]


def _payload(random: _Random, number: int) -> str:
    """Registers for all points; the first rounds hold the patterns where types have their edges."""
    count = sum(_WIDTHS.values()) * 4
    if number < len(_SPECIAL):
        pattern = _SPECIAL[number]
        words = [pattern if i % 2 == 0 or number % 2 else _SPECIAL[i % len(_SPECIAL)] for i in range(count)]
    else:
        words = [random.below(0x10000) if i % 3 else 0x4040 + random.below(16) for i in range(count)]
    return b"".join(word.to_bytes(2, "big") for word in words).hex()


def _indexes(points: list[int]) -> golden.Json:
    return ["i64*", [start // at.ROW for start in points]]


def _tables(*names: str) -> list[golden.Json]:
    return [["table", name] for name in names]
