"""Who is next when the line cannot serve all: virtual deadlines, so that every point keeps its share.

Pure, one per bus. While the line keeps up, a poll's virtual deadline is when its class is due again: the
earliest deadline first. When it does not, a poll that gave way to a newer one hands its place on, and a
class that was served comes up again one period after its *virtual* beginning, not after the clock. Virtual
time then runs slower than the clock, for all classes alike: at twice the load a line can carry, each gets
half of its polls, the fast as the slow, the dear as the cheap. Nothing has to be measured for that, and
the line is never left idle for it.

Plain earliest deadline first cannot do this: what is late stays in front of what is not yet, and on a line
that is always late some classes are never reached. (The rule is start-time fair queueing, with a queue of
one poll for each class and its rate for its weight: Goyal, Vin, Cheng, SIGCOMM 1996.)

Invariant: no virtual beginning lies after the beat it stands for; so when there is room again, the
order is that of the true deadlines.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from edge_agent.model import NS, MonoNs


class Turn(NamedTuple):
    """A place in the order: the smaller the sooner."""

    deadline: int
    """Virtual: nanoseconds of the monotonic clock, as far behind it as the bus is."""
    start: int


FILL_NS = 10 * NS
"""Continuous points take what the line has left; where it has nothing left, after so long without a read
they take a turn like a poll of a second (`guest`): less than their share, and not nothing for ever."""
_CALM_NS = 10 * NS
"""So long after the last missed poll the bus counts as keeping up. A line that cannot serve all is still
idle for moments, and to call it even at each of them would cost the slow classes what they are owed."""
_CREDIT_PERIODS = 2
"""What is behind its share by more than so many polls, because it was away or could not be asked, does not
catch up on them at the cost of the others. Less would be unfair: after each poll a class must wait for its
next beat, up to a period, while virtual time goes on."""


class Shares:
    """`now` is where virtual time begins."""

    __slots__ = ("_last", "_level", "_missed_at", "_virtual")

    def __init__(self, now: MonoNs) -> None:
        self._virtual: int = now
        self._level: int = now
        """When nobody was behind anybody."""
        self._missed_at = now - _CALM_NS
        self._last: dict[Hashable, int] = {}
        """The virtual deadline each was last given."""

    def turn(self, what: Hashable, beat: MonoNs, period_ns: int) -> Turn:
        """The place of a poll planned for `beat` of what is asked every `period_ns`; nothing of it waits."""
        least = max(self._level, self._virtual - _CREDIT_PERIODS * period_ns)
        start = min(max(self._last.get(what, self._virtual), least), beat)
        self._last[what] = start + period_ns
        return Turn(start + period_ns, start)

    def guest(self, period_ns: int) -> Turn:
        """The place of what has no beat: as a poll with that period that begins now."""
        return Turn(self._virtual + period_ns, self._virtual)

    def served(self, turn: Turn) -> None:
        """What had this place was begun."""
        self._virtual = max(self._virtual, turn.start)

    def missed(self, now: MonoNs) -> None:
        """Polls were not made in time."""
        self._missed_at = now

    def all_served(self, now: MonoNs) -> None:
        """No poll waits. On a line that keeps up, whatever anybody is behind is over with that."""
        if now - self._missed_at >= _CALM_NS:
            self._virtual = self._level = max(self._virtual, now)
