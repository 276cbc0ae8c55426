"""The one interface to a line, serial or over a network: a whole plan per call, outcomes back.

Owns the contract, not an implementation: `serial_line`, `stream`, `tcp` and `fake` are those, held to it
by one suite of contract tests. A line makes each request once; repeating, splitting and judging are the
worker's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_agent.bus.outcomes import Outcome, ReadRequest
from edge_agent.bus.wire.manners import Manners
from edge_agent.bus.wire.overheard import Overheard
from edge_agent.errors import PortError
from edge_agent.model import MonoNs

SLICE_NS = 200_000_000
"""No wait is longer in one piece, so that a stop is obeyed within it."""

Stopped = Callable[[], bool]


def never_stopped() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Done:
    """What one request came to."""

    outcome: Outcome
    mono_ns: MonoNs
    """When its last byte was read, or when the outcome was certain."""
    line_ns: int
    """Time it occupied the line; waiting in vain does not."""


@dataclass(slots=True)
class LineCounts:
    """Written by the thread that runs the line, since it was made."""

    sent_bytes: int = 0
    heard_bytes: int = 0
    discarded_bytes: int = 0
    """Heard out of turn, or around a reply."""
    late_replies: int = 0
    """Whole replies that came after their timeout (and frames nobody asked for)."""
    echoes: int = 0
    """Requests that came back to us: the adapter hears itself."""
    opened: int = 0
    overheard: Overheard = field(default_factory=Overheard)
    """Whose bytes were heard beside the replies; empty where a line has no bytes out of turn."""


class Line(Protocol):
    """Not thread-safe: the thread that runs it owns it."""

    counts: LineCounts
    fault: PortError | None
    """Why it is closed; None while it is open or was never opened."""
    manners: Mapping[int, Manners]
    """By the index of the device."""

    @property
    def is_open(self) -> bool: ...

    def open(self) -> None:
        """Raises PortError with reason and hint. Does nothing when open."""

    def close(self) -> None: ...

    def run(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        """Make the requests in order; one `Done` for each that was made.

        No request is begun at or after `deadline`; one that was begun is ended, however late. When the
        port is not there, or goes, each remaining request comes to `PortDown`. Never raises for
        anything the line or a device does.
        """
