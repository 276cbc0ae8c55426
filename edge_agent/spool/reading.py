"""The uplink thread's part: records out of memory or files, and damage found on the way.

Changes no file. Damage is skipped, counted as lost from then on, and handed to the writer thread,
which has it declared.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Mapping

from edge_agent.records.values import Loss, LossReason
from edge_agent.spool import segment as seg
from edge_agent.spool.files import Files
from edge_agent.spool.lossbook import append_joined
from edge_agent.spool.recovery import read_salvaging
from edge_agent.spool.segment import Missing, Scan
from edge_agent.spool.space import wall
from edge_agent.spool.state import Extent, Segment, StoredRecord, StreamState

MAX_HOPS = 4096
"""Segments and damaged extents passed over in one call; more than a spool has."""


class Reader:
    """Reads by what `StreamState.find` says. One thread."""

    def __init__(
        self, streams: Mapping[str, StreamState], files: Files, lock: threading.Lock,
        count_error: Callable[[str, OSError], None],
    ) -> None:  # fmt: skip
        self._streams = streams
        self._files = files
        self._lock = lock
        self._count_error = count_error
        self._losses: list[Loss] = []

    def take_losses(self) -> list[Loss]:
        """Called by the writer thread, under the lock."""
        taken, self._losses = self._losses, []
        return taken

    def read(
        self, stream: str, position: int, end: int | None, max_records: int, max_bytes: int,
        *, acked_too: bool = False,
    ) -> list[StoredRecord]:  # fmt: skip
        state = self._streams[stream]
        try:
            for _ in range(MAX_HOPS):
                with self._lock:
                    upto = end or state.tail
                    step = state.find(position, upto, max_records, max_bytes, acked_too=acked_too)
                if isinstance(step, Segment):
                    self._scan(state, step)
                elif isinstance(step, Extent):
                    if records := self._fetch(state, step):
                        return records
                else:
                    return step or []
        except OSError as error:
            # No descriptors, no memory, no permission: nothing is known to be damaged. Asked again later.
            self._count_error("read", error)
        return []

    def refuse(self, state: StreamState, positions: Iterable[int]) -> None:
        """Called under the lock."""
        for position in positions:
            stretch = next((s for s in state.stretches() if s.first <= position <= s.last), None)
            if stretch is None or position in state.acks:
                continue
            state.acks.add(position, position)
            seq = position - stretch.base
            loss = Loss(stretch.epoch, state.stream, seq, seq, 1, LossReason.REFUSED, None, None)
            append_joined(self._losses, loss)

    def lose_damage(self, state: StreamState, segment: Segment, found: Scan, last_seq: int) -> None:
        """Take note of what a scan did not find. Called under the lock."""
        for missing in found.missing:
            self._lose(state, segment, missing)
        # What is neither there nor missing are holes, whose loss was declared when they were dropped.
        base, expected = segment.identity.base, segment.identity.first_seq
        for seq in [*found.seqs, last_seq + 1]:
            state.acks.add(base + expected, base + seq - 1)
            expected = seq + 1

    def _scan(self, state: StreamState, segment: Segment) -> None:
        base = segment.identity.base
        with self._lock:
            if segment not in state.segments:
                return
            last_seq = state.durable_bounds(state.segments.index(segment))[1] - base
        try:
            data = read_salvaging(self._files, segment.path, segment.size)
        except FileNotFoundError:
            # Removed meanwhile, or (if it is still listed below) all of it is damage.
            data = b""
        found = seg.scan(data, segment.identity, last_seq)
        with self._lock:
            if segment in state.segments:
                state.learn(segment, found)
                self.lose_damage(state, segment, found, last_seq)

    def _fetch(self, state: StreamState, extent: Extent) -> list[StoredRecord]:
        segment, start = extent.segment, extent.offsets[0]
        if extent.size <= 0:
            return []
        try:
            data = self._files.read(segment.path, start, extent.size)
        except FileNotFoundError:
            # Its file was removed by others: all of it is one loss, not record by record.
            self._scan(state, segment)
            return []
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._count_error("read", error)
            data = self._salvage(extent)
        records, damaged = [], []
        for seq, offset in zip(extent.seqs, extent.offsets, strict=True):
            frame = seg.read_frame(data, offset - start, segment.identity.salt)
            if frame is None or frame[0].seq != seq:
                damaged.append(Missing(seq, seq, 0, 0))
                continue
            who = segment.identity
            records.append(StoredRecord(who.base + seq, who.epoch, state.stream, seq, frame[1]))
        if damaged:
            with self._lock:
                if segment in state.segments:
                    for missing in damaged:
                        self._lose(state, segment, missing)
        return records

    def _salvage(self, extent: Extent) -> bytes:
        """Frame by frame what one read could not bring; unreadable ones are zeros."""
        data = bytearray(extent.size)
        start = extent.offsets[0]
        ends = (*extent.offsets[1:], start + extent.size)
        for offset, end in zip(extent.offsets, ends, strict=True):
            try:
                frame = self._files.read(extent.segment.path, offset, end - offset)
            except OSError:
                continue
            data[offset - start : offset - start + len(frame)] = frame
        return bytes(data)

    def _lose(self, state: StreamState, segment: Segment, missing: Missing) -> None:
        """Under the lock: these will never come, unless they were delivered already."""
        who = segment.identity
        for first, last in state.acks.missing(who.base + missing.first_seq, who.base + missing.last_seq):
            state.acks.add(first, last)
            self._losses.append(
                Loss(
                    epoch=who.epoch,
                    stream=state.stream,
                    from_seq=first - who.base,
                    to_seq=last - who.base,
                    count=last - first + 1,
                    reason=LossReason.CORRUPT,
                    t0=wall(missing.t0_ns),
                    t1=wall(missing.t1_ns),
                )
            )
