"""What the uplink needs of a spool, as a Protocol, and an outbox in memory that keeps it.

Owns the words for stored records (`Ref`, `Run`). Must not know files, MQTT or what is inside a record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is stored and not acknowledged yet."""

    records: int
    bytes: int


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

    def waiting(self) -> Mapping[str, Waiting]:
        """Per stream, for the status."""


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

    def waiting(self) -> Mapping[str, Waiting]:
        with self._lock:
            records = list(self._records.items())
        totals: dict[str, Waiting] = {}
        for ref, record in records:
            before = totals.get(ref.stream, Waiting(0, 0))
            totals[ref.stream] = Waiting(before.records + 1, before.bytes + len(record))
        return totals
