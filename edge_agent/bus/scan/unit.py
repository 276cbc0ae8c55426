"""One unit id at one setting: what is asked, and what is known of it so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.bus.outcomes import DeviceException, Values
from edge_agent.bus.scan.settings import Setting

TRIES = 3
"""Most requests to one unit id at one setting."""


@dataclass(frozen=True, slots=True)
class Probe:
    setting: Setting | None
    """None: by TCP."""
    unit_id: int
    timeout_ns: int


@dataclass(slots=True)
class Unit:
    """What is known of one unit id at one setting."""

    setting: Setting | None
    unit_id: int
    asked: int = 0
    answers: list[Values | DeviceException] = field(default_factory=list)
    frames: int = 0
    """Valid replies of this unit, also those that came too late."""
    rubbish: int = 0
    """Times that bytes came when it was asked, and no valid frame."""

    @property
    def is_found(self) -> bool:
        return bool(self.answers)

    @property
    def answered(self) -> int:
        """Requests that were answered, in time or late."""
        return max(len(self.answers), min(self.frames, self.asked))

    @property
    def is_double(self) -> bool:
        """It answered more often than it was asked: two devices have this unit id."""
        return self.frames > self.asked > 0

    @property
    def is_unclear(self) -> bool:
        """Each time it is asked something comes, and never a frame."""
        return not self.answers and self.asked >= TRIES and self.rubbish >= TRIES
