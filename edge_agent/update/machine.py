"""The phases of an update, as two tables. Pure: no file, no clock, no dpkg.

Each phase can be begun again from its beginning, after a power cut as after a kill. How often is counted
before it is begun: a version that takes the machine down with it must not be tried for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from edge_agent.update.health import Look


class Phase(StrEnum):
    STAGED = "staged"
    INSTALLING = "installing"
    WATCHING = "watching"
    PUTTING_BACK = "putting_back"
    KEPT = "kept"
    PUT_BACK = "put_back"
    FAILED = "failed"


class Event(StrEnum):
    DPKG_IS_FREE = "dpkg_is_free"
    INSTALLED = "installed"
    HEALTHY = "healthy"
    RUNS_AGAIN = "runs_again"
    BAD = "bad"
    """What the phase is for did not happen."""
    TAKEN_OVER = "taken_over"
    """Somebody has installed or removed something else meanwhile: it is theirs now."""


TRANSITIONS = {
    (Phase.STAGED, Event.DPKG_IS_FREE): Phase.INSTALLING,
    (Phase.STAGED, Event.BAD): Phase.FAILED,
    (Phase.STAGED, Event.TAKEN_OVER): Phase.FAILED,
    (Phase.INSTALLING, Event.INSTALLED): Phase.WATCHING,
    (Phase.INSTALLING, Event.BAD): Phase.PUTTING_BACK,
    (Phase.INSTALLING, Event.TAKEN_OVER): Phase.FAILED,
    (Phase.WATCHING, Event.HEALTHY): Phase.KEPT,
    (Phase.WATCHING, Event.BAD): Phase.PUTTING_BACK,
    (Phase.WATCHING, Event.TAKEN_OVER): Phase.FAILED,
    (Phase.PUTTING_BACK, Event.RUNS_AGAIN): Phase.PUT_BACK,
    (Phase.PUTTING_BACK, Event.BAD): Phase.FAILED,
    (Phase.PUTTING_BACK, Event.TAKEN_OVER): Phase.FAILED,
}
ENDS = frozenset({Phase.KEPT, Phase.PUT_BACK, Phase.FAILED})

ATTEMPTS = {Phase.STAGED: 5, Phase.INSTALLING: 3, Phase.WATCHING: 3, Phase.PUTTING_BACK: 5}
"""How often each phase is begun. More for those in which nothing new runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package file in the updater's folder, or one that was there."""

    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Named by its content too: the same version may be built twice."""
        return f"{self.version.replace(':', '_')}-{self.sha256[:12]}.deb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update from its order to its end; all that the helper knows."""

    new: Package
    old: Package
    before: Look
    """How the agent was when the update was ordered."""
    watch_s: float
    begun_s: float
    """Unix time, a label for people."""
    phase: Phase = Phase.STAGED
    attempts: int = 0
    """How often this phase was begun."""
    reasons: tuple[str, ...] = ()
    """Why the new one was not kept, or why nothing could be done."""
    notes: tuple[str, ...] = ()
    """What is being waited for, for who follows."""

    @property
    def ended(self) -> bool:
        return self.phase in ENDS


def moved(update: Update, event: Event, *reasons: str) -> Update:
    """KeyError for an event that the phase cannot have."""
    phase = TRANSITIONS[update.phase, event]
    return replace(update, phase=phase, attempts=0, notes=(), reasons=(*update.reasons, *reasons))


def begun_again(update: Update) -> Update:
    """The phase once more, or what follows when it was begun too often."""
    if update.attempts >= ATTEMPTS[update.phase]:
        why = f"interrupted {update.attempts} times while {_DOING[update.phase]}"
        update = moved(update, Event.BAD, why)
    return update if update.ended else replace(update, attempts=update.attempts + 1)


_DOING = {
    Phase.STAGED: "waiting for dpkg",
    Phase.INSTALLING: "installing",
    Phase.WATCHING: "watching the new version",
    Phase.PUTTING_BACK: "putting the old version back",
}
