"""Reads a device never answers although it answers others: told from a device that is away.

Pure, one per device. A silence says something of the read, and not of the device, when the same read
was silent before and the device was heard in between. Such silences in a row are counted; nothing else
is: while nothing is heard of the device at all, no read of it is under suspicion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.model import MonoNs

SILENT_READS = 4
"""In a row, the device heard in between, before a read is held to be the reason. On a line that loses
3 % of the replies that happens by chance once in a million reads."""


@dataclass(frozen=True, slots=True)
class _Record:
    streak: int
    at: MonoNs


class Silences:
    """Reads are known by the points they bring, however long they are asked."""

    __slots__ = ("_heard_at", "_records")

    def __init__(self) -> None:
        self._records: dict[tuple[int, ...], _Record] = {}
        self._heard_at: MonoNs | None = None

    def heard(self, points: Iterable[int], now: MonoNs) -> None:
        """The device replied to a read of these points, be it with an exception."""
        self._heard_at = now
        if self._records:
            known = set(points)
            self._records = {key: one for key, one in self._records.items() if not known.issuperset(key)}

    def silent(self, points: tuple[int, ...], now: MonoNs) -> int:
        """Nothing was heard. How often in a row that was so while the device was there; 0 where it says
        nothing of this read, because the device has not been heard since the last time."""
        before = self._records.get(points)
        if before is None:
            self._records[points] = _Record(1, now)
            return 0
        there = self._heard_at is not None and self._heard_at > before.at
        self._records[points] = _Record(before.streak + there, now)
        return before.streak + 1 if there else 0

    def suspect(self, points: tuple[int, ...], now: MonoNs) -> None:
        """A part of what is held to be silent, or a point that was: once more is enough."""
        self._records[points] = _Record(SILENT_READS - 1, now)

    def clear(self) -> None:
        self._records.clear()
