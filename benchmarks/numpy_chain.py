"""The chain of benchmarks/kernels.py in NumPy, vectorised over the points of a block.

What a NumPy program could do when every point has the same type and filters; the kernels need neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _common import time_ns

from edge_agent.kernels import layout
from edge_agent.process.tables import Tables

_TAU_NS, _WIDTH, _HIGH, _SLACK, _DELAY_NS = 5e8, 0.5, 60.0, 1.0, 250_000_000


class NumpyChain:
    def __init__(self, points: int, dtype: str, payloads: Sequence[bytes], step_ns: int) -> None:
        self.points, self.dtype, self.payloads, self.step_ns = points, dtype, payloads, step_ns
        self.ring = np.empty((5, points))
        self.seen = 0
        self.low = self.held = np.zeros(points)
        self.active = np.zeros(points, dtype=bool)
        self.waiting = np.zeros(points, dtype=bool)
        self.elapsed = np.zeros(points, dtype=np.int64)
        self.count = 0
        self.mean, self.m2 = np.zeros(points), np.zeros(points)
        self.least, self.most = np.full(points, np.inf), np.full(points, -np.inf)

    def round(self) -> float:
        """Nanoseconds per block."""
        return time_ns(self._run, 1) / len(self.payloads)

    def _run(self) -> None:
        for payload in self.payloads:
            self.judge(payload)

    def judge(self, payload: bytes) -> None:
        value = np.frombuffer(payload, self.dtype).astype(np.float64) * 0.1
        filtered = self._filter(value)
        self._alarm(filtered)
        self._window(value, filtered)

    def _filter(self, value: Any) -> Any:
        self.ring[self.seen % 5] = value
        self.seen += 1
        filled = min(self.seen, 5)
        middle = np.sort(self.ring[:filled], axis=0)[(filled - 1) // 2]
        if self.seen == 1:
            self.low = self.held = middle
            return middle
        self.low = self.low + (1.0 - np.exp(-self.step_ns / _TAU_NS)) * (middle - self.low)
        self.held = np.where(np.abs(self.low - self.held) > _WIDTH, self.low, self.held)
        return self.held

    def _alarm(self, filtered: Any) -> None:
        wanted = filtered > np.where(self.active, _HIGH - _SLACK, _HIGH)
        changing = wanted != self.active
        self.elapsed = np.where(changing & self.waiting, self.elapsed + self.step_ns, 0)
        due = changing & (~wanted | (self.elapsed >= _DELAY_NS))
        self.active = self.active ^ due
        self.waiting = changing & ~due

    def _window(self, value: Any, filtered: Any) -> None:
        self.count += 1
        np.minimum(self.least, value, out=self.least)
        np.maximum(self.most, value, out=self.most)
        step = filtered - self.mean
        self.mean = self.mean + step / self.count
        self.m2 = self.m2 + step * (filtered - self.mean)

    def check(self, tables: Tables) -> None:
        """AssertionError unless the kernels came to the same end."""
        rows_f = np.frombuffer(bytes(tables.state_f)).reshape(-1, layout.ROW)[: self.points]
        for cell, mine in (
            (layout.FILTERED, self.held), (layout.MEAN, self.mean), (layout.M2, self.m2),
            (layout.MIN, self.least), (layout.MAX, self.most),
        ):  # fmt: skip
            np.testing.assert_allclose(rows_f[:, cell], mine, rtol=1e-9)
        rows_i = np.frombuffer(bytes(tables.state_i), dtype=np.int64).reshape(-1, layout.ROW)
        states = rows_i[np.array(tables.alarm_cells) // layout.ROW, layout.A_STATE]
        np.testing.assert_array_equal(states == layout.ACTIVE, self.active)
