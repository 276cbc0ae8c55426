"""Pure: what the broker took and no receiver has acknowledged yet (`[uplink] ack = "receiver"`).

A PUBACK proves the broker only, and a broker can lose everything. Here it makes a record *published*;
it is forgotten when a receiver's `dn/ack` covers it as well. Invariants:

* an acknowledgement frees nothing that no broker took: it is clamped to what is published, and of what
  was sent before it came and is not answered yet, it counts when the PUBACK comes;
* published records are not sent again while a receiver makes progress. When none comes for
  `confirm_ns` (doubling up to its cap), and after each reconnection, the oldest `_PROBE` of a stream are
  offered again: enough to be answered, little enough not to feed a receiver that is away the same
  records for a week. When an acknowledgement then ends exactly behind them, what follows is lost too:
  twice as much is offered at once, and so on.

What is published is known for this run only; after a restart of the agent all of it is offered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from edge_agent.model import MonoNs
from edge_agent.spool.ackset import AckSet, Range
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.payloads import Ack
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.queue import Backlog

_PROBE = 64
_MOST = 4096
_LONG = 10
"""Times `confirm_ns` without a receiver after which people are told."""
_QUIET = 64
"""Streams remembered of which nothing waits: a receiver may still repeat itself about them."""

Key = tuple[bytes, str]


class Word(StrEnum):
    """What became of a receiver's acknowledgement."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """Nothing new."""
    AHEAD = "ahead"
    """Beyond what was sent; what it covers of that is taken."""
    UNKNOWN = "unknown"
    """Of an epoch or stream nothing was sent of."""


@dataclass(slots=True, eq=False, repr=False)
class _Stream:
    patience_ns: int
    stalled_since: MonoNs
    """Since when nothing came, or was offered again."""
    progress_at: MonoNs
    """The last acknowledgement that brought something; before one, the first PUBACK."""
    published: AckSet = field(default_factory=AckSet)
    sent_upto: int = 0
    claimed: Range = (1, 0)
    """What a receiver said last that it has: a PUBACK that comes after it counts at once."""
    chunk: int = 0
    """How many were offered again last; 0: none since there was progress beyond them."""
    chunk_end: int = 0


class Confirmations:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams: dict[Key, _Stream] = {}
        self._again = Backlog()

    def connected(self, now: MonoNs, unacked: Sequence[Run]) -> list[Run]:
        """What of `unacked` no broker took yet. The rest is offered again, a little of each stream first."""
        self._again = Backlog()
        fresh: list[Run] = []
        still: dict[Key, AckSet] = {}
        for run in unacked:
            key = (run.epoch, run.stream)
            known = self._streams.get(key)
            parts = known.published.missing(run.first, run.last) if known else [(run.first, run.last)]
            fresh += (Run(run.epoch, run.stream, first, last) for first, last in parts)
            kept, missing = still.setdefault(key, AckSet()), AckSet(parts)
            for first, last in missing.missing(run.first, run.last):
                kept.add(first, last)
        for key, known in list(self._streams.items()):
            # What is not among `unacked` any more is done with, or was evicted.
            known.published = still.get(key, AckSet())
            self._offer(now, key, known, _PROBE)
            if key not in still and len(self._streams) > _QUIET:
                del self._streams[key]
        return fresh

    def sent(self, now: MonoNs, ref: Ref) -> None:
        known = self._streams.get((ref.epoch, ref.stream))
        if known is None:
            known = self._streams[ref.epoch, ref.stream] = _Stream(self._limits.confirm_ns, now, now)
        known.sent_upto = max(known.sent_upto, ref.seq)

    def published(self, now: MonoNs, ref: Ref) -> bool:
        """A PUBACK; true when a receiver has the record already."""
        known = self._streams[ref.epoch, ref.stream]
        if known.claimed[0] <= ref.seq <= known.claimed[1]:
            return True
        if not len(known.published):
            known.stalled_since = known.progress_at = now
        known.published.add(ref.seq, ref.seq)
        return False

    def gone(self, ref: Ref) -> None:
        """It is not in the spool any more."""
        known = self._streams.get((ref.epoch, ref.stream))
        if known and ref.seq in known.published:
            known.published = _without(known.published, ref.seq, ref.seq)

    def acked(self, now: MonoNs, ack: Ack) -> tuple[Word, list[Run]]:
        """A receiver says what has arrived; what is done with."""
        known = self._streams.get((ack.epoch, ack.stream))
        if known is None or not known.sent_upto:
            return Word.UNKNOWN, []
        word = Word.AHEAD if ack.upto > known.sent_upto else Word.REPEATED
        low, high = known.claimed = (ack.first, min(ack.upto, known.sent_upto))
        cleared = [(max(a, low), min(b, high)) for a, b in known.published if a <= high and b >= low]
        if not cleared:
            return word, []
        known.published = _without(known.published, low, high)
        known.stalled_since = known.progress_at = now
        known.patience_ns = self._limits.confirm_ns
        self._go_on(now, (ack.epoch, ack.stream), known, high, cleared[-1][1])
        runs = [Run(ack.epoch, ack.stream, first, last) for first, last in cleared]
        return (Word.TAKEN if word is Word.REPEATED else word), runs

    def offer(self, now: MonoNs) -> Backlog:
        """What is to be sent once more."""
        for key, known in self._streams.items():
            if len(known.published) and now - known.stalled_since >= known.patience_ns:
                known.patience_ns = min(2 * known.patience_ns, self._limits.confirm_cap_ns)
                self._offer(now, key, known, _PROBE)
        return self._again

    def wake_at(self) -> MonoNs | None:
        times = (
            MonoNs(known.stalled_since + known.patience_ns)
            for known in self._streams.values()
            if len(known.published)
        )
        return min(times, default=None)

    def is_stalled(self, now: MonoNs) -> bool:
        """Whether some stream has waited for a receiver for very long."""
        since = (known.progress_at for known in self._streams.values() if len(known.published))
        return any(now - when >= _LONG * self._limits.confirm_ns for when in since)

    def waiting(self) -> int:
        """Records the broker took and no receiver has acknowledged."""
        return sum(last - first + 1 for known in self._streams.values() for first, last in known.published)

    def _go_on(self, now: MonoNs, key: Key, known: _Stream, upto: int, last_cleared: int) -> None:
        """After progress: did it end exactly behind what was offered again?"""
        if not known.chunk or upto < known.chunk_end:
            return
        if last_cleared > known.chunk_end or not len(known.published):
            known.chunk = 0
        else:
            self._offer(now, key, known, min(2 * known.chunk, _MOST))

    def _offer(self, now: MonoNs, key: Key, known: _Stream, count: int) -> None:
        known.stalled_since, known.chunk = now, 0
        for first, last in known.published:
            last = min(last, first + count - known.chunk - 1)
            self._again.add(Run(*key, first, last))
            known.chunk += last - first + 1
            known.chunk_end = last
            if known.chunk >= count:
                return


def _without(ranges: AckSet, low: int, high: int) -> AckSet:
    left: list[Range] = []
    for first, last in ranges:
        left += [(first, min(last, low - 1)), (max(first, high + 1), last)]
    return AckSet(left)
