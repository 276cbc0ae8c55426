"""The pace of a line: when which bytes reach the master, and how well that was kept. Pure.

A wire carries one character after the other; what a program sees depends on the hardware between:
a UART's FIFO hands over 16 bytes at a time, a USB adapter what came within 16 ms, some UARTs every
byte. Whether Python can write at these moments is measured, not assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from edge_agent.model import MonoNs
from edge_agent.simulator.wire import Timing

FIFO_BYTES = 16
"""Of a 16550A. Its timeout of four characters for the rest is not modelled: the rest comes at once."""
USB_TICK_NS = 16_000_000
"""The latency timer with which FTDI adapters are delivered."""
USB_BYTES = 62
"""Data bytes in one packet of a full-speed FTDI adapter: a full one is sent before the timer."""


class Chunks(StrEnum):
    FIFO = "fifo"
    USB = "usb"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that reach the master together."""

    due: MonoNs
    data: bytes
    slack_ns: int
    """Later by more than this, and the chunk comes when the next one should: the pace is lost."""


def chunks(data: bytes, start: MonoNs, timing: Timing, mode: Chunks) -> Iterator[Chunk]:
    """`data` whose first start bit is on the wire at `start`, as the master is given it."""
    char_ns = timing.char_ns
    if not char_ns:
        yield Chunk(start, data, 1_000_000)
    elif mode is Chunks.USB:
        yield from _usb(data, start, char_ns)
    else:
        size = 1 if mode is Chunks.SINGLE else FIFO_BYTES
        for first in range(0, len(data), size):
            end = min(first + size, len(data))
            yield Chunk(MonoNs(start + end * char_ns), data[first:end], size * char_ns)


def _usb(data: bytes, start: MonoNs, char_ns: int) -> Iterator[Chunk]:
    """The adapter's timer runs on by itself: its phase has nothing to do with the reply."""
    first = 0
    while first < len(data):
        earliest = start + (first + 1) * char_ns
        tick = -(-earliest // USB_TICK_NS) * USB_TICK_NS
        by_tick = (tick - start) // char_ns
        end = min(by_tick, first + USB_BYTES, len(data))
        full = end == first + USB_BYTES
        due = min(tick, start + end * char_ns) if full else tick
        yield Chunk(MonoNs(due), data[first:end], USB_TICK_NS)
        first = end


@dataclass(frozen=True, slots=True, kw_only=True)
class LatenessReport:
    """How late chunks were written, in microseconds."""

    writes: int
    p50_us: float
    p99_us: float
    max_us: float
    overtaken: int
    """Chunks written no earlier than the next one was due."""

    @property
    def keeps_pace(self) -> bool:
        return self.overtaken * 100 <= self.writes

    def __str__(self) -> str:
        figures = f"p50 {self.p50_us:.0f} us, p99 {self.p99_us:.0f} us, max {self.max_us:.0f} us"
        verdict = (
            "" if self.keeps_pace else f"; Python cannot keep this pace ({self.overtaken} chunks overtaken)"
        )
        return f"{self.writes} writes late by {figures}{verdict}"


@dataclass(slots=True)
class Lateness:
    """Planned against actual times of writing, in classes of 5 us, so that memory stays small.

    Quantiles are the upper ends of their classes; the maximum is exact.
    """

    _classes: Counter[int] = field(default_factory=Counter)
    _max_ns: int = 0
    _overtaken: int = 0

    def add(self, late_ns: int, slack_ns: int) -> None:
        late_ns = max(late_ns, 0)
        # Beyond 100 ms the class no longer matters.
        self._classes[min(late_ns // 5_000, 20_000)] += 1
        self._max_ns = max(self._max_ns, late_ns)
        self._overtaken += late_ns > slack_ns

    def report(self) -> LatenessReport:
        classes = sorted(self._classes.copy().items())
        total = sum(count for _, count in classes)
        return LatenessReport(
            writes=total,
            p50_us=_quantile(classes, total * 0.50),
            p99_us=_quantile(classes, total * 0.99),
            max_us=self._max_ns / 1000,
            overtaken=self._overtaken,
        )


def _quantile(classes: list[tuple[int, int]], rank: float) -> float:
    for index, count in classes:
        rank -= count
        if rank <= 0:
            return 5.0 * (index + 1)
    return 0.0
