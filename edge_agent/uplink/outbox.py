"""What the uplink needs of a spool, as a Protocol; the spool behind it, and one in memory.

Owns the words for stored records (`Ref`, `Run`). Must not know files, MQTT or what is inside a record.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.records.values import STREAMS
from edge_agent.spool import Spool


@dataclass(frozen=True, slots=True)
class Ref:
    """The identity of one record of this agent."""

    epoch: bytes
    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Run:
    """Records `first` to `last` of one stream, both included."""

    epoch: bytes
    stream: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Births:
    """Encoded BIRTH records, the parts of one dictionary in order: `current` of the running
    configuration, `older` ones that stored records still refer to."""

    current: tuple[bytes, ...] = ()
    older: tuple[bytes, ...] = ()


class Outbox(Protocol):
    """Called by the uplink thread only; a call may take as long as the disk does."""

    @property
    def epoch(self) -> bytes:
        """The epoch of this run of the agent: its records can be live."""

    def tails(self) -> Mapping[str, int]:
        """Last seq appended per stream of the running epoch; streams without a record may be absent."""

    def unacked(self) -> Sequence[Run]:
        """Everything not acknowledged, oldest first within each stream."""

    def read(self, ref: Ref) -> bytes | None:
        """The encoded record, or None when it is no longer there (evicted, unreadable)."""

    def read_kept(self, ref: Ref) -> bytes | None:
        """The same, also of a record that is acknowledged but still kept."""

    def stored(self, stream: str) -> Sequence[Run]:
        """Everything that can be read of a stream, acknowledged or not, oldest first."""

    def ack(self, refs: Sequence[Ref]) -> None:
        """These will never be asked for again. A ref that is unknown or acknowledged is no error."""

    def ack_runs(self, runs: Sequence[Run]) -> None:
        """The same for many: a receiver's acknowledgement may cover a million records."""

    def refuse(self, refs: Sequence[Ref]) -> None:
        """A broker refuses these for good: lost, to be declared, and never asked for again."""

    def births(self) -> Births: ...

    def waiting(self) -> Mapping[str, int]:
        """Records not acknowledged, by stream; for the status."""


class MemoryOutbox:
    """An outbox without a disk: for tests and for trying the uplink alone. Any thread may append."""

    def __init__(self, epoch: bytes = b"\x01" * 8) -> None:
        self._epoch = epoch
        self._lock = threading.Lock()
        self._records: dict[Ref, bytes] = {}
        self._tails: dict[str, int] = {}
        self._births = Births()
        self._kept: dict[Ref, bytes] = {}
        self.refused: list[Ref] = []

    @property
    def epoch(self) -> bytes:
        return self._epoch

    def append(self, stream: str, record: bytes) -> Ref:
        with self._lock:
            seq = self._tails.get(stream, 0) + 1
            self._records[ref := Ref(self._epoch, stream, seq)] = record
            self._tails[stream] = seq
            return ref

    def new_epoch(self, epoch: bytes) -> None:
        """What a restart does: numbering begins again, what is not acknowledged stays."""
        self._epoch = epoch
        self._tails = {}

    def set_births(self, births: Births) -> None:
        self._births = births

    def evict(self, refs: Iterable[Ref]) -> None:
        with self._lock:
            for ref in refs:
                self._records.pop(ref, None)

    def tails(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._tails)

    def unacked(self) -> Sequence[Run]:
        with self._lock:
            refs = list(self._records)
        runs: dict[tuple[bytes, str], list[Run]] = {}
        for ref in refs:
            own = runs.setdefault((ref.epoch, ref.stream), [])
            if own and own[-1].last + 1 == ref.seq:
                own[-1] = Run(ref.epoch, ref.stream, own[-1].first, ref.seq)
            else:
                own.append(Run(ref.epoch, ref.stream, ref.seq, ref.seq))
        return [run for own in runs.values() for run in own]

    def read(self, ref: Ref) -> bytes | None:
        return self._records.get(ref)

    def read_kept(self, ref: Ref) -> bytes | None:
        return self._records.get(ref) or self._kept.get(ref)

    def stored(self, stream: str) -> Sequence[Run]:
        with self._lock:
            refs = [ref for ref in (*self._kept, *self._records) if ref.stream == stream]
        refs.sort(key=lambda ref: (ref.epoch, ref.seq))
        return [Run(ref.epoch, stream, ref.seq, ref.seq) for ref in refs]

    def ack(self, refs: Sequence[Ref]) -> None:
        with self._lock:
            for ref in refs:
                if (record := self._records.pop(ref, None)) is not None:
                    self._kept[ref] = record

    def ack_runs(self, runs: Sequence[Run]) -> None:
        self.ack([Ref(run.epoch, run.stream, n) for run in runs for n in range(run.first, run.last + 1)])

    def refuse(self, refs: Sequence[Ref]) -> None:
        self.refused.extend(refs)
        self.evict(refs)

    def births(self) -> Births:
        return self._births

    def waiting(self) -> Mapping[str, int]:
        with self._lock:
            return Counter(ref.stream for ref in self._records)


