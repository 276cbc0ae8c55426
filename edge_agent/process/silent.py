"""The alarm `<device>.silent` that every device has: is anything valid heard from it at all?

A pure state machine. An exception reply is a sign of life: the device is there and says no; but not a
gateway's exception that the device behind it does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.bus.outcomes import Outcome, is_alive
from edge_agent.model import Severity

POLLS = 3
"""One lost frame is noise on the line, and a retry may have failed with it; three polls are not."""

SEVERITY = Severity.WARNING


def alarm_name(device: str) -> str:
    return f"{device}.silent"


@dataclass(slots=True)
class Silence:
    """What is known about one device."""

    failures: int = 0
    """Consecutive polls without a valid frame, counted up to POLLS."""
    active: bool = False

    def hear(self, outcome: Outcome) -> bool:
        """Take the outcome of one poll; returns whether the alarm was raised or cleared by it."""
        before = self.active
        if is_alive(outcome):
            self.failures = 0
            self.active = False
        elif self.failures < POLLS:
            self.failures += 1
            self.active = self.failures == POLLS
        return self.active != before
