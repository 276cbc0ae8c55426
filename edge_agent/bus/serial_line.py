"""Modbus RTU on a serial port: the loop around `transaction` and `quiet`.

Owns the port while it is open. Each request waits for the line's silence, is written, and is waited
for by sleeping to the earliest possible end of its reply and reading once. t3.5 is counted from the
moment the last byte was *read*, which is never before it came, so it is never undercut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edge_agent.bus.frames import Expected, expect
from edge_agent.bus.kept import KeptPort
from edge_agent.bus.line import SLICE_NS, Done, Stopped, never_stopped
from edge_agent.bus.manners import Manners
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    ReadRequest,
    Values,
)
from edge_agent.bus.port import Port
from edge_agent.bus.quiet import Quiet
from edge_agent.bus.timing import Timing
from edge_agent.bus.tracing import Tracer
from edge_agent.bus.transaction import Transaction, Wait
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import NS, MonoNs

JAMMED_NS = NS
"""Bytes that come out of turn for so long without a silence: the line is jammed, and the request whose
turn it is comes to a bad frame without being sent."""
_NOISY_BYTES = 256
_NOISY_LOOK_NS = NS // 50


class SerialLine(KeptPort[Port]):
    """A `Line`."""

    def __init__(
        self,
        open_port: Callable[[], Port],
        timing: Timing,
        clock: Clock,
        *,
        manners: Mapping[int, Manners],
        stopped: Stopped = never_stopped,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(open_port, clock, manners)
        self._timing = timing
        self._stopped = stopped
        self._tracer = tracer
        self._awaited: Manners | None = None
        """Whose late reply may be among what is heard out of turn."""
        self._quiet = Quiet(timing, clock.mono_ns())
        self._loud_since = clock.mono_ns()
        self._loud_bytes = 0
        """Heard out of turn since the line was last found silent, over as many calls as that takes."""

    def _begin(self) -> None:
        self._quiet = Quiet(self._timing, self._clock.mono_ns())

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        done: list[Done] = []
        for request in plan:
            if self._clock.mono_ns() >= deadline or self._stopped():
                break
            one = self._try(request, deadline)
            if one is None:
                break
            done.append(one)
        return done

    def _try(self, request: ReadRequest, deadline: MonoNs) -> Done | None:
        """None when the request could not be begun by the deadline, or the agent is stopping."""
        if self._port is None:
            return self._port_down()
        try:
            return self._exchange(self._port, request, deadline)
        except PortError as error:
            return self._give_up(error)

    def _exchange(self, port: Port, request: ReadRequest, deadline: MonoNs) -> Done | None:
        manners = self.manners[request.device]
        settled = self._settle(port, manners.interframe_ns, deadline)
        if settled is not True:
            return settled
        want = expect(request)
        timeout_ns = manners.timeout.timeout_ns
        transaction = Transaction(want, self._timing, timeout_ns)
        start = self._clock.mono_ns()
        port.write(want.request)
        transaction.sent(start, self._clock.mono_ns())
        self.counts.sent_bytes += len(want.request)
        if self._tracer:
            self._tracer.sent(request, want.request, start)
        outcome = self._await(port, transaction)
        now = self._clock.mono_ns()
        if outcome is None:
            self._quiet.after_silence(now, 0, want)
            return None
        if self._tracer:
            self._tracer.concluded(request, transaction, timeout_ns, now)
        self._after(port, transaction, want, manners, timeout_ns, now)
        self._count(transaction)
        answered = isinstance(outcome, Values | DeviceException)
        occupied = now - start if answered else self._timing.wire_ns(len(want.request) + transaction.heard)
        return Done(outcome, now, occupied + self._timing.interframe_ns)

    def _await(self, port: Port, transaction: Transaction) -> Outcome | None:
        """The outcome; None when the agent is stopping."""
        now = self._clock.mono_ns()
        while isinstance(step := transaction.step(now), Wait):
            if self._stopped():
                return None
            latest = MonoNs(now + SLICE_NS)
            data = port.read(min(step.quiet_until, latest), min(step.until, latest))
            now = self._clock.mono_ns()
            transaction.receive(data, now)
        return step

    def _settle(self, port: Port, interframe_ns: int | None, deadline: MonoNs) -> Done | Literal[True] | None:
        """Listen until the line may be spoken on: True. What is heard meanwhile answers nothing.

        A bad frame when the line does not fall silent; None when the deadline comes first.
        """
        while True:
            now = self._clock.mono_ns()
            ready = self._quiet.ready_at(interframe_ns)
            if self._loud_bytes > _NOISY_BYTES:
                # Looked at every t3.5, a babbling line would cost a tenth of a processor.
                ready = max(ready, MonoNs(now + _NOISY_LOOK_NS))
            wake = min(ready, MonoNs(now + SLICE_NS), max(deadline, now))
            data = port.read(wake, wake)
            now = self._clock.mono_ns()
            if data:
                self._discard(data, now)
                if now - self._loud_since > JAMMED_NS:
                    return Done(BadFrame(BadCause.GARBAGE, self._loud_bytes), now, 0)
            elif now >= ready:
                self._loud_bytes = 0
                return True
            if self._stopped() or now >= deadline:
                return None

    def _discard(self, data: bytes, now: MonoNs) -> None:
        if not self._loud_bytes:
            self._loud_since = now
        self._loud_bytes += len(data)
        late = self._quiet.late_replies
        self._quiet.heard(data, now)
        is_late = self._quiet.late_replies > late
        self.counts.heard_bytes += len(data)
        self.counts.discarded_bytes += len(data)
        self.counts.late_replies += is_late
        if self._awaited is not None:
            self._awaited.unheard = 0
        if self._tracer:
            self._tracer.discarded(data, now, is_late)

    def _after(
        self,
        port: Port,
        transaction: Transaction,
        want: Expected,
        manners: Manners,
        timeout_ns: int,
        now: MonoNs,
    ) -> None:
        outcome = transaction.outcome
        self._awaited = None
        match outcome:
            case Values(latency_ns=latency_ns) | DeviceException(latency_ns=latency_ns):
                manners.timeout.replied(latency_ns)
                manners.unheard = 0
                self._quiet.after_reply(now, manners.turnaround_ns)
            case BadFrame() if not transaction.timed_out:
                manners.unheard = 0
                self._quiet.after_bad_frame(now)
            case _:
                manners.timeout.silent()
                self._quiet.after_silence(now, manners.late_ns(timeout_ns), want)
                manners.unheard += 1
                self._awaited = manners
                if isinstance(outcome, NoReply) and port.unsent():
                    raise PortError(
                        "the port did not send the request",
                        reason="io",
                        hint="is hardware flow control on, or the adapter stuck?",
                    )

    def _count(self, transaction: Transaction) -> None:
        self.counts.heard_bytes += transaction.heard
        self.counts.echoes += transaction.echo
        if transaction.frame:
            self.counts.discarded_bytes += transaction.heard - len(transaction.frame)
