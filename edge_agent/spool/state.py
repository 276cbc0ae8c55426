"""What is known of one stream: its segments, the records not durable yet, what is acknowledged. Pure.

Positions: `position = base + seq` with one base per epoch, rising over epochs. A segment covers the
positions from its first up to the one before the next segment's first; what it does not hold of them is
damage. The records of `held` are appended but not durable; they are read from memory.

The writer thread changes this under the spool's lock, the uplink thread looks at it under the lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from edge_agent.records.values import EncodedRecord
from edge_agent.spool.ackset import AckSet, Range
from edge_agent.spool.segment import Identity, Scan

_INDEXES = 4
"""Segments whose index is kept at a time: live, backlog and replay, and one to spare."""


@dataclass(slots=True)
class Segment:
    """One file of a stream, or the empty trace (`gone`) of one that was removed between others."""

    identity: Identity
    path: Path
    dict_hash: bytes | None
    """None where the header is destroyed: it may refer to any dictionary."""
    size: int
    """Of the file, which is longer than its content."""
    gone: bool = False
    index: Scan | None = None
    made_ns: int = 0
    """When it was begun by the wall clock, 0 where that is unknown."""
    sound: bool = True
    """No operation on it has failed: its file may be used again."""
    undated: bool = False
    """Known to hold no time of a clock that was set."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the uplink gets it."""

    position: int
    epoch: bytes
    stream: str
    seq: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which records a reader wants: from `position` to before `end`, oldest first, not more than this."""

    position: int
    end: int | None
    max_records: int
    max_bytes: int
    acked_too: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """Frames to be read from a segment's file."""

    segment: Segment
    seqs: tuple[int, ...]
    offsets: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions `first` to `last` of one epoch; `position - base` is the seq."""

    epoch: bytes
    base: int
    first: int
    last: int


class StreamState:
    """One stream. `epoch` is this run's; its first record follows on everything found at open."""

    def __init__(self, stream: str, epoch: bytes, segments: list[Segment], tail: int) -> None:
        self.stream = stream
        self.epoch = epoch
        self.base = tail - 1
        self.tail = tail
        """The position the next record gets."""
        self.segments = segments
        self.acks = AckSet()
        """What nobody waits for: acknowledged or lost."""
        self.lost = AckSet()
        """What cannot be read any more, or must not be sent; a part of `acks`, learnt as it is met."""
        self.held: deque[EncodedRecord] = deque()
        for place, segment in enumerate(segments):
            if segment.gone:
                self.lost.add(*self.bounds(place))

    def bounds(self, place: int) -> Range:
        """Positions the segment at `place` covers; the newest those not yet in its file as well."""
        first = self.segments[place].identity.first_position
        if place + 1 < len(self.segments):
            return first, self.segments[place + 1].identity.first_position - 1
        # The newest segment of an earlier run ends where this run began.
        own = self.segments[place].identity.epoch == self.epoch
        return first, self.tail - 1 if own else self.base

    def durable_bounds(self, place: int) -> Range:
        """Positions the file at `place` must hold: without those that memory holds."""
        first, last = self.bounds(place)
        return first, min(last, self.base + self.held[0].seq - 1) if self.held else last

    def lose(self, first: int, last: int) -> None:
        """Nobody is to ask for these any more, and nobody can have them."""
        self.acks.add(first, last)
        self.lost.add(first, last)

    def forget(self) -> None:
        """What is known of positions that are no longer stored."""
        self.acks.forget_below(self.first)
        self.lost.forget_below(self.first)

    def sendable(self) -> int:
        """The last seq that may be sent: some records must be durable before anybody can have them."""
        withheld = (record.seq for record in self.held if record.durable_first)
        return next(withheld, self.tail - self.base) - 1

    def reapable(self) -> bool:
        """Whether there is a segment that is only kept."""
        return len(self.segments) > 1 and self.acks.covers(*self.bounds(0))

    def is_spent(self) -> bool:
        """Whether nobody can have any of the oldest segment any more."""
        return self.reapable() and self.lost.covers(*self.bounds(0))

    def place_of_first_unacked(self) -> int | None:
        """The oldest file with an unacknowledged record; None if there is none."""
        todo = self.acks.missing(self.first, self.tail - 1)
        if not todo or not self.segments:
            return None
        place = self._place(todo[0][0])
        return place if todo[0][0] <= self.durable_bounds(place)[1] else None

    def kept(self) -> list[Segment]:
        """The oldest segments that are acknowledged as a whole, without the newest, which stays: it tells
        the next run how far this one came."""
        places = range(len(self.segments) - 1)
        return [
            self.segments[place]
            for place in takewhile(lambda place: self.acks.covers(*self.bounds(place)), places)
        ]

    def acked_between(self) -> int | None:
        """Place of an acknowledged segment that has younger and older ones beside it."""
        for place in range(1, len(self.segments) - 1):
            first, last = self.bounds(place)
            if first <= last and not self.segments[place].gone and self.acks.covers(first, last):
                return place
        return None

    def find(self, ask: Ask) -> list[StoredRecord] | Segment | Extent | None:
        """What to do for the next records that are asked for: records from memory, a segment to scan
        first, or an extent to read. None: there are none."""
        without = self.lost if ask.acked_too else self.acks
        todo = without.missing(max(ask.position, self.first), min(ask.end or self.tail, self.tail) - 1)
        if not todo:
            return None
        first = todo[0][0]
        if self.held and first >= self.base + self.held[0].seq:
            return self._find_held(todo, without, ask)
        place = self._place(first)
        segment = self.segments[place]
        if segment.index is None:
            return segment
        last = self.durable_bounds(place)[1]
        return _extent(segment, [(a, min(b, last)) for a, b in todo if a <= last], ask)

    def learn(self, segment: Segment, found: Scan) -> None:
        """Keep a segment's index, and not those of too many others."""
        indexed = [s for s in self.segments[:-1] if s.index is not None]
        for other in indexed[: max(0, len(indexed) - _INDEXES + 1)]:
            other.index = None
        segment.index = found

    def position_of(self, epoch: bytes, seq: int) -> int | None:
        """The position of a record by its identity; None if nothing of its epoch is there."""
        if epoch == self.epoch:
            return self.base + seq
        bases = (s.identity.base for s in self.segments if s.identity.epoch == epoch)
        base = next(bases, None)
        return None if base is None else base + seq

    def stretches(self) -> list[Stretch]:
        """The stored positions by epoch, oldest first."""
        result: list[Stretch] = []
        for place, segment in enumerate(self.segments):
            who, (first, last) = segment.identity, self.bounds(place)
            if result and (result[-1].epoch, result[-1].base) == (who.epoch, who.base):
                first = result.pop().first
            result.append(Stretch(who.epoch, who.base, first, last))
        if self.held and (not result or result[-1].epoch != self.epoch):
            result.append(Stretch(self.epoch, self.base, self.base + self.held[0].seq, self.tail - 1))
        return result

    def unacked(self) -> list[Stretch]:
        """Positions that are neither acknowledged nor known to be lost, oldest first."""
        return [
            Stretch(s.epoch, s.base, first, last)
            for s in self.stretches()
            for first, last in self.acks.missing(s.first, s.last)
        ]

    def stored(self) -> list[Stretch]:
        """Positions that can be read, acknowledged or not, oldest first."""
        return [
            Stretch(s.epoch, s.base, first, last)
            for s in self.stretches()
            for first, last in self.lost.missing(s.first, s.last)
        ]

    @property
    def first(self) -> int:
        """The oldest position that is stored, or else the next."""
        if self.segments:
            return self.segments[0].identity.first_position
        return self.base + self.held[0].seq if self.held else self.tail

    def _place(self, position: int) -> int:
        """The segment that covers a position."""
        low, high = 0, len(self.segments) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.segments[middle].identity.first_position <= position:
                low = middle
            else:
                high = middle - 1
        return low

    def _find_held(self, todo: list[Range], without: AckSet, ask: Ask) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        start = bisect_left(self.held, todo[0][0] - self.base, key=lambda record: record.seq)
        total = 0
        for record in islice(self.held, start, None):
            position = self.base + record.seq
            if position > todo[-1][1] or len(records) >= ask.max_records:
                break
            if position not in without:
                total += len(record.data)
                if records and total > ask.max_bytes:
                    break
                records.append(StoredRecord(position, record.epoch, self.stream, record.seq, record.data))
        return records


def _extent(segment: Segment, wanted: list[Range], ask: Ask) -> Extent:
    """The frames of `wanted` positions that one read of about `max_bytes` brings."""
    index, base = segment.index, segment.identity.base
    assert index is not None
    seqs: list[int] = []
    offsets: list[int] = []
    end = 0
    for first, last in wanted:
        place = bisect_left(index.seqs, first - base)
        while place < len(index.seqs) and index.seqs[place] <= last - base:
            begin = index.offsets[place]
            stop = index.offsets[place + 1] if place + 1 < len(index.offsets) else index.end
            if len(seqs) >= ask.max_records or (seqs and stop - offsets[0] > ask.max_bytes):
                return Extent(segment, tuple(seqs), tuple(offsets), end - offsets[0])
            seqs.append(index.seqs[place])
            offsets.append(begin)
            end = stop
            place += 1
    return Extent(segment, tuple(seqs), tuple(offsets), end - offsets[0] if offsets else 0)
