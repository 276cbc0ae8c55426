"""Pure: what was published and is not answered yet, and when that has lasted too long.

A slow link and a dead one are told apart by whose turn it is. Bytes the other side's system has not
taken yet may need minutes at 9600 bit/s, and while their number falls nothing is wrong. Once it has
taken a message, the broker has `ack_timeout` to say anything at all; that further messages are taken
proves nothing then: the system of a stopped broker does that too, until its buffer is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.model import MonoNs
from edge_agent.uplink.sending.items import Item, Send

_FORGOTTEN = 6
"""Ack timeouts after which one message is taken for forgotten, though others are answered."""


@dataclass(slots=True, eq=False, repr=False)
class Flying:
    item: Item
    size: int
    taken_at: MonoNs | None = None
    """Since when the other side's system has it."""


class Flight:
    """Of one connection."""

    def __init__(self, ack_timeout_ns: int) -> None:
        self._timeout_ns = ack_timeout_ns
        self._flying: dict[int, Flying] = {}
        self._progress_at = MonoNs(0)
        self.backlog = 0
        self.backlog_bytes = 0

    def __len__(self) -> int:
        return len(self._flying)

    def __iter__(self) -> Iterator[Flying]:
        """Oldest first."""
        return iter(self._flying.values())

    def sent(self, now: MonoNs, token: int, item: Item, size: int) -> None:
        if not self._flying:
            self._progress_at = now
        self._flying[token] = Flying(item, size)
        self._count(item, 1, size)

    def answered(self, now: MonoNs, token: int) -> Item | None:
        """None for an answer nobody waits for."""
        flying = self._flying.pop(token, None)
        if flying is None:
            return None
        self._progress_at = now
        self._count(flying.item, -1, -flying.size)
        return flying.item

    def looked(self, now: MonoNs, *, heard: bool, moved: bool, taken: bool) -> None:
        """The connection since the last look: whether anything was heard from the broker, its system took
        bytes, and whether it has now taken all."""
        if heard or (moved and self._oldest_taken_at() is None):
            self._progress_at = now
        if taken:
            for flying in self._flying.values():
                if flying.taken_at is None:
                    flying.taken_at = now

    def overdue(self, now: MonoNs) -> bool:
        when = self.overdue_at()
        return when is not None and now >= when

    def overdue_at(self) -> MonoNs | None:
        """None while nothing is unanswered."""
        if not self._flying:
            return None
        silent = MonoNs(self._progress_at + self._timeout_ns)
        taken_at = self._oldest_taken_at()
        return silent if taken_at is None else min(silent, MonoNs(taken_at + _FORGOTTEN * self._timeout_ns))

    def _oldest_taken_at(self) -> MonoNs | None:
        oldest = next(iter(self._flying.values()), None)
        return oldest.taken_at if oldest else None

    def _count(self, item: Item, count: int, size: int) -> None:
        if isinstance(item, Send) and item.backlog:
            self.backlog += count
            self.backlog_bytes += size
