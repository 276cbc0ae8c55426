"""Modbus TCP: one connection, one request at a time, by the same outcomes as on a serial line.

Owns the connection, plain or TLS, while it is open. A late reply is known by its transaction id and
discarded, so a timeout costs nothing after itself. A connection that the device closed while it was idle
(many do) is opened again once, and the read repeated, before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge_agent.bus.line import SLICE_NS, Done, Stopped, never_stopped
from edge_agent.bus.lines.kept import KeptPort
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    ReadRequest,
    Values,
)
from edge_agent.bus.ports.resolver import Resolver
from edge_agent.bus.ports.socket_port import Stream, connect
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.manners import Manners
from edge_agent.bus.wire.mbap import StreamError, judge, take, tcp_request
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import MonoNs, TcpLink

Connect = Callable[[TcpLink, Resolver, Clock, Stopped], Stream]


class TcpLine(KeptPort[Stream]):
    """A `Line`. `connect` makes the connection: plain, or `tls_port.connect`."""

    def __init__(
        self,
        link: TcpLink,
        clock: Clock,
        *,
        manners: Mapping[int, Manners],
        stopped: Stopped = never_stopped,
        tracer: Tracer | None = None,
        connect: Connect = connect,
    ) -> None:
        resolver = Resolver(link, clock, stopped)
        super().__init__(lambda: connect(link, resolver, clock, stopped), clock, manners)
        self._stopped = stopped
        self._tracer = tracer
        self._idle = False
        self._transaction_id = 0
        self._ready_at = clock.mono_ns()
        self._buffer = b""

    def _begin(self) -> None:
        self._buffer = b""
        self._idle = False

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        done: list[Done] = []
        for request in plan:
            if max(self._clock.mono_ns(), self._ready_at) >= deadline or self._stopped():
                # Wait out a pause that lasts beyond the deadline, or the caller would spin.
                self._clock.sleep_until(min(self._ready_at, deadline))
                break
            one = self._try(request)
            if one is None:
                break
            done.append(one)
        return done

    def _try(self, request: ReadRequest) -> Done | None:
        if self._port is None:
            return self._port_down()
        may_repeat = self._idle
        try:
            return self._exchange(self._port, request)
        except PortError as error:
            down = self._give_up(error)
            if not may_repeat or error.reason != "lost":
                return down
        try:
            self.open()
            return self._exchange(self._port, request)
        except PortError as error:
            return self._give_up(error)

    def _exchange(self, port: Stream, request: ReadRequest) -> Done | None:
        self._clock.sleep_until(self._ready_at)
        want, manners = expect(request), self.manners[request.device]
        timeout_ns = manners.timeout.timeout_ns
        self._transaction_id = self._transaction_id % 0xFFFF + 1
        data = tcp_request(
            self._transaction_id, request.unit_id, want.function, request.address, request.count
        )
        start = self._clock.mono_ns()
        port.write(data)
        self.counts.sent_bytes += len(data)
        if self._tracer:
            self._tracer.sent(request, data, start)
        heard = self._await(port, request, start, timeout_ns)
        if heard is None:
            return None
        outcome, raw = heard
        now = self._clock.mono_ns()
        if self._tracer:
            self._tracer.outcome(request, outcome, raw, timeout_ns, now)
        if isinstance(outcome, Values | DeviceException):
            self._idle = True
            manners.timeout.replied(outcome.latency_ns)
        elif not isinstance(outcome, BadFrame) or outcome.cause is BadCause.SHORT:
            manners.timeout.silent()
        self._ready_at = MonoNs(now + manners.turnaround_ns)
        return Done(outcome, now, 0 if isinstance(outcome, NoReply) else now - start)

    def _await(
        self, port: Stream, request: ReadRequest, start: MonoNs, timeout_ns: int
    ) -> tuple[Outcome, bytes] | None:
        """(outcome, its bytes); None when the agent is stopping."""
        while True:
            try:
                answer = self._next_reply(request, start)
            except StreamError:
                # Out of step for good: only a new connection helps.
                raw, self._buffer = self._buffer, b""
                self.close()
                self.open()
                return BadFrame(BadCause.GARBAGE, len(raw)), raw
            if answer is not None:
                return answer
            now = self._clock.mono_ns()
            if now >= start + timeout_ns:
                # A part of a frame stays in the buffer: the stream goes on behind it.
                part = self._buffer
                return (BadFrame(BadCause.SHORT, len(part)) if part else NoReply()), part
            if self._stopped():
                return None
            data = port.read(MonoNs(min(start + timeout_ns, now + SLICE_NS)))
            self.counts.heard_bytes += len(data)
            self._buffer += data

    def _next_reply(self, request: ReadRequest, start: MonoNs) -> tuple[Outcome, bytes] | None:
        """The outcome if its frame is in the buffer; frames with other transaction ids are discarded."""
        while adu := take(self._buffer):
            raw, self._buffer = self._buffer[: adu.length], self._buffer[adu.length :]
            now = self._clock.mono_ns()
            if adu.transaction_id == self._transaction_id:
                return judge(adu, expect(request), now - start), raw
            self.counts.late_replies += 1
            self.counts.discarded_bytes += len(raw)
            if self._tracer:
                self._tracer.discarded(raw, now, True)
        return None
