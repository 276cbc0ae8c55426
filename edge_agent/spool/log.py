"""The spool as its two users see it: the writer thread's and the uplink thread's calls, and opening.

The package's docstring states the invariants. What to do when the disk fails is in `keeper`, bytes are
in `segment`, one stream's files in `stream`, reading in `reading`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from edge_agent.counters import Counters, declare
from edge_agent.model import MonoNs, WallNs
from edge_agent.records.events import Audit
from edge_agent.records.values import AUDIT, STREAMS, EncodedRecord, Item, Kind, Loss, Mark, Recovery
from edge_agent.spool import hints, recovery, space
from edge_agent.spool import segment as seg
from edge_agent.spool.account import Account
from edge_agent.spool.active import Disk
from edge_agent.spool.births import Birth, Births
from edge_agent.spool.checkpoints import Checkpoints
from edge_agent.spool.files import Files, OsFiles
from edge_agent.spool.guard import Guard
from edge_agent.spool.house import MEASUREMENTS, House, Parts
from edge_agent.spool.keeper import Keeper
from edge_agent.spool.lossbook import LossBook
from edge_agent.spool.orders import Orders
from edge_agent.spool.pool import Pool
from edge_agent.spool.reading import Reader
from edge_agent.spool.recovery import Found
from edge_agent.spool.slots import SlotFile
from edge_agent.spool.space import Limits
from edge_agent.spool.state import Ask, StoredRecord, Stretch
from edge_agent.spool.stats import Stats
from edge_agent.spool.stream import StreamLog
from edge_agent.spool.trouble import Trouble

SPOOL_QUARANTINED = declare("spool_quarantined", "files set aside because they could not be understood")
SPOOL_TORN = declare("spool_torn_bytes", "bytes of unfinished frames found at the end of a stream")

CURSOR_BYTES = 16 << 10
_OPEN_ATTEMPTS = 3
T = TypeVar("T")


class Spool:
    """Opened once per run. One writer thread, one reader thread; `stats` from any."""

    def __init__(
        self, path: Path, epoch: bytes, *, limits: Limits, counters: Counters, files: Files | None = None
    ) -> None:
        """Open for a run with a fresh random `epoch` of 8 bytes. SpoolError only if another process
        uses it or the path is no directory; a disk that cannot be written means a spool in memory."""
        self.epoch = epoch
        self.path = path
        self._path = path
        self._files = files or OsFiles()
        self._lock = threading.Lock()
        self._limits = limits
        self._logs: dict[str, StreamLog] = {}
        self._pool = Pool(self._files, path / "free", space.segment_bytes(limits.max_bytes))
        self._births = Births(self._files, path / "births", path / "quarantine")
        self._book = LossBook(self._files, path / "losses")
        self._cursors = SlotFile(self._files, path / "cursors", CURSOR_BYTES)
        self.orders = Orders(self._files, path / "orders")
        self._trouble = Trouble(counters)
        self._reader = Reader(self._logs, self._files, self._lock, self._trouble.failed)
        self._account = Account(self._book, self._reader, self._lock, counters, self._trouble)
        parts = Parts(
            path, self._files, limits, counters, self._trouble,
            self._logs, self._births, self._book, self._pool, self._account, self._lock,
        )  # fmt: skip
        self._house = House(parts)
        self._keeper = Keeper(parts, self._house, self._cursors)
        counters.get(SPOOL_QUARANTINED).add(recovery.clear_way(self._files, path, path / "quarantine"))
        self._guard = Guard(path, self._files, self._keeper, self._logs, self._trouble)
        self._account.undeclared += self._insist(self._book.load, [])
        if not self._keeper.down and self._keeper.prepare():
            with contextlib.suppress(OSError):
                self._pool.clear()
        self.recovery: Recovery = self._recover(counters)
        self._checkpoints = Checkpoints(self._files, path)
        self.windows = self._checkpoints.load()
        """The checkpoint of the run before this one; None where there is no whole one."""
        self.windows_damaged = self._checkpoints.damaged
        self._kept = True

    # --- writer thread ----------------------------------------------------------------------------

    def append(self, items: Iterable[Item]) -> None:
        """Take records, per stream in the order of their seq. They can be read from here on and (the
        disk willing) outlive a killed process; `commit` makes them durable. A disk that fails is no
        error here; ValueError for a record of another epoch or out of order."""
        items = list(items)
        records = [item for item in items if isinstance(item, EncodedRecord)]
        incoming = dict.fromkeys(STREAMS, 0)
        for record in records:
            incoming[record.stream] += len(record.data) + 2 * seg.FRAME_BYTES
        self._house.make_room({stream: count for stream, count in incoming.items() if count})
        for record in records:
            self._logs[record.stream].hold(record)
            if record.kind == Kind.BIRTH:
                self._births.add(record)
        if self._keeper.store():
            for item in items:
                if isinstance(item, Mark):
                    self._mark(item)
        self._keeper.bound_memory()

    def commit(
        self, now: MonoNs, streams: Sequence[str] | None = None, between: Callable[[], None] = lambda: None
    ) -> None:
        """Make what was appended durable. Without `streams` (once per commit interval) also keep house:
        limits, acknowledged segments, cursors, a disk that may have come back, files removed by others.
        `between` is called after each stream and may append: a slow disk takes seconds for all of them."""
        if streams is None:
            self._guard.look()
            self._keeper.retry(now)
        for stream in ("event", *(s for s in reversed(STREAMS) if s != "event")):
            if streams is None or stream in streams:
                self._keeper.sync(stream)
                between()
        if streams is None:
            if not self._keeper.down and self.last_seq(AUDIT) and not self._logs[AUDIT].held:
                self.orders.settle()
            self._house.keep_house()
            self._save_cursors(sync=False)
            self._trouble.interval_over(in_use=not self._keeper.down)

    def take_losses(self) -> list[Loss]:
        """Losses since the last call (after opening: those an earlier run left undeclared). Each is to
        be declared by a GAP record, see `RecordWriter.gaps`."""
        return self._account.take()

    def note_losses(self, losses: Sequence[Loss]) -> None:
        """Losses that happened before the spool (a full queue): kept until they are declared."""
        self._account.note(losses)

    def ordered(self) -> list[Audit]:
        """What was done while no agent ran and is not recorded yet, for who starts. Where that cannot be
        read now it stays for a run that can."""
        try:
            return self.orders.load()
        except OSError as error:
            self._trouble.failed("open", error)
            return []

    def is_dirty(self, stream: str) -> bool:
        """Whether something of a stream waits to be durable."""
        return bool(self._logs[stream].held)

    @property
    def held_bytes(self) -> int:
        """What a power cut would take now."""
        return self._keeper.held_bytes

    def expire(self, now: WallNs) -> None:
        """Give up what is older than `max_age`, by a wall clock that is synchronised."""
        self._house.expire(now)

    def purge(self, streams: Sequence[str], now: WallNs) -> dict[str, int]:
        """Give up everything that is stored of these streams, declared as purged; how many unsent records
        went. OSError where that cannot be declared, ValueError for a stream that keeps the account."""
        if not set(streams) <= set(MEASUREMENTS):
            raise ValueError(f"only {', '.join(MEASUREMENTS)} can be purged")
        counts = self._house.purge(streams, now)
        self._save_cursors(sync=True)
        return counts

    def keep_windows(self, checkpoint: bytes) -> None:
        """Store the open windows; what was recorded before them must be durable already."""
        self._kept = False
        if self._keeper.down:
            return
        try:
            self._checkpoints.store(checkpoint)
            self._kept = True
        except OSError as error:
            self._trouble.failed("checkpoint", error)

    def close(self, now: MonoNs) -> None:
        """Commit, make the cursors durable, let go of the lock."""
        self.commit(now)
        self._save_cursors(sync=True)
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()
        self._book.close()
        self._cursors.close()
        self.orders.close()
        self._guard.release()

    # --- uplink thread ----------------------------------------------------------------------------

    def read(
        self, stream: str, position: int = 0, *, end: int | None = None, max_records: int = 64,
        max_bytes: int = 64 << 10, acked_too: bool = False,
    ) -> list[StoredRecord]:  # fmt: skip
        """The next unacknowledged records from `position` to before `end`, oldest first; empty when
        there are none. With `acked_too` also those that are acknowledged and still kept. Damage met on the
        way is skipped and declared."""
        ask = Ask(
            position=position, end=end, max_records=max_records, max_bytes=max_bytes, acked_too=acked_too
        )
        return self._reader.read(stream, ask)

    def read_one(self, epoch: bytes, stream: str, seq: int) -> bytes | None:
        """One unacknowledged record by its identity; None if it is not there (any more)."""
        position = self.position(epoch, stream, seq)
        if position is None:
            return None
        found = self.read(stream, position, end=position + 1, max_records=1)
        return found[0].data if found else None

    def position(self, epoch: bytes, stream: str, seq: int) -> int | None:
        """Where a record stands in its stream; None if nothing of its epoch is stored."""
        with self._lock:
            return self._logs[stream].position_of(epoch, seq)

    def tail(self, stream: str) -> int:
        """The position the next record of a stream will get: what is below was there before."""
        return self._logs[stream].tail

    def last_seq(self, stream: str) -> int:
        """The last seq of this epoch that may be sent, 0 for none. Without a disk nothing is durable, and
        everything may."""
        log = self._logs[stream]
        if self._keeper.down:
            return log.tail - 1 - log.base
        with self._lock:
            return log.sendable()

    def ack(self, stream: str, positions: Iterable[int]) -> None:
        """These will not be asked for again; unknown or acknowledged ones are no error."""
        log = self._logs[stream]
        with self._lock:
            if isinstance(positions, range):
                # A receiver's acknowledgement may cover a million.
                log.acks.add(max(1, positions.start), min(positions.stop, log.tail) - 1)
                return
            for position in positions:
                if 0 < position < log.tail:
                    log.acks.add(position, position)

    def refuse(self, stream: str, positions: Iterable[int]) -> None:
        """The broker refuses these for good: they count as lost, and nobody is asked for them again."""
        self._reader.refuse(stream, positions)

    def stored(self, stream: str) -> list[Stretch]:
        """Everything that can be read, acknowledged or not, oldest first, by epoch."""
        with self._lock:
            return self._logs[stream].stored()

    def unacked(self, stream: str) -> list[Stretch]:
        """What is neither acknowledged nor known to be lost, oldest first, by epoch."""
        with self._lock:
            return self._logs[stream].unacked()

    def births(self) -> list[Birth]:
        """BIRTH records to publish before data: older dictionaries still referred to, the current one
        last."""
        return self._births.list()

    # --- any thread -------------------------------------------------------------------------------

    @property
    def keeps_windows(self) -> bool:
        """Whether open windows can be stored, by the last attempt."""
        return self._kept and not self._keeper.down

    def stats(self) -> Stats:
        with self._lock:
            kept = space.kept_bytes(self._logs)
        counts = {stream: sum(s.last - s.first + 1 for s in self.unacked(stream)) for stream in STREAMS}
        return Stats(
            bytes_used=self._house.bytes_used,
            max_bytes=self._house.max_bytes,
            kept_bytes=kept,
            free_bytes=self._pool.bytes_used,
            memory_only=self._keeper.down,
            problem=self._trouble.problem,
            unacked=counts,
        )

    def _save_cursors(self, *, sync: bool) -> None:
        with self._lock:
            losses = self._reader.take_losses()
            cursors = hints.encode(self._logs.values())
        self._account.note(losses)
        self._keeper.save_cursors(cursors, sync=sync)

    # --- inside -----------------------------------------------------------------------------------

    def _mark(self, mark: Mark) -> None:
        log = self._logs[mark.stream]
        try:
            log.mark(mark)
        except OSError as error:
            self._trouble.failed("write", error)
            log.abandon()

    def _recover(self, counters: Counters) -> Recovery:
        found = {stream: self._find(stream) for stream in STREAMS}
        for stream, one in found.items():
            counters.get(SPOOL_QUARANTINED).add(one.quarantined)
            counters.get(SPOOL_TORN).add(one.newest.torn_bytes)
            disk = Disk(self._path / stream, self._files, self._lock, self._pool)
            self._logs[stream] = StreamLog(stream, disk, self.epoch, one.segments, one.tail)
        with contextlib.suppress(OSError):
            hints.apply(self._cursors.load(), self._logs)
        for stream, one in found.items():
            if one.segments:
                self._reader.lose_damage(self._logs[stream], one.segments[-1], one.newest, one.newest.end_seq)
        try:
            counters.get(SPOOL_QUARANTINED).add(self._births.load())
        except OSError as error:
            self._trouble.failed("open", error)
        try:
            if not self._keeper.down:
                recovery.make_durable(self._files, found)
        except OSError as error:
            self._trouble.failed("open", error)
        return recovery.recover(found)

    def _find(self, stream: str) -> Found:
        folder, quarantine = self._path / stream, self._path / "quarantine"
        return self._insist(lambda: recovery.find_stream(self._files, folder, stream, quarantine), Found())

    def _insist(self, look: Callable[[], T], nothing: T) -> T:
        """What is on the disk, after some attempts `nothing`. Then this run must not write: it does not
        know which positions are taken and what is undeclared; all that stays for a run that does."""
        for _ in range(_OPEN_ATTEMPTS):
            try:
                return look()
            except OSError as error:
                self._trouble.failed("open", error)
        self._keeper.stay_in_memory()
        return nothing
