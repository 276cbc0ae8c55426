"""Pure: which record comes next. Live cursors per stream, and the backlog behind them.

Owns the order: alarms, then events, then the other streams in turn; live before backlog; each stream
by rising seq. Knows no window, no rate, no connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from edge_agent.uplink.outbox import Ref, Run

_FIRST = ("alarm", "event")
"""In this order; every other stream takes its turn behind them."""


class Rotation:
    """Streams ordered by rank, and those of equal rank served in turn."""

    def __init__(self) -> None:
        self._others: deque[str] = deque()

    def add(self, stream: str) -> None:
        if stream not in _FIRST and stream not in self._others:
            self._others.append(stream)

    def order(self) -> Sequence[str]:
        return (*_FIRST, *self._others)

    def served(self, stream: str) -> None:
        if stream in self._others:
            self._others.remove(stream)
            self._others.append(stream)


class LiveQueue:
    """Records that were appended since the connection came up."""

    def __init__(self, epoch: bytes, tails: Mapping[str, int]) -> None:
        self._epoch = epoch
        self._next: dict[str, int] = {stream: tail + 1 for stream, tail in tails.items()}
        self._tails = dict(tails)
        self._rotation = Rotation()
        self.appended(tails)

    def appended(self, tails: Mapping[str, int]) -> None:
        """The last seq of each stream now."""
        for stream, tail in tails.items():
            self._rotation.add(stream)
            self._next.setdefault(stream, 1)
            self._tails[stream] = tail

    def next(self, *, only_alarms: bool = False) -> Ref | None:
        """The record to send next; it is not offered again."""
        for stream in ("alarm",) if only_alarms else self._rotation.order():
            seq = self._next.get(stream, 1)
            if seq <= self._tails.get(stream, 0):
                self._next[stream] = seq + 1
                self._rotation.served(stream)
                return Ref(self._epoch, stream, seq)
        return None

    @property
    def waiting(self) -> int:
        return sum(tail - self._next[stream] + 1 for stream, tail in self._tails.items())


class Backlog:
    """Runs of records that were waiting before the connection came up, oldest first."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs: dict[str, deque[Run]] = {}
        self._rotation = Rotation()
        for run in runs:
            self._rotation.add(run.stream)
            self._runs.setdefault(run.stream, deque()).append(run)
        self.waiting = sum(run.last - run.first + 1 for run in runs)

    def next(self) -> Ref | None:
        """The record to send next; it is not offered again."""
        for stream in self._rotation.order():
            runs = self._runs.get(stream)
            if runs:
                run = runs.popleft()
                if run.first < run.last:
                    runs.appendleft(Run(run.epoch, stream, run.first + 1, run.last))
                self._rotation.served(stream)
                self.waiting -= 1
                return Ref(run.epoch, stream, run.first)
        return None


def up_to(runs: Sequence[Run], epoch: bytes, tails: Mapping[str, int]) -> list[Run]:
    """`runs` without what of the running epoch lies beyond `tails`: that will be sent live."""
    kept = []
    for run in runs:
        last = min(run.last, tails.get(run.stream, 0)) if run.epoch == epoch else run.last
        if run.first <= last:
            kept.append(Run(run.epoch, run.stream, run.first, last))
    return kept
