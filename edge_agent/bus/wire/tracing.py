"""From what a line does to `trace.Frame`s: remembers the end of the last frame to know the gaps."""

from __future__ import annotations

from edge_agent.bus.outcomes import Outcome, ReadRequest
from edge_agent.bus.wire.timing import Timing
from edge_agent.bus.wire.trace import Direction, Frame, Trace, describe, describe_request
from edge_agent.bus.wire.transaction import Transaction
from edge_agent.clock import Clock
from edge_agent.model import MonoNs, WallNs


class Tracer:
    """One per traced line; without a sink there is none, and tracing costs nothing."""

    def __init__(self, bus: str, timing: Timing, clock: Clock, sink: Trace) -> None:
        self._bus = bus
        self._timing = timing
        self._clock = clock
        self._sink = sink
        self._last_end = clock.mono_ns()

    def sent(self, request: ReadRequest, data: bytes, start: MonoNs) -> None:
        end = MonoNs(start + self._timing.wire_ns(len(data)))
        self._emit("->", data, start, end, describe_request(request))

    def concluded(self, request: ReadRequest, transaction: Transaction, timeout_ns: int, now: MonoNs) -> None:
        outcome = transaction.outcome
        assert outcome is not None, "a transaction is traced when it has ended"
        self.outcome(request, outcome, transaction.raw, timeout_ns, now)

    def outcome(
        self, request: ReadRequest, outcome: Outcome, data: bytes, timeout_ns: int, now: MonoNs
    ) -> None:
        """The reply, or what was heard instead of one."""
        start = MonoNs(now - self._timing.wire_ns(len(data)))
        self._emit("<-" if data else "--", data, start, now, describe(outcome, request, timeout_ns))

    def discarded(self, data: bytes, now: MonoNs, late: bool) -> None:
        """Heard while nothing was asked."""
        start = MonoNs(now - self._timing.wire_ns(len(data)))
        self._emit("<-", data, start, now, "late reply, discarded" if late else "out of turn, discarded")

    def _emit(self, direction: Direction, data: bytes, start: MonoNs, end: MonoNs, verdict: str) -> None:
        gap = max(0, start - self._last_end)
        chars = gap / self._timing.char_ns if self._timing.char_ns else 0.0
        now_mono, now_wall = self._clock.mono_ns(), self._clock.wall_ns()
        wall = WallNs(now_wall - (now_mono - start))
        self._sink(Frame(self._bus, direction, data, start, wall, gap, chars, verdict))
        self._last_end = end
