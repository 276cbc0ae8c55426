"""What a bus hands to the sink: blocks and skips, labelled with wall time, each poll counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edge_agent.bus.device.device import Device, down_points
from edge_agent.bus.outcomes import Block, BusEvent, Outcome, ReadRequest, Skipped
from edge_agent.bus.tallies import Tally
from edge_agent.clock import Clock
from edge_agent.model import MonoNs, WallNs


class Handover:
    """Of one bus and one generation. The sink must not block."""

    def __init__(self, generation: int, sink: Callable[[BusEvent], None], clock: Clock, tally: Tally) -> None:
        self._generation = generation
        self._sink = sink
        self._clock = clock
        self._tally = tally

    def block(self, request: ReadRequest, outcome: Outcome, when: MonoNs, wall: WallNs | None = None) -> None:
        """`wall`: the label of `when`, where it is known."""
        self._sink(Block(self._generation, request, outcome, when, self.wall(when) if wall is None else wall))

    def spared(self, device: Device, points: Iterable[int], outcome: Outcome, when: MonoNs) -> None:
        """Polls that were not made, and what they come to all the same."""
        points = tuple(points)
        self._tally.spared(device.name, len(points))
        for request in down_points(points, device):
            self.block(request, outcome, when)

    def skipped(self, device: Device, points: Sequence[int]) -> None:
        """Polls that gave way to newer ones, a point once for each."""
        if points:
            self._tally.skipped(device.name, len(points))
            now = self._clock.mono_ns()
            self._sink(Skipped(self._generation, tuple(points), now, self.wall(now)))

    def wall(self, when: MonoNs) -> WallNs:
        """The wall clock's label of a monotonic time, as the clock stands now."""
        return WallNs(self._clock.wall_ns() - (self._clock.mono_ns() - when))
