"""One request and what comes back, as a state machine without a port and without a clock.

    sent(start, now)            the request is handed to the line
    receive(data, now)          bytes were heard
    step(now) -> Outcome        it is over
              -> Wait           nothing can be decided before; look again then

What ends the wait:
* the reply: found at any offset of what was heard; at once;
* the timeout: from the end of the request on the wire to the first byte of something that may be the
  reply. Glitch bytes, fewer than any reply has, and other units' whole frames do not stop it: ours may
  still come behind them;
* silence, once something was heard that may have been our reply: it begins like it, or is as long as a
  reply and no valid frame. A damaged or truncated reply costs what the whole one would have taken and
  the tolerated gap, not the timeout.

Invariants: `Values` only from a frame that `find_reply` accepts; the wait never exceeds the timeout
plus the time of the reply on the wire plus the tolerated gap, whatever is heard (babble included).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Outcome, Values
from edge_agent.bus.wire.frames import (
    EXCEPTION_LENGTH,
    Expected,
    begins_ours,
    diagnose,
    find_frame,
    find_reply,
    foreign_cause,
)
from edge_agent.bus.wire.timing import Timing
from edge_agent.model import MonoNs

_RAW_KEPT = 520
_BABBLE_KEPT = 64
"""Bytes kept beyond two replies before the oldest are forgotten."""

_ECHO_PIECE = 3
"""Fewer bytes prove no echo: every reply begins with the unit id and the function of its request."""

OVERSLEPT_NS = 1_000_000_000
"""A busy machine wakes a thread late, and its reply is good all the same; but one whose process was
stopped, or its machine, finds a value that may be from before."""

_PAUSED_NS = 5_000_000
"""More than reading in turn takes: bytes that came this much slower than the line carries them paused."""

_BABBLE_LOOK_NS = 20_000_000
"""Between two looks at a line that babbles: it must not cost the processor."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Before `quiet_until` nothing can be complete, so sleep; then wait for bytes up to `until`."""

    quiet_until: MonoNs
    until: MonoNs


