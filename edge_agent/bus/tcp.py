"""Modbus TCP: one connection, one request at a time, by the same outcomes as on a serial line.

Owns the connection while it is open. A late reply is known by its transaction id and discarded, so a
timeout costs nothing after itself. A connection that the device closed while it was idle (many do)
is opened again once, and the read repeated, before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agent.bus.frames import expect
from edge_agent.bus.line import SLICE_NS, Done, LineCounts, Stopped, never_stopped
from edge_agent.bus.manners import Manners
from edge_agent.bus.mbap import StreamError, judge, take, tcp_request
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.bus.resolver import Resolver
from edge_agent.bus.socket_port import SocketPort, connect
from edge_agent.bus.tracing import Tracer
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import MonoNs, TcpLink


class TcpLine:
    """A `Line`."""

    def __init__(
        self,
        link: TcpLink,
        clock: Clock,
        *,
        manners: Mapping[int, Manners],
        stopped: Stopped = never_stopped,
        tracer: Tracer | None = None,
    ) -> None:
        self._link = link
        self._resolver = Resolver(link, clock, stopped)
        self._clock = clock
        self._stopped = stopped
        self._tracer = tracer
        self._port: SocketPort | None = None
        self._idle = False
        self._transaction_id = 0
        self._ready_at = clock.mono_ns()
        self._buffer = b""
        self.manners = manners
        self.counts = LineCounts()
        self.fault: PortError | None = None

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def open(self) -> None:
        if self._port is not None:
            return
        try:
            self._port = connect(self._link, self._resolver, self._clock, self._stopped)
        except PortError as error:
            self.fault = error
            raise
        self.fault = None
        self._buffer = b""
        self._idle = False
        self.counts.opened += 1

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

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
            self._fail(error)
            if not may_repeat or error.reason != "lost":
                return self._port_down()
        try:
            self.open()
            return self._exchange(self._port, request)
        except PortError as error:
            self._fail(error)
            return self._port_down()

    def _exchange(self, port: SocketPort, request: ReadRequest) -> Done | None:
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
        elif isinstance(outcome, NoReply):
            manners.timeout.silent()
        self._ready_at = MonoNs(now + manners.turnaround_ns)
        return Done(outcome, now, 0 if isinstance(outcome, NoReply) else now - start)

    def _await(
        self, port: SocketPort, request: ReadRequest, start: MonoNs, timeout_ns: int
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
                return NoReply(), b""
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

    def _fail(self, error: PortError) -> None:
        self.fault = error
        self.close()

    def _port_down(self) -> Done:
        reason = self.fault.reason if self.fault else "missing"
        return Done(PortDown(reason), self._clock.mono_ns(), 0)
