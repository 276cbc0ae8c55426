"""What was heard beside the replies, by whom it may have been said: the evidence of a poor line.

Pure, one per line, counted since it was made. Told of every transaction that ended and of every byte
out of turn; never in the way of a reply. Bytes out of turn are looked at when the next transaction has
ended, once, however many pieces they came in.

Invariant: no more than `_KEEP` bytes are kept or searched for frames, whatever babbles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edge_agent.bus.outcomes import DeviceException, Outcome, Values
from edge_agent.bus.wire.frames import REQUEST_LENGTH, Expected, find_frame

_KEEP = 600
"""Two of the longest frames: another master's request and its reply."""


class Ended(Protocol):
    """A transaction that is over."""

    heard: int
    echo: bool
    raw: bytes
    frame: bytes
    outcome: Outcome | None


@dataclass(slots=True)
class Heard:
    """Of one unit: what came from its request to the next one and was not its reply."""

    glitched: int = 0
    """Good replies with noise bytes directly in front."""
    trailed: int = 0
    """Good replies with noise bytes behind."""
    doubled: int = 0
    """Replies followed by a second one of the same unit."""
    overlong: int = 0
    """Bad frames longer than the reply that was asked for."""
    late: int = 0
    """Whole replies after their timeout."""
    echoes: int = 0
    """Requests that came back to us."""
    out_of_turn_bytes: int = 0


@dataclass(slots=True)
class Overheard:
    """Of one line. Written by the thread that runs it."""

    units: dict[int, Heard] = field(default_factory=dict)
    """By unit id."""
    resyncs: int = 0
    """Times that bytes out of turn had to fall silent before the next request."""
    out_of_turn_bytes: int = 0
    """Also before anybody was asked: a line may be jammed from the start."""
    foreign_requests: int = 0
    """Requests that were not ours: another master's."""
    foreign_replies: int = 0
    """Replies of units that were never asked."""
    _asked: Expected | None = None
    _answered: bool = False
    _tail: bytes = b""

    def of(self, unit_id: int) -> Heard:
        unit = self.units.get(unit_id)
        if unit is None:
            unit = self.units[unit_id] = Heard()
        return unit

    def discarded(self, data: bytes, is_first: bool) -> None:
        """Bytes out of turn; `is_first` since the line was last silent."""
        self.resyncs += is_first
        self.out_of_turn_bytes += len(data)
        self._tail = (self._tail + data)[:_KEEP]
        if self._asked is not None:
            self.of(self._asked.unit_id).out_of_turn_bytes += len(data)

    def answered(self, want: Expected) -> None:
        """A transaction is over: its reply came and nothing else."""
        self._next(want, answered=True)

    def concluded(self, ended: Ended, want: Expected) -> None:
        """A transaction is over."""
        unit = self._next(want, answered=isinstance(ended.outcome, Values | DeviceException))
        if ended.frame:
            if len(ended.raw) > len(ended.frame):
                self._around_a_reply(unit, ended, want)
            return
        unit.echoes += ended.echo
        if ended.heard:
            unit.overlong += ended.heard > want.length
            self._explain(ended.raw.replace(want.request, b"", 1))

    def _next(self, want: Expected, *, answered: bool) -> Heard:
        """What was discarded since the transaction before came before this one."""
        if self._tail:
            rest = self._explain(self._tail)
            if rest and self._answered and self._asked is not None:
                self.of(self._asked.unit_id).trailed += 1
            self._tail = b""
        self._asked, self._answered = want, answered
        return self.of(want.unit_id)

    def _around_a_reply(self, unit: Heard, ended: Ended, want: Expected) -> None:
        before, _, behind = ended.raw.partition(ended.frame)
        if want.request in before:
            # Where echo and reply were read in one piece, only here is the echo noticed.
            unit.echoes += 1
            before = before.replace(want.request, b"", 1)
        unit.glitched += bool(self._explain(before, is_before=True))
        unit.trailed += bool(self._explain(behind))

    def _explain(self, data: bytes, *, is_before: bool = False) -> bool:
        """Attribute every whole frame; whether anything was left."""
        rest = False
        while found := find_frame(data):
            start, end = found
            self._attribute(data[start:end], is_before)
            rest = rest or start > 0
            data = data[end:]
        return rest or bool(data)

    def _attribute(self, frame: bytes, is_before: bool) -> None:
        asked = self._asked
        if _is_request(frame):
            self.foreign_requests += 1
        elif frame[0] not in self.units:
            self.foreign_replies += 1
        elif self._answered and not is_before and asked is not None and frame[0] == asked.unit_id:
            self.of(frame[0]).doubled += 1
        else:
            self.of(frame[0]).late += 1


def _is_request(frame: bytes) -> bool:
    """A request and not a reply: a reply of eight bytes has three bytes of data, which only bits can have."""
    return len(frame) == REQUEST_LENGTH and not frame[1] & 0x80 and not (frame[1] in (1, 2) and frame[2] == 3)
