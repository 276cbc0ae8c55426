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

    def ack(self, refs: Sequence[Ref]) -> None:
        """These will never be asked for again. A ref that is unknown or acknowledged is no error."""

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

    def ack(self, refs: Sequence[Ref]) -> None:
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

    def ack(self, refs: Sequence[Ref]) -> None:
        by_stream: dict[str, list[int]] = {}
        for ref in refs:
            position = self._position(ref)
            if position is not None:
                by_stream.setdefault(ref.stream, []).append(position)
        for stream, positions in by_stream.items():
            self._spool.ack(stream, positions)

    def births(self) -> Births:
        births = self._spool.births()
        return Births(
            current=tuple(record for birth in births if birth.current for record in birth.records),
            older=tuple(record for birth in births if not birth.current for record in birth.records),
        )

    def waiting(self) -> Mapping[str, int]:
        return self._spool.stats().unacked

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

    def __init__(self, spool: Spool, stream: str) -> None:
        self._spool = spool
        self._stream = stream
        self._pieces: deque[dict[int, bytes]] = deque(maxlen=2)
        self._nothing = range(0)
        """Positions that a read passed over: asking for each of them would read the same piece again."""

    def read(self, position: int) -> bytes | None:
        for piece in self._pieces:
            if position in piece:
                return piece.pop(position)
        if position in self._nothing:
            return None
        records = self._spool.read(self._stream, position)
        if not records:
            return None
        self._nothing = range(position, records[0].position)
        piece = {record.position: record.data for record in records}
        self._pieces.append(piece)
        return piece.pop(position, None)
