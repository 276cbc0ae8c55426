"""A device that stays silent is only probed, so that it does not cost the others their time.

Pure, one per device. Closed: the device is polled as planned. After three silent polls in a row it
opens: its points are bad at their periods, as its last outcome says, without any request, and one cheap
request probes it after 1 s, 2 s, 4 s, at most every 10 s. The first valid reply closes it; an
exception is a reply, unless a gateway says by it that nobody answered (10 and 11).
"""

from __future__ import annotations

from edge_agent.bus.frames import EXCEPTION_LENGTH
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Outcome, is_alive
from edge_agent.model import NS, MonoNs

SILENT_POLLS = 3
FIRST_PROBE_NS = NS
LAST_PROBE_NS = 10 * NS


def is_silent(outcome: Outcome) -> bool:
    """Whether the outcome cost the whole timeout: nothing, a click on the line, or only frames that
    are not the reply. A damaged reply does not; it ends with its own silence and costs the others little."""
    if isinstance(outcome, BadFrame):
        if outcome.cause in (BadCause.CRC, BadCause.SHORT):
            return False
        return outcome.cause is not BadCause.GARBAGE or outcome.heard < EXCEPTION_LENGTH
    return isinstance(outcome, NoReply | DeviceException)


class Breaker:
    __slots__ = ("_pause_ns", "_probe_at", "is_open", "last", "silent")

    def __init__(self) -> None:
        self.is_open = False
        self.silent = 0
        """Silent polls in a row."""
        self.last: Outcome = NoReply()
        """What the points get while nothing is asked."""
        self._pause_ns = FIRST_PROBE_NS
        self._probe_at = MonoNs(0)

    @property
    def probe_at(self) -> MonoNs | None:
        """When to probe; None while polls are made as planned."""
        return self._probe_at if self.is_open else None

    def note(self, outcome: Outcome, now: MonoNs) -> bool:
        """One poll's or probe's outcome. True when the device is back after having been away."""
        if is_alive(outcome):
            back = self.is_open
            self.is_open = False
            self.silent = 0
            self._pause_ns = FIRST_PROBE_NS
            return back
        self.last = outcome
        self.silent = self.silent + 1 if is_silent(outcome) else 0
        if self.is_open:
            self._pause_ns = min(2 * self._pause_ns, LAST_PROBE_NS)
            self._probe_at = MonoNs(now + self._pause_ns)
        elif self.silent >= SILENT_POLLS:
            self.is_open = True
            self._probe_at = MonoNs(now + self._pause_ns)
        return False

    def hasten(self, now: MonoNs) -> None:
        """The next probe is due now, and pauses begin anew: somebody is working on the device."""
        self._probe_at, self._pause_ns = now, FIRST_PROBE_NS
