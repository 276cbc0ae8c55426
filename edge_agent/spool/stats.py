"""What the spool says of itself for the status socket and `up/health`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """For the status socket."""

    bytes_used: int
    max_bytes: int
    kept_bytes: int
    """Of them segments that are acknowledged and only kept, for who asks again."""
    free_bytes: int
    """Of them files without content, to be used again."""
    memory_only: bool
    """The disk is unusable and records live in memory: said aloud, because a restart loses them."""
    problem: str
    """The disk operation that failed first; empty after a commit interval in which none did."""
    unacked: dict[str, int]
    """Records per stream that are neither acknowledged nor lost."""