class Transaction:
    """One attempt. Made, `sent`, then `receive` and `step` until `step` returns an outcome."""

    __slots__ = (
        "_buffer", "_checked", "_deadline", "_first_heard", "_foreign", "_last_heard", "_timeout_ns",
        "_timing", "_tx_end", "_want", "echo", "frame", "heard", "outcome", "overslept", "raw",
        "timed_out",
    )  # fmt: skip

    def __init__(self, want: Expected, timing: Timing, timeout_ns: int) -> None:
        self._want = want
        self._timing = timing
        self._timeout_ns = timeout_ns
        self._buffer = b""
        self._checked = 0
        """No reply begins before it in the buffer: a device that repeats the head of its reply for ever
        must not have all of it looked at with every piece."""
        self._foreign: BadCause | None = None
        self._tx_end = self._deadline = self._first_heard = self._last_heard = MonoNs(0)
        self.heard = 0
        """Bytes heard, our own echo not among them."""
        self.echo = False
        """Our request came back: a half-duplex adapter that hears itself."""
        self.raw = b""
        """All that was heard, for the trace; no more than two of the longest frames."""
        self.overslept = b""
        """Read so long after the wait was over that nobody knows how old it is: it answers nothing."""
        self.frame = b""
        """The reply as it stood on the wire, once there is one."""
        self.timed_out = False
        """It ended by the timeout: a reply may still come."""
        self.outcome: Outcome | None = None

    def sent(self, start: MonoNs, now: MonoNs) -> None:
        """The port took the request between `start` and `now`. Its last bit leaves the line no earlier
        than its own length after `start`; a port that took longer to accept it ended later."""
        wire = self._timing.wire_ns(len(self._want.request))
        self._tx_end = MonoNs(max(now, start + wire))
        self._deadline = MonoNs(self._tx_end + self._timeout_ns + self._timing.held_ns(self._want.length))

    def receive(self, data: bytes, now: MonoNs, first: MonoNs | None = None) -> None:
        """Bytes were heard; `now` is not before the last of them. `first`: when the first of several pieces
        was read, if that is not known as `now`."""
        if not data or self.outcome is not None:
            return
        if now > self._latest + OVERSLEPT_NS:
            self.overslept += data
            return
        if not self.heard:
            self._first_heard = now if first is None else first
        self.heard += len(data)
        self._last_heard = now
        self._buffer += data
        self.raw = (self.raw + data)[:_RAW_KEPT]
        if not self._accept(now):
            heard = len(self._buffer)
            self._drop_echo()
            self._drop_foreign()
            self._checked = max(0, heard - self._want.length + 1) if len(self._buffer) == heard else 0

    def step(self, now: MonoNs) -> Outcome | Wait:
        if self.outcome is not None:
            return self.outcome
        echo_only = self._is_echo(self._buffer)
        start = -1 if echo_only else begins_ours(self._buffer, self._want)
        if start >= 0:
            return self._step_in_frame(now, len(self._buffer) - start)
        until = self._deadline
        if len(self._buffer) >= EXCEPTION_LENGTH and not echo_only:
            until = min(until, MonoNs(self._last_heard + self._timing.chunk_gap_ns))
        if now >= until:
            self.timed_out = now >= self._deadline
            return self._end()
        # No reply can be complete before its own length has passed. With something heard, the rest
        # of the shortest reply must still come; babble is looked at now and then only.
        wire = self._timing.wire_ns(EXCEPTION_LENGTH if self.heard else self._want.length)
        if self._is_babble:
            wire = max(wire, _BABBLE_LOOK_NS)
        since = now if self.heard else self._tx_end + self._timing.interframe_ns
        return Wait(MonoNs(min(since + wire, until)), until)

    def _step_in_frame(self, now: MonoNs, have: int) -> Outcome | Wait:
        # One sleep over all that is missing, then the tolerated gap: a whole reply costs two looks, and
        # a truncated one no more than its full length would have taken.
        whole = self._last_heard + self._timing.wire_ns(max(0, self._want.length - have))
        until = min(whole + self._timing.chunk_gap_ns, self._latest)
        if now >= until:
            return self._end()
        if self._is_babble:
            whole = max(whole, now + _BABBLE_LOOK_NS)
        return Wait(MonoNs(min(whole, until)), MonoNs(until))

    @property
    def _latest(self) -> MonoNs:
        """When the wait is over, whatever is heard."""
        return MonoNs(self._deadline + self._timing.wire_ns(self._want.length) + self._timing.chunk_gap_ns)

    @property
    def _is_babble(self) -> bool:
        return self.heard > 2 * self._want.length + _BABBLE_KEPT

    def _accept(self, now: MonoNs) -> bool:
        reply = find_reply(self._buffer, self._want, self._checked)
        if reply is None:
            return False
        self.frame = self._buffer[reply.start : reply.end]
        # Bytes are read some time after they came, so the first byte's time is reckoned back from the
        # reply's length; where a chunk was read earlier than that, its time is the better figure.
        first = now - self._timing.wire_ns(len(self.frame))
        if reply.start == 0 and self._foreign is None:
            # Or it is the time of what stood before the reply, and the timeout would shrink to that.
            first = min(first, self._first_heard)
        if self._is_echo(self._buffer[: reply.start]):
            self._hear_echo(reply.start)
        latency = max(0, first - self._tx_end)
        self.outcome = DeviceException(reply.code, latency) if reply.code else Values(reply.data, latency)
        return True

    def _drop_echo(self) -> None:
        request = self._want.request
        start = self._buffer.find(request)
        if start >= 0:
            self._hear_echo(len(request))
            self._buffer = self._buffer[:start] + self._buffer[start + len(request) :]

    def _is_echo(self, data: bytes) -> bool:
        """Our request, or a piece of it: an adapter that hears itself may be deaf for the first or the last
        characters. Such a piece looks like the beginning of a reply, and must not end the wait for it."""
        return len(data) >= _ECHO_PIECE and data in self._want.request

    def _hear_echo(self, length: int) -> None:
        self.echo = True
        self.heard -= length

    def _drop_foreign(self) -> None:
        """Set aside a whole valid frame that is not ours, somebody's late reply, so that silence behind it
        does not end the wait. Not once our own header was seen: a part of our reply that happens to
        have a valid CRC (one in 65536) must not be cut out of it."""
        if self._want.header in self._buffer:
            return
        frame = find_frame(self._buffer)
        if frame is not None:
            self._foreign = foreign_cause(self._buffer[frame[0] : frame[1]], self._want)
            self._buffer = self._buffer[frame[1] :]
        elif len(self._buffer) > 2 * self._want.length + _BABBLE_KEPT:
            # Babble: a reply that still matters begins within its own length of the end.
            self._buffer = self._buffer[-self._want.length :]

    def _end(self) -> Outcome:
        if self._is_echo(self._buffer):
            self._hear_echo(len(self._buffer))
        if not self.heard:
            self.outcome = NoReply()
        else:
            cause = diagnose(self._buffer, self._want)
            if cause is BadCause.GARBAGE and self._foreign is not None:
                cause = self._foreign
            paused = self._last_heard - self._first_heard > self._timing.wire_ns(self.heard) + _PAUSED_NS
            self.outcome = BadFrame(cause, self.heard, paused)
        return self.outcome
