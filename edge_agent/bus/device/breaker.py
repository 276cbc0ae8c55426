"""A unit that stays silent is only probed, so that it does not cost the others their time.

Pure, one per (bus, unit id): two configured devices with one unit id are one device on the wire. A state
machine whose moves are one literal table; what is not in the table cannot happen.

    polled ──silence──► doubted ──silence too often──► silent ──any reply──► polled
       ▲  └──────────────any reply, damage──┘            │ ▲
       └─────────────────────────────────────────────────┘ └─ probed, ever more rarely

While it is silent its points are bad at their periods, as its last outcome says, without any request, and
one cheap request asks whether it is back: after 1 s, 2 s, 4 s, at most every 8 s, each pause shortened
by chance so that the units of a bus do not fall into step. When and how long a probe is made is `probes`'.

Why 8 s: every third probe is given the whole configured timeout, so on a line with room a device that
returns slower than it was is found within three pauses, less than half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Outcome, is_alive
from edge_agent.bus.wire.frames import EXCEPTION_LENGTH, LONGEST_FRAME
from edge_agent.model import NS, MonoNs

SILENT_POLLS = 3
FIRST_PROBE_NS = NS
LAST_PROBE_NS = 8 * NS
LEAST_PATIENCE_NS = 2 * NS
"""A schedule of a second has shown all its gaps by then, also those seen in the second half of it."""
JITTER = 0.25
"""Up to this share of a pause is left out."""
WHOLE_EVERY = 3
"""Of so many probes one is given the whole configured timeout."""


class State(Enum):
    POLLED = auto()
    """Polls are made as planned."""
    DOUBTED = auto()
    """The last polls were silent, but not often enough; polls are made as planned."""
    SILENT = auto()
    """Only probes are made."""


class Event(Enum):
    REPLY = auto()
    """Values, or an exception of the device itself."""
    DAMAGE = auto()
    """Bytes that may have been a reply: somebody is there, and it cost little time."""
    SILENCE = auto()
    TOO_OFTEN = auto()
    """Silence for the `SILENT_POLLS`th time in a row."""
    HASTEN = auto()
    """A technician wants to know now."""


class Effect(Enum):
    NONE = auto()
    GIVE_UP = auto()
    """The first probe after the first pause."""
    WAIT_LONGER = auto()
    """The next probe after twice the pause."""
    WAIT_AGAIN = auto()
    """The next probe after the first pause: something was heard."""
    PROBE_NOW = auto()
    BACK = auto()


MOVES: dict[tuple[State, Event], tuple[State, Effect]] = {
    (State.POLLED, Event.REPLY): (State.POLLED, Effect.NONE),
    (State.POLLED, Event.DAMAGE): (State.POLLED, Effect.NONE),
    (State.POLLED, Event.SILENCE): (State.DOUBTED, Effect.NONE),
    (State.POLLED, Event.TOO_OFTEN): (State.SILENT, Effect.GIVE_UP),
    (State.POLLED, Event.HASTEN): (State.POLLED, Effect.NONE),
    (State.DOUBTED, Event.REPLY): (State.POLLED, Effect.NONE),
    (State.DOUBTED, Event.DAMAGE): (State.POLLED, Effect.NONE),
    (State.DOUBTED, Event.SILENCE): (State.DOUBTED, Effect.NONE),
    (State.DOUBTED, Event.TOO_OFTEN): (State.SILENT, Effect.GIVE_UP),
    (State.DOUBTED, Event.HASTEN): (State.DOUBTED, Effect.NONE),
    (State.SILENT, Event.REPLY): (State.POLLED, Effect.BACK),
    (State.SILENT, Event.DAMAGE): (State.SILENT, Effect.WAIT_AGAIN),
    (State.SILENT, Event.SILENCE): (State.SILENT, Effect.WAIT_LONGER),
    (State.SILENT, Event.TOO_OFTEN): (State.SILENT, Effect.WAIT_LONGER),
    (State.SILENT, Event.HASTEN): (State.SILENT, Effect.PROBE_NOW),
}


def is_silent(outcome: Outcome) -> bool:
    """Whether the outcome cost the whole timeout: nothing, a click on the line, only frames that are not
    the reply, a reply that does not end, or a gateway's word that nobody answered it. A damaged reply does
    not; it ends with its own silence and costs the others little."""
    if isinstance(outcome, BadFrame):
        if outcome.cause in (BadCause.CRC, BadCause.SHORT):
            return outcome.heard > LONGEST_FRAME
        return outcome.cause is not BadCause.GARBAGE or outcome.heard < EXCEPTION_LENGTH
    return isinstance(outcome, NoReply) or (isinstance(outcome, DeviceException) and not is_alive(outcome))


class Breaker:
    """`draw` returns a number from 0 to 1, below 1: what jitter is made of."""

    __slots__ = (
        "_draw",
        "_pause_ns",
        "_probe_at",
        "_probes",
        "hastened",
        "is_open",
        "last",
        "silent",
        "state",
    )

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self.state = State.POLLED
        self.is_open = False
        """Whether only probes are made."""
        self.silent = 0
        """Silent polls in a row."""
        self.last: Outcome = NoReply()
        """What the points get while nothing is asked."""
        self.hastened = False
        """The next probe waits for nothing and is given the whole timeout."""
        self._pause_ns = FIRST_PROBE_NS
        self._probe_at = MonoNs(0)
        self._probes = 0

    @property
    def probe_at(self) -> MonoNs | None:
        """From when a probe is due; None while polls are made as planned."""
        return self._probe_at if self.is_open else None

    @property
    def patience_ns(self) -> int:
        """How long a probe that is due may wait for a gap in the schedule."""
        return 0 if self.hastened else max(self._pause_ns // 2, LEAST_PATIENCE_NS)

    @property
    def wants_whole(self) -> bool:
        """Whether the next probe is one that should be given the whole configured timeout."""
        return self.hastened or self._probes % WHOLE_EVERY == WHOLE_EVERY - 1

    def note(self, outcome: Outcome, now: MonoNs) -> bool:
        """One poll's or probe's outcome. True when the unit is back after having been away."""
        event = self._event(outcome)
        if event is not Event.REPLY:
            self.last = outcome
        self._probes += self.is_open
        self.hastened = False
        return self._move(event, now)

    def hasten(self, now: MonoNs) -> None:
        """The next probe is due at `now`. Nothing changes for a unit that is polled anyway."""
        self._move(Event.HASTEN, now)

    def _event(self, outcome: Outcome) -> Event:
        if is_alive(outcome):
            self.silent = 0
            return Event.REPLY
        if not is_silent(outcome):
            self.silent = 0
            return Event.DAMAGE
        self.silent += 1
        return Event.TOO_OFTEN if self.silent >= SILENT_POLLS else Event.SILENCE

    def _move(self, event: Event, now: MonoNs) -> bool:
        self.state, effect = MOVES[self.state, event]
        self.is_open = self.state is State.SILENT
        match effect:
            case Effect.GIVE_UP:
                self._probes = 0
                self._wait(FIRST_PROBE_NS, now)
            case Effect.WAIT_AGAIN:
                self._wait(FIRST_PROBE_NS, now)
            case Effect.WAIT_LONGER:
                self._wait(min(2 * self._pause_ns, LAST_PROBE_NS), now)
            case Effect.PROBE_NOW:
                self._probe_at, self.hastened = now, True
            case Effect.NONE | Effect.BACK:
                pass
        return effect is Effect.BACK

    def _wait(self, pause_ns: int, now: MonoNs) -> None:
        self._pause_ns = pause_ns
        self._probe_at = MonoNs(now + int(pause_ns * (1.0 - JITTER * self._draw())))
