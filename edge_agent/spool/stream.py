"""One stream's log on disk: appending, syncing, rolling, giving up space. The writer thread's part.

No policy here: an OSError goes up to the spool, which calls `abandon` and decides. State that readers
look at changes under the lock the spool hands in; files are written, synced and removed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path

from edge_agent.model import WallNs
from edge_agent.records.values import EncodedRecord, Kind, Loss, LossReason, Mark
from edge_agent.spool import segment as seg
from edge_agent.spool.ackset import Range
from edge_agent.spool.active import ActiveFile, Disk
from edge_agent.spool.files import Node
from edge_agent.spool.lossbook import append_joined
from edge_agent.spool.segment import FRAME_BYTES, Frame, Header, Identity, Scan
from edge_agent.spool.space import losses
from edge_agent.spool.state import Segment, StreamState


@dataclass(slots=True)
class _Batch:
    """Frames for one write."""

    frames: list[bytes] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


class StreamLog(StreamState):
    """`hold` takes a record and never fails; `write` and `sync` bring what is held to the disk."""

    def __init__(self, stream: str, disk: Disk, epoch: bytes, segments: list[Segment], tail: int) -> None:
        super().__init__(stream, epoch, segments, tail)
        self.folder = disk.folder
        self.held_bytes = 0
        self.bytes_used = sum(segment.size for segment in segments)
        self.dirty = False
        self.declared: list[Loss] = []
        """Losses whose GAP record has become durable; the spool takes them out."""
        self._files = disk.files
        self._lock = disk.lock
        self._file = ActiveFile(disk)
        self._written = 0
        """How many of `held`, from the left, stand in the active file."""
        # Last seq of this epoch accounted for in files, last `until`; and both durably so.
        self._seq = self._synced_seq = 0
        self._until = self._synced_until = WallNs(0)

    @property
    def unwritten(self) -> bool:
        return self._written < len(self.held)

    def hold(self, record: EncodedRecord) -> None:
        """Take a record; from here on readers see it. ValueError if it is not of this epoch or not
        behind the last one."""
        position = self.base + record.seq
        if record.epoch != self.epoch or position < self.tail:
            raise ValueError(f"record {record.stream} {record.seq} is not the next of this epoch")
        with self._lock:
            # What was dropped on its way here is nothing to wait for.
            self.lose(self.tail, position - 1)
            self.held.append(record)
            self.held_bytes += len(record.data) + FRAME_BYTES
            self.tail = position + 1

    def write(self) -> None:
        """Hand everything held to the system: a killed process loses none of it."""
        while self.unwritten:
            first = self.held[self._written]
            active = self._room_for(_reference(first), _size_of(first), first.t0_ns)
            batch = self._batch(active)
            self._put(batch.frames)
            self.dirty = True
            last = self.held[self._written + len(batch.seqs) - 1]
            with self._lock:
                assert active.index is not None
                active.index.seqs.extend(batch.seqs)
                active.index.offsets.extend(batch.offsets)
                active.index.end = self._file.at
                active.index.t0_ns = active.index.t0_ns or first.t0_ns
                active.index.t1_ns = max(last.t0_ns, last.until_ns)
            self._written += len(batch.seqs)

    def growth(self, incoming: int) -> int:
        """How much more the files may take when this much is written."""
        return self._file.growth(self.segments[-1].size if self._file.is_open else 0, incoming)

    def _batch(self, active: Segment) -> _Batch:
        """What is held and fits the active file."""
        batch, size = _Batch(), 0
        for record in islice(self.held, self._written, None):
            fits = self._file.has_room(size + _size_of(record)) and _fits(active, _reference(record))
            if batch.seqs and not fits:
                break
            data = self._frames(active, record)
            size += len(data)
            batch.frames.append(data)
            batch.seqs.append(record.seq)
            batch.offsets.append(self._file.at + size - FRAME_BYTES - len(record.data))
        return batch

    def mark(self, mark: Mark) -> None:
        """Note that a quiet stream is observed up to here. Goes to the system, but is not synced for
        its own sake: after a power cut an older time is true as well."""
        if not self._file.is_open or self.unwritten:
            return
        active = self._room_for(self.segments[-1].dict_hash or b"", FRAME_BYTES, mark.until_ns)
        self._put([seg.encode_mark(self._seq, mark.until_ns, active.identity.salt)])
        self._until = mark.until_ns

    def sync(self) -> None:
        """Make what was written durable."""
        if not self._file.is_open:
            return
        self._file.sync()
        self.dirty = False
        self._synced_seq, self._synced_until = self._seq, self._until
        durable = self._release(self._written)
        self.declared += [record.declares for record in durable if record.declares]

    def abandon(self) -> None:
        """After an error the active file is not touched again: what is not durable will be written to
        a new one. (After a failed fdatasync the kernel may drop the dirty pages and report success the
        next time.)"""
        if self._file.abandon():
            with self._lock:
                self.segments[-1].index = None
                self.segments[-1].sound = False
        self._written = 0
        self._seq, self._until = self._synced_seq, self._synced_until
        self.dirty = False

    def close(self) -> None:
        self._file.close()

    def in_place(self) -> bool:
        """Whether the active file, if there is one, is still what stands under its name."""
        return not self._file.is_open or self._file.is_at(self.segments[-1].path)

    def give_up_vanished(self) -> list[Loss]:
        """Take out every segment whose file is gone without us; what only they held is lost. Records
        not known to be durable are held, and will be written to a new file."""
        known = [segment.index or Scan() for segment in self.segments]
        there = [self._files.node(segment.path) is Node.FILE for segment in self.segments]
        # In this order: a file may go between the two looks, and its descriptor must not outlive it here.
        if self._file.is_open and not (there[-1] and self.in_place()):
            self.abandon()
        found: list[Loss] = []
        with self._lock:
            gone = []
            for place, segment in enumerate(self.segments):
                if there[place]:
                    continue
                gone.append(segment)
                first, last = self.durable_bounds(place)
                going = self.acks.missing(first, last)
                for loss in losses(segment.identity, going, LossReason.CORRUPT, known[place]):
                    append_joined(found, loss)
                self.lose(first, last)
            for segment in gone:
                self.segments.remove(segment)
                self.bytes_used -= segment.size
            self.forget()
        return found

    def removable(self) -> Range:
        """Positions that go with the oldest segment: with the active one, also what is held."""
        return self.bounds(0) if self._is_active(0) else self.durable_bounds(0)

    def remove_oldest(self) -> Segment:
        """Take the oldest segment out; the caller removes its file."""
        first, last = self.removable()
        if self._is_active(0):
            self._release(len(self.held))
            self._seq = self._synced_seq = self.tail - 1 - self.base
            self._synced_until = self._until
            self.dirty = False
            self._file.abandon()
        with self._lock:
            self.acks.add(first, last)
            removed = self.segments.pop(0)
            self.bytes_used -= removed.size
            if self.segments:
                self.forget()
        return removed

    def mark_gone(self, segment: Segment, path: Path) -> None:
        """Its file is empty now and only a trace."""
        with self._lock:
            self.bytes_used -= segment.size
            segment.path, segment.size, segment.gone, segment.index = path, 0, True, None
            segment.dict_hash = b""
            self.lost.add(*self.bounds(self.segments.index(segment)))

    def drop_acked(self) -> None:
        """Let go of what the disk does not take and nobody waits for, from the oldest on."""
        with self._lock:
            done = sum(1 for _ in takewhile(lambda record: self.base + record.seq in self.acks, self.held))
            if done:
                self.lose(self.base + self.held[0].seq, self.base + self.held[done - 1].seq)
        self._release(done)

    def drop_held(self) -> tuple[list[Loss], list[Loss]]:
        """Give up the oldest held record: the disk does not take it and memory is full. What is lost with
        it, and what it declared: a GAP record that goes leaves that to another."""
        record = self.held[0]
        position = self.base + record.seq
        with self._lock:
            waited_for = position not in self.acks
            self.lose(position, position)
        self._release(1)
        if not waited_for:
            return [], []
        return [loss_of(record, LossReason.MEMORY)], [record.declares] if record.declares else []

    def _is_active(self, place: int) -> bool:
        return self._file.is_open and place == len(self.segments) - 1

    def _release(self, count: int) -> list[EncodedRecord]:
        """Let go of the oldest `count` held records."""
        with self._lock:
            released = [self.held.popleft() for _ in range(count)]
            self._written = max(0, self._written - count)
            self.held_bytes -= sum(len(record.data) + FRAME_BYTES for record in released)
        return released

    def _frames(self, active: Segment, record: EncodedRecord) -> bytes:
        """The record's frame, behind a hole where seqs before it will never come."""
        salt, expected = active.identity.salt, self._seq + 1
        hole = seg.encode_hole(expected, record.seq - 1, salt) if record.seq > expected else b""
        frame = Frame(record.seq, record.kind, record.t0_ns, record.until_ns)
        self._seq = record.seq
        self._until = record.until_ns or self._until
        return hole + seg.encode_frame(frame, record.data, salt)

    def _room_for(self, dict_hash: bytes, size: int, now_ns: WallNs) -> Segment:
        """The active segment, or a new one if it is full or refers to another dictionary."""
        active = self.segments[-1] if self._file.is_open else None
        if active and self._file.has_room(size) and _fits(active, dict_hash):
            return active
        if active:
            self.sync()
            self.close()
            with self._lock:
                active.index = None
        return self._create(dict_hash, now_ns)

    def _create(self, dict_hash: bytes, now_ns: WallNs) -> Segment:
        identity = Identity(self.stream, self.epoch, self.base + self._seq + 1, self._seq + 1)
        path = self.folder / identity.name
        if self.segments and self.segments[-1].path == path:
            # An abandoned file of which nothing was durable: its records are about to be written again.
            with self._lock:
                self.bytes_used -= self.segments.pop().size
        size = self._file.begin(path)
        active = Segment(identity, path, dict_hash, size, index=Scan(), made_ns=now_ns)
        with self._lock:
            self.segments.append(active)
            self.bytes_used += size
        self._put([seg.encode_header(Header(identity, dict_hash, self._until, now_ns))])
        return active

    def _put(self, frames: Sequence[bytes]) -> None:
        active = self.segments[-1]
        before = active.size
        active.size = self._file.size_with(before, sum(map(len, frames)))
        # Before it has the bytes: an error may leave it any part of them.
        self.bytes_used += active.size - before
        self._file.put(frames, before, active.size)


def _size_of(record: EncodedRecord) -> int:
    """In a file at most, with a hole before it."""
    return 2 * FRAME_BYTES + 8 + len(record.data)


def _fits(active: Segment, dict_hash: bytes) -> bool:
    """One segment refers to one dictionary, so that the births it needs are known without reading it."""
    return dict_hash in (b"", active.dict_hash)


def _reference(record: EncodedRecord) -> bytes:
    """The dictionary a record needs, so that its birth is kept; a birth needs none, it is one."""
    return b"" if record.kind == Kind.BIRTH else record.dict_hash


def loss_of(record: EncodedRecord, reason: LossReason) -> Loss:
    """The loss of one record."""
    until = WallNs(max(record.t0_ns, record.until_ns))
    return Loss(record.epoch, record.stream, record.seq, record.seq, 1, reason, record.t0_ns, until)