class SpoolOutbox:
    """The spool as an outbox: records by identity instead of position, read ahead in order."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._ahead = {stream: _ReadAhead(spool, stream) for stream in STREAMS}
        self._kept: _ReadAhead | None = None
        """Of the replay that was served last."""
        self._bases: dict[tuple[bytes, str], int] = {}

    @property
    def epoch(self) -> bytes:
        return self._spool.epoch

    def tails(self) -> Mapping[str, int]:
        return {stream: self._spool.last_seq(stream) for stream in STREAMS}

    def unacked(self) -> Sequence[Run]:
        runs = []
        for stream in STREAMS:
            for part in self._spool.unacked(stream):
                self._bases[part.epoch, stream] = part.base
                runs.append(Run(part.epoch, stream, part.first - part.base, part.last - part.base))
        return runs

    def read(self, ref: Ref) -> bytes | None:
        position = self._position(ref)
        return None if position is None else self._ahead[ref.stream].read(position)

    def read_kept(self, ref: Ref) -> bytes | None:
        if self._kept is None or self._kept.stream != ref.stream:
            self._kept = _ReadAhead(self._spool, ref.stream, acked_too=True)
        position = self._position(ref)
        return None if position is None else self._kept.read(position)

    def stored(self, stream: str) -> Sequence[Run]:
        return [
            Run(part.epoch, stream, part.first - part.base, part.last - part.base)
            for part in (self._spool.stored(stream) if stream in STREAMS else ())
        ]

    def ack(self, refs: Sequence[Ref]) -> None:
        for stream, positions in self._by_stream(refs).items():
            self._spool.ack(stream, positions)

    def ack_runs(self, runs: Sequence[Run]) -> None:
        for run in runs:
            first = self._position(Ref(run.epoch, run.stream, run.first))
            if first is not None:
                self._spool.ack(run.stream, range(first, first + run.last - run.first + 1))

    def refuse(self, refs: Sequence[Ref]) -> None:
        for stream, positions in self._by_stream(refs).items():
            self._spool.refuse(stream, positions)

    def births(self) -> Births:
        births = self._spool.births()
        return Births(
            current=tuple(record for birth in births if birth.current for record in birth.records),
            older=tuple(record for birth in births if not birth.current for record in birth.records),
        )

    def waiting(self) -> Mapping[str, int]:
        return self._spool.stats().unacked

    def _by_stream(self, refs: Sequence[Ref]) -> Mapping[str, list[int]]:
        by_stream: dict[str, list[int]] = {}
        for ref in refs:
            position = self._position(ref)
            if position is not None:
                by_stream.setdefault(ref.stream, []).append(position)
        return by_stream

    def _position(self, ref: Ref) -> int | None:
        base = self._bases.get((ref.epoch, ref.stream))
        if base is None:
            found = self._spool.position(ref.epoch, ref.stream, ref.seq)
            if found is None:
                return None
            base = self._bases[ref.epoch, ref.stream] = found - ref.seq
        return base + ref.seq


class _ReadAhead:
    """Records of one stream beyond those asked for: a disk is read in pieces of 64 KiB, not per record.

    Two pieces are kept, because live data and backlog read the same stream at two places.
    """

    def __init__(self, spool: Spool, stream: str, *, acked_too: bool = False) -> None:
        self.stream = stream
        self._spool = spool
        self._acked_too = acked_too
        self._pieces: deque[dict[int, bytes]] = deque(maxlen=2)
        self._nothing = range(0)
        """Positions that a read passed over: asking for each of them would read the same piece again."""

    def read(self, position: int) -> bytes | None:
        for piece in self._pieces:
            if position in piece:
                return piece.pop(position)
        if position in self._nothing:
            return None
        records = self._spool.read(self.stream, position, acked_too=self._acked_too)
        if not records:
            return None
        self._nothing = range(position, records[0].position)
        piece = {record.position: record.data for record in records}
        self._pieces.append(piece)
        return piece.pop(position, None)
