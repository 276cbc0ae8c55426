"""Requests of other threads for the line of one bus: a technician's reads and probes, later writes.

Pure but for its lock. What is asked waits here until the bus's thread takes it over into its pool, where
it is begun before any further poll, but for every second transaction while polls are due: a lane can
delay polling, never stop it. The lane is bounded; what does not fit is refused at once, with a reason, and
what nobody waits for any more is not sent. Every request is answered exactly once or refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from edge_agent.bus.outcomes import Outcome, ReadRequest
from edge_agent.errors import EdgeAgentError
from edge_agent.model import MonoNs

CAPACITY = 16
"""More than a few people and scripts ask at once; together they hold the line for a few seconds."""


class Priority(IntEnum):
    """Of what waits in one lane: the smaller goes first."""

    WRITE = 0
    READ = 1


class LaneFull(EdgeAgentError):
    """So many requests wait already."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request; `outcome` None: its time was over before the line was free."""

    outcome: Outcome | None
    mono_ns: MonoNs
    is_silent: bool = False
    """Whether the device is, after this, one that is only probed."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """`answer` is called once, by the bus's thread, and must not block."""

    what: ReadRequest | int
    """A read, or the index of a device to probe."""
    expires: MonoNs
    """From then on nobody waits for it."""
    answer: Callable[[Answer], None]
    priority: Priority = Priority.READ


class Lane:
    """Any thread may `ask`; the bus's thread takes."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: list[Asked] = []
        self._taken = 0

    def ask(self, asked: Asked) -> None:
        """Raises LaneFull with a hint."""
        with self._lock:
            waiting = len(self._waiting) + self._taken
            if waiting >= self._capacity:
                raise LaneFull(
                    f"{waiting} requests wait for this bus already\n    hint: try again in a moment"
                )
            self._waiting.append(asked)

    @property
    def has_new(self) -> bool:
        """Whether `take` has something; seen from any thread."""
        return bool(self._waiting)

    def take(self) -> list[Asked]:
        """Everything new, oldest first; it counts as waiting until `concluded`."""
        if not self._waiting:
            return []
        with self._lock:
            taken, self._waiting = self._waiting, []
            self._taken += len(taken)
        return taken

    def concluded(self) -> None:
        """One that was taken has its answer."""
        with self._lock:
            self._taken -= 1
