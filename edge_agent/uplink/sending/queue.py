"""Pure: which record comes next. Live cursors per stream, and the backlog behind them.

Owns the order: alarms, then events, then what was done by whom, then the other streams in turn; live
before backlog; each stream by rising seq. Knows no window, no rate, no connection. `closed` says of a
stream that nothing of it may be sent now; it keeps its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from edge_agent.uplink.outbox import Ref, Run

FIRST = ("alarm", "event", "audit")
"""In this order; every other stream takes its turn behind them."""

Closed = Callable[[str], bool]


def nothing_closed(_stream: str) -> bool:
    return False


class Rotation:
    """Streams ordered by rank, and those of equal rank served in turn."""

    def __init__(self) -> None:
        self._others: deque[str] = deque()

    def add(self, stream: str) -> None:
        if stream not in FIRST and stream not in self._others:
            self._others.append(stream)

    def order(self) -> Sequence[str]:
        return (*FIRST, *self._others)

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

    def next(self, *, only_alarms: bool = False, closed: Closed = nothing_closed) -> Ref | None:
        """The record to send next; it is not offered again."""
        for stream in ("alarm",) if only_alarms else self._rotation.order():
            seq = self._next.get(stream, 1)
            if seq <= self._tails.get(stream, 0) and not closed(stream):
                self._next[stream] = seq + 1
                self._rotation.served(stream)
                return Ref(self._epoch, stream, seq)
        return None

    def waiting(self, closed: Closed = nothing_closed) -> int:
        """Records of streams that are not closed."""
        return sum(tail - self._next[s] + 1 for s, tail in self._tails.items() if not closed(s))


class Backlog:
    """Runs of records to be sent beside the live ones, oldest first."""

    def __init__(self, runs: Sequence[Run] = ()) -> None:
        self._runs: dict[str, deque[Run]] = {}
        self._at: dict[str, int] = {}
        """Next seq within the first run of a stream: a backlog of a million records moves one number."""
        self._rotation = Rotation()
        self.waiting = 0
        for run in runs:
            self.add(run)

    def add(self, run: Run) -> None:
        self._rotation.add(run.stream)
        runs = self._runs.setdefault(run.stream, deque())
        if not runs:
            self._at[run.stream] = run.first
        runs.append(run)
        self.waiting += run.last - run.first + 1

    def next(self, *, only_first: bool = False, closed: Closed = nothing_closed) -> Ref | None:
        """The record to send next; it is not offered again. `only_first`: of the streams with a rank."""
        for stream in FIRST if only_first else self._rotation.order():
            runs = self._runs.get(stream)
            if runs and not closed(stream):
                self._rotation.served(stream)
                return self._take(stream, runs)
        return None

    def is_open(self, closed: Closed) -> bool:
        """Whether `next` has something."""
        return self.waiting > 0 and any(runs and not closed(stream) for stream, runs in self._runs.items())

    def _take(self, stream: str, runs: deque[Run]) -> Ref:
        run, seq = runs[0], self._at[stream]
        self.waiting -= 1
        if seq < run.last:
            self._at[stream] = seq + 1
        else:
            runs.popleft()
            if runs:
                self._at[stream] = runs[0].first
        return Ref(run.epoch, stream, seq)


def up_to(runs: Sequence[Run], epoch: bytes, tails: Mapping[str, int]) -> list[Run]:
    """`runs` without what of the running epoch lies beyond `tails`: that will be sent live."""
    kept = []
    for run in runs:
        last = min(run.last, tails.get(run.stream, 0)) if run.epoch == epoch else run.last
        if run.first <= last:
            kept.append(Run(run.epoch, run.stream, run.first, last))
    return kept


def without(runs: Sequence[Run], refs: Collection[Ref]) -> list[Run]:
    """`runs` without a few records that are sent otherwise."""
    kept = list(runs)
    for ref in refs:
        for run in kept:
            if (run.epoch, run.stream) == (ref.epoch, ref.stream) and run.first <= ref.seq <= run.last:
                kept.remove(run)
                parts = (run.first, ref.seq - 1), (ref.seq + 1, run.last)
                kept += [Run(run.epoch, run.stream, first, last) for first, last in parts if first <= last]
                break
    return kept
