"""The uplink thread's part: records out of memory or files, and damage found on the way.

Changes no file. Damage is skipped, counted as lost from then on, and handed to the writer thread,
which has it declared.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Mapping

from edge_agent.errors import RecordError
from edge_agent.records import envelope
from edge_agent.records.values import Kind, Loss, LossReason
from edge_agent.spool import segment as seg
from edge_agent.spool import space
from edge_agent.spool.files import Files
from edge_agent.spool.recovery import read_salvaging
from edge_agent.spool.segment import Identity, Missing, Scan
from edge_agent.spool.state import Ask, Extent, Segment, StoredRecord, StreamState

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

    def read(self, stream: str, ask: Ask) -> list[StoredRecord]:
        state = self._streams[stream]
        try:
            for _ in range(MAX_HOPS):
                with self._lock:
                    step = state.find(ask)
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

    def refuse(self, stream: str, positions: Iterable[int]) -> None:
        """Take these for lost: the broker refuses them for good. A refused GAP record is not declared in
        its turn: its successor would be refused as well, and so on for ever. Its number stays missing."""
        state = self._streams[stream]
        for position in positions:
            ask = Ask(position=position, end=position + 1, max_records=1, max_bytes=1)
            for one in self.read(stream, ask):
                kind, times = _kind_and_time(one.data)
                who = Identity(stream, one.epoch, one.position, one.seq)
                lost = space.losses(who, [(one.position, one.position)], LossReason.REFUSED, times)
                with self._lock:
                    state.lose(one.position, one.position)
                    self._losses += lost if kind != Kind.GAP else []

    def lose_damage(self, state: StreamState, segment: Segment, found: Scan, last_seq: int) -> None:
        """Take note of what a scan did not find. Called under the lock."""
        for missing in found.missing:
            self._lose(state, segment, missing)
        # What is neither there nor missing are holes, whose loss was declared when they were dropped.
        base, expected = segment.identity.base, segment.identity.first_seq
        for seq in [*found.seqs, last_seq + 1]:
            state.lose(base + expected, base + seq - 1)
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
        bounds = who.base + missing.first_seq, who.base + missing.last_seq
        going = state.acks.missing(*bounds)
        state.lose(*bounds)
        self._losses += space.losses(who, going, LossReason.CORRUPT, missing)


def _kind_and_time(record: bytes) -> tuple[int, Missing]:
    """What kind a record is of, and when it was made as the time of a loss."""
    try:
        head = envelope.decode(record)[0]
    except RecordError:
        return 0, Missing(1, 1, 0, 0)
    return head.kind, Missing(head.seq, head.seq, head.t0.wall_ns, head.t0.wall_ns)
