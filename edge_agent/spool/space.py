"""How much the spool may take, what each class may have of it, and which segment is given up next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from edge_agent.model import SpoolDef, WallNs
from edge_agent.records.values import ALARM, AUDIT, EVENT, SAMPLE, SUMMARY, Loss
from edge_agent.spool.ackset import Range
from edge_agent.spool.segment import Identity
from edge_agent.spool.state import Segment, StreamState

MIN_SEGMENT_BYTES = 64 << 10
MAX_SEGMENT_BYTES = 1 << 20
LEAST_BYTES = 6 * MIN_SEGMENT_BYTES
"""A smaller limit is taken for this one, and births come on top: else the spool would give up every
segment as soon as it has begun it."""

SHARES = {SAMPLE: 0.125, SUMMARY: 0.25, EVENT: 0.25, ALARM: 0.25, AUDIT: 0.125}
"""What a class keeps, as a share of all that is stored, whatever the others bring. What one does not use,
the others have. They add up to 1, so that of a full spool one class always holds its share or more."""
_NEWEST_TOO = ((SAMPLE, 2), (SUMMARY, 2), (SAMPLE, 1), (SUMMARY, 1), (EVENT, 2), (ALARM, 2), (AUDIT, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bytes: int = 512 << 20
    min_free_bytes: int = 64 << 20
    memory_bytes: int = 4 << 20
    """Records held in memory at most: what is not durable yet, or all there is without a disk."""
    keep_bytes: int = 0
    """Segments that are acknowledged and kept all the same, for who asks for them again."""
    max_age_ns: int = 0
    """Unacknowledged samples, summaries and alarms older than this are given up; 0: never."""

    def room(self, births: int) -> int:
        """What all files together may take, when births take this much (and as much in `event`)."""
        return max(self.max_bytes, LEAST_BYTES + 2 * births)

    @classmethod
    def of(cls, spool: SpoolDef) -> Self:
        return cls(
            max_bytes=spool.max_bytes,
            min_free_bytes=spool.min_free_bytes,
            keep_bytes=spool.keep_bytes,
            max_age_ns=spool.max_age_ns,
        )


@dataclass(frozen=True, slots=True)
class Victim:
    """The segment at `place` of a stream."""

    stream: str
    place: int
    acked: bool


def segment_bytes(max_bytes: int) -> int:
    """Small spools have small segments, so that one eviction never costs a large share."""
    whole_pages = max_bytes // 32 >> 12 << 12
    return max(MIN_SEGMENT_BYTES, min(MAX_SEGMENT_BYTES, whole_pages))


def choose(streams: Mapping[str, StreamState], *, active_too: bool = True) -> Victim | None:
    """Acknowledged segments first; then the oldest whole segment of the lowest class that holds more than
    its share; then of the lowest class that has one beside its newest. The newest ones of the measurements
    follow before the last of event, alarm and audit are touched: those hold the records that declare
    losses. The newest of these three are never given up."""
    if (stream := oldest_kept(streams)) is not None:
        return Victim(stream, 0, acked=True)
    for stream, state in streams.items():
        if (place := state.acked_between()) is not None:
            return Victim(stream, place, acked=True)
    used = {stream: sum(segment.size for segment in state.segments) for stream, state in streams.items()}
    total = sum(used.values())
    above = [(stream, 2) for stream, share in SHARES.items() if used[stream] > share * total]
    for stream, least in (*above, *_NEWEST_TOO):
        if (least > 1 or active_too) and len(streams[stream].segments) >= least:
            return Victim(stream, 0, acked=streams[stream].acks.covers(*streams[stream].bounds(0)))
    return None


def kept_bytes(streams: Mapping[str, StreamState]) -> int:
    """What acknowledged segments take that are only kept."""
    return sum(segment.size for state in streams.values() for segment in state.kept())


def oldest_kept(streams: Mapping[str, StreamState]) -> str | None:
    """The stream whose oldest segment is only kept, and was begun before those of the others."""
    made = {s: state.segments[0].made_ns for s, state in streams.items() if state.reapable()}
    return min(made, key=lambda stream: made[stream], default=None)


class Times(Protocol):
    """A scan, or a part of one that is missing."""

    @property
    def t0_ns(self) -> int: ...
    @property
    def t1_ns(self) -> int: ...


def losses(who: Identity, going: Iterable[Range], reason: str, times: Times) -> list[Loss]:
    """That these positions of a segment are lost."""
    return [
        Loss(
            epoch=who.epoch,
            stream=who.stream,
            from_seq=first - who.base,
            to_seq=last - who.base,
            count=last - first + 1,
            reason=reason,
            t0=wall(times.t0_ns),
            t1=wall(times.t1_ns),
        )
        for first, last in going
    ]


def wall(ns: int) -> WallNs | None:
    """0 stands for an unknown time in segments."""
    return WallNs(ns) if ns else None


def dictionaries(segments: Iterable[Segment]) -> set[bytes | None]:
    """Which dictionaries they refer to; None among them where that is unknown."""
    return {segment.dict_hash for segment in segments}
