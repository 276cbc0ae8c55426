"""What a status says of one device: up or down since when, how often what, and why it is silent.

Pure. Written by the bus's thread only.
"""

from __future__ import annotations

from edge_agent.bus.outcomes import BadFrame, DeviceException, NoReply, Outcome, PortDown, Values, is_alive
from edge_agent.bus.wire.frames import exception_name
from edge_agent.model import WallNs

DOWN_AFTER = 3
"""Failures in a row, of whatever kind, after which the status calls a device down."""


def word(outcome: Outcome) -> str:
    """One word per kind and cause, for counters: `ok`, `exception_2`, `no_reply`, `crc`, ..."""
    match outcome:
        case Values():
            return "ok"
        case DeviceException(code):
            return f"exception_{code}"
        case NoReply():
            return "no_reply"
        case BadFrame(cause):
            return cause.value
        case PortDown():
            return "port_down"


class View:
    """What the status says of a device."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.state = "unknown"
        self.since: WallNs | None = None
        self.last: Outcome | None = None
        self.last_good: WallNs | None = None
        self._failures = 0

    def note(self, outcome: Outcome, wall: WallNs) -> bool:
        """One request's outcome. True when the device went up or down by it."""
        kind = word(outcome)
        self.outcomes[kind] = self.outcomes.get(kind, 0) + 1
        return self._judge(outcome, wall)

    def port_down(self, reason: str, wall: WallNs) -> bool:
        self._failures = DOWN_AFTER
        return self._judge(PortDown(reason), wall)

    def _judge(self, outcome: Outcome, wall: WallNs) -> bool:
        self.last = outcome
        if is_alive(outcome):
            self._failures = 0
            if isinstance(outcome, Values):
                self.last_good = wall
            return self._become("up", wall)
        self._failures += 1
        if self._failures >= DOWN_AFTER or isinstance(outcome, PortDown):
            return self._become("down", wall)
        return False

    def _become(self, state: str, wall: WallNs) -> bool:
        if self.state == state:
            return False
        self.state, self.since = state, wall
        return True


def why(outcome: Outcome | None, outcomes: dict[str, int], port_message: str) -> str:
    """Why a device gives no values, in a technician's words; empty when it does."""
    match outcome:
        case None | Values():
            return ""
        case NoReply():
            return "nothing heard: is it powered, wired (A/B), at this unit id and speed?"
        case BadFrame(cause, heard):
            times = outcomes.get(cause.value, 0)
            return f"garbage heard: {_CAUSES[cause.value]} ({times} times, last {heard} bytes)"
        case DeviceException(code):
            times = outcomes.get(word(outcome), 0)
            return f"it answers with exception {code}, {exception_name(code)} ({times} times)"
        case PortDown(reason):
            return port_message or f"port {reason}"


_CAUSES = {
    "crc": "wrong checksum: noise, termination, or two devices with one unit id",
    "short": "replies break off",
    "wrong_unit": "another unit answers",
    "wrong_function": "it answers another function than asked",
    "wrong_count": "it answers another length than asked",
    "garbage": "no frame in it: wrong speed or format, or a second master",
}
