"""How much the spool may take, and which segment is given up next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from edge_agent.model import SpoolDef, WallNs
from edge_agent.records.values import ALARM, EVENT, SAMPLE, SUMMARY, Loss, LossReason
from edge_agent.spool.ackset import Range
from edge_agent.spool.segment import Scan
from edge_agent.spool.state import StreamState

MIN_SEGMENT_BYTES = 64 << 10
MAX_SEGMENT_BYTES = 1 << 20
LEAST_BYTES = 4 * MIN_SEGMENT_BYTES
"""A smaller limit is taken for this one, and births come on top: else the spool would give up every
segment as soon as it has begun it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bytes: int = 512 << 20
    min_free_bytes: int = 64 << 20
    memory_bytes: int = 4 << 20
    """Records held in memory at most: what is not durable yet, or all there is without a disk."""

    def room(self, births: int) -> int:
        """What all files together may take, when births take this much (and as much in `event`)."""
        return max(self.max_bytes, LEAST_BYTES + 2 * births)

    @classmethod
    def of(cls, spool: SpoolDef) -> Self:
        return cls(max_bytes=spool.max_bytes, min_free_bytes=spool.min_free_bytes)


@dataclass(frozen=True, slots=True)
class Victim:
    """The segment at `place` of a stream."""

    stream: str
    place: int
    acked: bool


def segment_bytes(max_bytes: int) -> int:
    """Small spools have small segments, so that one eviction never costs a large share."""
    return max(MIN_SEGMENT_BYTES, min(MAX_SEGMENT_BYTES, max_bytes // 32))


def choose(streams: Mapping[str, StreamState], *, active_too: bool = True) -> Victim | None:
    """Acknowledged segments first; then the oldest whole segment of the lowest class. The newest ones
    of the measurements follow before anything of event and alarm is touched: those hold the records
    that declare losses. The newest of event and alarm are never given up."""
    for stream, state in streams.items():
        if (place := state.acked_between()) is not None:
            return Victim(stream, place, acked=True)
    order = [(SAMPLE, 2), (SUMMARY, 2), (SAMPLE, 1), (SUMMARY, 1), (EVENT, 2), (ALARM, 2)]
    for stream, least in order:
        if least == 1 and not active_too:
            continue
        if len(streams[stream].segments) >= least:
            return Victim(stream, 0, acked=streams[stream].acks.covers(*streams[stream].bounds(0)))
    return None


def losses(state: StreamState, going: Iterable[Range], found: Scan, reason: LossReason) -> list[Loss]:
    """What removing these unacknowledged positions of the oldest segment loses."""
    who = state.segments[0].identity
    return [
        Loss(
            epoch=who.epoch,
            stream=state.stream,
            from_seq=first - who.base,
            to_seq=last - who.base,
            count=last - first + 1,
            reason=reason,
            t0=wall(found.t0_ns),
            t1=wall(found.t1_ns),
        )
        for first, last in going
    ]


def wall(ns: int) -> WallNs | None:
    """0 stands for an unknown time in segments."""
    return WallNs(ns) if ns else None
