"""Modbus RTU on a serial port: the loop around `transaction` and `quiet`.

Owns the port while it is open. Each request waits for the line's silence, is written, and is waited
for by sleeping to the earliest possible end of its reply and reading once. t3.5 is counted from the
moment the last byte was *read*, which is never before it came, so it is never undercut.

With a talker, the compiled loop makes the requests, as long as each gets its plain good reply;
whatever else happens it hands back as it stands, and the loop here, its twin, goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Literal

from edge_agent.bus.line import SLICE_NS, Done, Stopped, never_stopped
from edge_agent.bus.lines.kept import KeptPort
from edge_agent.bus.lines.talker import ROWS, Ask, Talker
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    ReadRequest,
    Values,
)
from edge_agent.bus.ports.port import Port
from edge_agent.bus.wire.frames import Expected, expect
from edge_agent.bus.wire.manners import Manners
from edge_agent.bus.wire.quiet import Quiet
from edge_agent.bus.wire.timing import Timing
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.bus.wire.transaction import OVERSLEPT_NS, Transaction, Wait
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.kernels import talk
from edge_agent.model import NS, MonoNs

JAMMED_NS = NS
"""Bytes that come out of turn for so long without a silence: the line is jammed, and the request whose
turn it is comes to a bad frame without being sent."""
_LISTEN_NS = NS // 100
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
        talker: Talker | None = None,
    ) -> None:
        super().__init__(open_port, clock, manners)
        self._talker = talker
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
        self._awaited = None
        self._loud_bytes = 0

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        done: list[Done] = []
        while len(done) < len(plan) and self._clock.mono_ns() < deadline and not self._stopped():
            some = self._try(plan[len(done) :], deadline)
            done += some
            if not some:
                break
        return done

    def _try(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        """One request or more; none when it could not be begun by the deadline, or the agent is stopping."""
        if self._port is None:
            return [self._port_down()]
        done = self._compiled(self._port, plan, deadline)
        if done is not None:
            return done
        try:
            one = self._exchange(self._port, plan[0], deadline)
        except PortError as error:
            one = self._give_up(error)
        return [] if one is None else [one]

    # --- the compiled loop ----------------------------------------------------------------------

    def _compiled(self, port: Port, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done] | None:
        """What the compiled loop made; None when the first request is its twin's to make."""
        talker, fd = self._talker, port.descriptor()
        # On a loud line every request meets bytes; the twin knows how to wait them out.
        if talker is None or fd is None or self._loud_bytes:
            return None
        asks = [self._ask(request) for request in takewhile(_differs_from_its_reply, plan[:ROWS])]
        if not asks:
            return None
        ready = self._quiet.ready_at(asks[0].interframe_ns)
        if self._awaited is not None and ready > self._clock.mono_ns() + _LISTEN_NS:
            return None  # The late reply that is waited for is heard by the twin when it comes.
        made = talker.talk(fd, asks, ready, deadline)
        done = [self._plain(plan[row], asks[row], talker, row) for row in range(made)]
        match talker.status:
            case talk.DONE:
                return done
            case talk.NOT_BEGUN:
                return done or None
            case talk.NOISE:
                noise = talker.spoken(made)
                self._discard(talker.bytes_heard(made, noise.heard), noise.last)
                return done or None
        try:
            one = self._take_over(port, plan[made], asks[made], talker, made)
        except PortError as error:
            one = self._give_up(error)
        return done if one is None else [*done, one]

    def _ask(self, request: ReadRequest) -> Ask:
        manners = self.manners[request.device]
        return Ask(expect(request), manners.timeout.timeout_ns, manners.interframe_ns, manners.turnaround_ns)

    def _plain(self, request: ReadRequest, ask: Ask, talker: Talker, row: int) -> Done:
        """A plain good reply: what `_exchange` does with one, without the steps that led to it."""
        want, spoken = ask.want, talker.spoken(row)
        if spoken.last - spoken.sent > self._longest_ns(ask) + OVERSLEPT_NS:
            return self._overslept(request, ask, talker, row)
        frame = talker.bytes_heard(row, want.length)
        outcome = Values(frame[3:-2], spoken.latency_ns)
        self.counts.sent_bytes += len(want.request)
        self.counts.heard_bytes += want.length
        if self._tracer:
            self._tracer.sent(request, want.request, spoken.start)
            self._tracer.outcome(request, outcome, frame, ask.timeout_ns, spoken.last)
        self.counts.overheard.answered(want)
        self._answered(self.manners[request.device], outcome.latency_ns, spoken.last)
        return Done(outcome, spoken.last, self._occupied_ns(ask, spoken.start, spoken.last))

    def _overslept(self, request: ReadRequest, ask: Ask, talker: Talker, row: int) -> Done:
        """A reply that lay there for a while is its twin's to judge."""
        port, spoken = self._port, talker.spoken(row)
        if port is None:
            return self._port_down()
        transaction = self._begun(request, ask, spoken.start, spoken.sent)
        transaction.receive(talker.bytes_heard(row, spoken.heard), spoken.last, spoken.first)
        try:
            return self._conclude(port, request, ask, transaction, spoken.start) or self._port_down()
        except PortError as error:
            return self._give_up(error)

    def _take_over(self, port: Port, request: ReadRequest, ask: Ask, talker: Talker, row: int) -> Done | None:
        """Go on with a request that the compiled loop sent; None when the agent is stopping."""
        spoken = talker.spoken(row)
        if talker.status == talk.FAILED:
            raise port.failed(talker.errno)
        sent = spoken.sent
        if talker.status == talk.SHORT:
            port.write(ask.want.request[spoken.heard :])
            sent = self._clock.mono_ns()
        transaction = self._begun(request, ask, spoken.start, sent)
        if talker.status == talk.WAITING and spoken.heard:
            transaction.receive(talker.bytes_heard(row, spoken.heard), spoken.last, spoken.first)
        return self._conclude(port, request, ask, transaction, spoken.start)

    # --- its twin -------------------------------------------------------------------------------

    def _exchange(self, port: Port, request: ReadRequest, deadline: MonoNs) -> Done | None:
        ask = self._ask(request)
        settled = self._settle(port, ask.interframe_ns, deadline)
        if settled is not True:
            return settled
        start = self._clock.mono_ns()
        port.write(ask.want.request)
        transaction = self._begun(request, ask, start, self._clock.mono_ns())
        return self._conclude(port, request, ask, transaction, start)

    def _begun(self, request: ReadRequest, ask: Ask, start: MonoNs, sent: MonoNs) -> Transaction:
        transaction = Transaction(ask.want, self._timing, ask.timeout_ns)
        transaction.sent(start, sent)
        self.counts.sent_bytes += len(ask.want.request)
        if self._tracer:
            self._tracer.sent(request, ask.want.request, start)
        return transaction

    def _conclude(
        self, port: Port, request: ReadRequest, ask: Ask, transaction: Transaction, start: MonoNs
    ) -> Done | None:
        """Hear the reply out; None when the agent is stopping."""
        want = ask.want
        outcome = self._await(port, transaction)
        now = self._clock.mono_ns()
        if outcome is None:
            self._quiet.after_silence(now, 0, want)
            return None
        if self._tracer:
            self._tracer.concluded(request, transaction, ask.timeout_ns, now)
        self._after(port, transaction, want, self.manners[request.device], ask.timeout_ns, now)
        self._count(transaction)
        if transaction.overslept:
            self._discard(transaction.overslept, now)
        if isinstance(outcome, Values | DeviceException):
            return Done(outcome, now, self._occupied_ns(ask, start, now))
        wire_ns = self._timing.wire_ns(len(want.request) + transaction.heard)
        return Done(outcome, now, wire_ns + self._timing.interframe_ns)

    def _occupied_ns(self, ask: Ask, start: MonoNs, now: MonoNs) -> int:
        """What a request and its reply took of the line: not the time for which this process was stopped."""
        return min(now - start, self._longest_ns(ask)) + self._timing.interframe_ns

    def _longest_ns(self, ask: Ask) -> int:
        """Request, timeout, reply, and the pause in it that is tolerated."""
        wire_ns = self._timing.wire_ns(len(ask.want.request) + ask.want.length)
        return ask.timeout_ns + wire_ns + self._timing.chunk_gap_ns

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
            # A late reply ends the quarantine when it comes; of babble nothing is to be learnt byte by byte.
            data = port.read(now if self._awaited and not self._loud_bytes else wake, wake)
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
        self.counts.overheard.discarded(data, is_first=not self._loud_bytes)
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

    def _answered(self, manners: Manners, latency_ns: int, now: MonoNs) -> None:
        self._awaited = None
        manners.timeout.replied(latency_ns)
        manners.unheard = 0
        self._quiet.after_reply(now, manners.turnaround_ns)

    def _after(
        self,
        port: Port,
        transaction: Transaction,
        want: Expected,
        manners: Manners,
        timeout_ns: int,
        now: MonoNs,
    ) -> None:
        self.counts.overheard.concluded(transaction, want)
        outcome = transaction.outcome
        self._awaited = None
        match outcome:
            case Values(latency_ns=latency_ns) | DeviceException(latency_ns=latency_ns):
                self._answered(manners, latency_ns, now)
            case BadFrame() if not transaction.timed_out:
                manners.unheard = 0
                self._quiet.after_bad_frame(now)
            case _:
                manners.timeout.silent()
                self._quiet.after_silence(now, manners.late_ns(timeout_ns), want, manners.turnaround_ns)
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


def _differs_from_its_reply(request: ReadRequest) -> bool:
    """False for coils 0x03xx, count 17 to 24: the request is shaped like its own reply, so on a line with
    local echo the compiled loop, which knows no echo, would take the one for the other."""
    want = expect(request)
    return want.request[:3] != want.header or len(want.request) != want.length
