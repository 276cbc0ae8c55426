"""The values that travel between records, spool and uplink: streams, kinds, stamps, losses.

Knows nothing of msgpack or files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from edge_agent.model import MonoNs, WallNs

SAMPLE, SUMMARY, EVENT, ALARM, AUDIT = "sample", "summary", "event", "alarm", "audit"
STREAMS = (SAMPLE, SUMMARY, EVENT, ALARM, AUDIT)
"""Every stream, the one that is given up first at the front. `event` stands above the measurements
because it holds the records that declare losses."""

EPOCH_BYTES = 8
HASH_BYTES = 8


class Kind(IntEnum):
    """Body kinds of format version 1. A number is never used again for something else."""

    START = 1
    BIRTH = 2
    SAMPLES = 3
    SUMMARY = 4
    ALARM = 5
    GAP = 6
    CLOCK_SET = 7
    STOP = 8
    SAMPLE_COLUMNS = 9
    SUMMARY_COLUMNS = 10
    AUDIT = 11


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment by both clocks, and whether the wall clock was synchronised then."""

    wall_ns: WallNs
    mono_ns: MonoNs
    synced: bool


class LossReason(StrEnum):
    """Why records are gone; the words go to receivers."""

    EVICTED = "evicted"
    """The spool was full (its own limit, or the file system's)."""
    CORRUPT = "corrupt"
    """Stored bytes failed their checksum, or a file is missing."""
    OVERFLOW = "overflow"
    """The queue before the spool was full: the disk was slower than the data."""
    MEMORY = "memory"
    """The disk was not usable and the memory kept instead was full."""
    REFUSED = "refused"
    """A broker refused the record for good."""
    EXPIRED = "expired"
    """Nobody acknowledged it within `[spool] max_age`."""
    PURGED = "purged"
    """Somebody had it removed: `edge-agent spool purge`."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that will never be delivered: what a GAP record declares."""

    epoch: bytes
    stream: str
    from_seq: int
    to_seq: int
    count: int
    """Records lost; less than the range where parts of it were delivered or lost before."""
    reason: str
    t0: WallNs | None
    """Earliest and latest time known of what was lost; None where nothing is known."""
    t1: WallNs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What the spool knows of the run before this one: the facts of the START record."""

    epoch: bytes = b""
    """Empty: there was no run before this one."""
    last: dict[str, int] = field(default_factory=dict)
    """Last durable seq of each stream, 0 where the stream has none."""
    certain: dict[str, WallNs] = field(default_factory=dict)
    """Per stream in use: until when everything it observed is in its durable records."""
    certain_until: WallNs | None = None
    """The earliest of `certain`."""
    clean: bool = False
    """Whether the run ended with its STOP record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRecord:
    """A record as it is stored and sent, with what the spool must know without decoding it."""

    stream: str
    seq: int
    epoch: bytes
    kind: int
    dict_hash: bytes
    t0_ns: WallNs
    until_ns: WallNs
    """For records that carry it, 0 for others: the stream's observation is complete up to here."""
    data: bytes
    declares: Loss | None = None
    """For a GAP: the loss it declares, settled once this record is durable."""
    durable_first: bool = False
    """Not sent before it is durable: a summary that ends a window which a checkpoint still holds (a run that
    finds the checkpoint without this record sends the window again), and START (a run that has none was
    none: the next one names the run before it as the previous one)."""

    @property
    def urgent(self) -> bool:
        """Synced at once: alarms, what was done by order, the ends of an epoch, what a dictionary hash
        refers to, and what may not be sent before."""
        ends = self.kind in (Kind.START, Kind.BIRTH, Kind.STOP)
        return self.stream in (ALARM, AUDIT) or ends or self.durable_first


@dataclass(frozen=True, slots=True)
class Mark:
    """No record: only tells the spool that a quiet stream has observed everything up to `until_ns`."""

    stream: str
    epoch: bytes
    until_ns: WallNs


Item = EncodedRecord | Mark | Loss
"""What the spool is given. A loss among them is of values that were lost before a record was made of them,
and has the record's number."""
