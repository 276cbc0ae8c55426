"""A simulated device: points with signals, and the registers a read of them gives.

Owns the map from addresses to values and the reads that count. As strict as the device it stands for:
a request that a profile's quirks forbid is refused with an exception, so that a plan which a real
device would not answer fails here first. Knows no frame, no fault, no clock.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field

from edge_agent.errors import InputError, Problem
from edge_agent.model import Area, PointDef, Quirks
from edge_agent.simulator import encode
from edge_agent.simulator.signals import Counter, PointSignal, Text
from edge_agent.simulator.wire import ILLEGAL_ADDRESS, ReadPdu


@dataclass(frozen=True, slots=True, kw_only=True)
class SimPoint:
    point: PointDef
    signal: PointSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class SimDevice:
    name: str
    unit_id: int
    points: tuple[SimPoint, ...]
    quirks: Quirks = field(default_factory=Quirks)


class Memory:
    """The registers of one device. Time is in seconds since the simulator started."""

    def __init__(self, device: SimDevice) -> None:
        self.device = device
        self._reads = [0] * len(device.points)
        """How often each point was read: what a Counter serves."""
        self._cells: dict[tuple[Area, int], list[tuple[int, int]]] = defaultdict(list)
        """(area, address) -> (index of the point, which of its words); several for slices of bits."""
        for index, entry in enumerate(device.points):
            for word in range(entry.point.words):
                self._cells[entry.point.area, entry.point.address + word].append((index, word))
        self._check_overlaps()
        self._holes = _holes(device)

    def read(self, request: ReadPdu, t: float, *, no_value: bool = False) -> bytes | int:
        """The data of the reply as on the wire, or the exception code.

        `no_value`: points that can say so say that they have none (NaN or their invalid code).
        """
        if _refused(self.device, request):
            return ILLEGAL_ADDRESS
        touched: dict[int, tuple[int, ...]] = {}
        words = []
        for address in range(request.address, request.address + request.count):
            cells = self._cells.get((request.area, address))
            if cells is None:
                if (request.area, address) not in self._holes:
                    return ILLEGAL_ADDRESS
                words.append(0)
                continue
            word = 0
            for index, place in cells:
                if index not in touched:
                    touched[index] = self._words(index, t, no_value)
                word |= touched[index][place]
            words.append(word)
        for index in touched:
            self._reads[index] += 1
        return _bits(words) if request.area.is_bits else struct.pack(f">{len(words)}H", *words)

    def _words(self, index: int, t: float, no_value: bool) -> tuple[int, ...]:
        point, signal = self.device.points[index].point, self.device.points[index].signal
        if no_value and (words := encode.no_value(point)) is not None:
            return words
        if isinstance(signal, Text):
            return encode.encode(point, signal.text)
        if isinstance(signal, Counter):
            low, high = encode.raw_range(point.type)
            count = signal.start + signal.step * self._reads[index]
            return encode.words_of(point.type, point.order, low + (count - low) % (high - low + 1))
        return encode.encode(point, signal.value(t))

    def _check_overlaps(self) -> None:
        points = self.device.points
        for cells in self._cells.values():
            if len(cells) > 1 and not all(points[index].point.bits for index, _ in cells):
                names = ", ".join(points[index].point.name for index, _ in cells)
                message = f"points {names} share a register"
                hint = "only slices of bits may share one"
                raise InputError(
                    [
                        Problem(
                            file="simulator",
                            line=0,
                            key=f"device.{self.device.name}",
                            message=message,
                            hint=hint,
                        )
                    ]
                )


def _bits(values: list[int]) -> bytes:
    """First bit lowest, the last byte filled with zeros (V1.1b3, 6.1)."""
    packed = bytearray((len(values) + 7) // 8)
    for place, value in enumerate(values):
        packed[place // 8] |= (value & 1) << place % 8
    return bytes(packed)


def _holes(device: SimDevice) -> frozenset[tuple[Area, int]]:
    """Addresses without a point that may be read and give 0: what the quirks let a plan read across."""
    quirks, holes = device.quirks, set[tuple[Area, int]]()
    for area, start, count in quirks.read_whole:
        holes.update((area, address) for address in range(start, start + count))
    for area in Area:
        widest = quirks.max_gap_bits if area.is_bits else quirks.max_gap_words
        end: int | None = None
        for point in sorted(
            (p.point for p in device.points if p.point.area is area), key=lambda p: p.address
        ):
            if end is not None and 0 < point.address - end <= widest:
                holes.update((area, address) for address in range(end, point.address))
            end = max(end or 0, point.address + point.words)
    return frozenset(holes)


def _refused(device: SimDevice, request: ReadPdu) -> bool:
    """Whether the quirks forbid this read though each of its addresses exists."""
    quirks, area = device.quirks, request.area
    first, end = request.address, request.address + request.count
    return (
        request.count > (quirks.max_read_bits if area.is_bits else quirks.max_read_words)
        or any(where is area and first <= hi and lo < end for where, lo, hi in quirks.forbidden)
        or any(where is area and first < barrier < end for where, barrier in quirks.barriers)
        or any(lo < end and first < hi and (first, end) != (lo, hi) for lo, hi in _exact_ranges(device, area))
    )


def _exact_ranges(device: SimDevice, area: Area) -> list[tuple[int, int]]:
    """(first, end) of what is answered only when asked for as exactly this range."""
    quirks = device.quirks
    whole = [(start, start + count) for where, start, count in quirks.read_whole if where is area]
    points = [entry.point for entry in device.points if entry.point.area is area]
    return whole + [
        (point.address, point.address + point.words)
        for point in points
        if quirks.one_point_per_request or (area, point.address) in quirks.read_alone
    ]
