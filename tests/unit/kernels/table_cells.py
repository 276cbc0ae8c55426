"""Tables with one point, and the kernels called on them the way the process stage calls them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import MOVE, OUT, ROW, Floats, Ints
from edge_agent.model import AlarmDef, PointDef
from edge_agent.process import tables
from tests.unit.process.sites import site


@dataclass
class Bench:
    """The tables of some points and the calls of one set of kernels on them."""

    kernels: Kernels
    tables: tables.Tables

    @classmethod
    def of(cls, kernels: Kernels, points: Iterable[PointDef], alarms: Iterable[AlarmDef] = ()) -> Bench:
        return cls(kernels, tables.build(site(tuple(points), alarms)))

    @property
    def all(self) -> tuple[Ints, Floats, Ints, Floats]:
        t = self.tables
        return t.config_i, t.config_f, t.state_i, t.state_f

    def i(self, cell: int, at: int = 0) -> int:
        return self.tables.state_i[at + cell]

    def f(self, cell: int, at: int = 0) -> float:
        return self.tables.state_f[at + cell]

    def alarm(self, index: int = 0) -> int:
        return self.tables.alarm_cells[index]

    def decode(self, payload: bytes, address: int = 0, at: int = 0) -> int:
        return self.kernels.decode(payload, address, at, *self.all)

    def filter(self, value: float, mono_ns: int) -> float:
        return self.kernels.filter_value(0, value, mono_ns, *self.all)

    def step(self, value: float, step_ns: int) -> int:
        return self.kernels.alarm_step(self.alarm(), value, step_ns, *self.all)

    def judge(
        self, payload: bytes, mono_ns: int, quality: int = 0, points: tuple[int, ...] = (0,), address: int = 0
    ) -> list[tuple[int, int]]:
        """The transitions: (index of the alarm, RAISED or CLEARED)."""
        numbers = (ctypes.c_int64 * len(points))(*points)
        moves = self.tables.moves
        found = self.kernels.judge(payload, address, numbers, len(points), mono_ns, quality, *self.all, moves)
        return [(self.tables.alarm_at[moves[k * MOVE]], moves[k * MOVE + 1]) for k in range(found)]

    def read_window(self) -> tuple[list[int], list[float]]:
        out_i, out_f = (ctypes.c_int64 * OUT)(), (ctypes.c_double * OUT)()
        self.kernels.windows_read(
            (ctypes.c_int64 * 1)(0), 1, self.tables.state_i, self.tables.state_f, out_i, out_f
        )
        return list(out_i), list(out_f)

    def take_state(self, other: Bench) -> None:
        ours, theirs = self.tables, other.tables
        ctypes.memmove(ours.state_i, theirs.state_i, ctypes.sizeof(ours.state_i))
        ctypes.memmove(ours.state_f, theirs.state_f, ctypes.sizeof(ours.state_f))

    def state_bits(self) -> bytes:
        """All state, to the last bit."""
        return bytes(self.tables.state_i) + bytes(self.tables.state_f)


def row(index: int) -> int:
    return index * ROW


def bits(value: float) -> int:
    return struct.unpack(">q", struct.pack(">d", value))[0]
