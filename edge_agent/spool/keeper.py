"""The writer thread's policy: what to do when the disk is full, fails, or is gone, and keeping house.

Owns the decision to live in memory. Bytes and files are the business of `StreamLog`.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from edge_agent.counters import Counters, declare
from edge_agent.model import NS, MonoNs
from edge_agent.records.values import ALARM, EVENT, SAMPLE, STREAMS, SUMMARY, Loss, LossReason
from edge_agent.spool import salvage, space
from edge_agent.spool.births import Births
from edge_agent.spool.files import Files
from edge_agent.spool.lossbook import LossBook, append_joined
from edge_agent.spool.slots import SlotFile
from edge_agent.spool.space import Limits
from edge_agent.spool.state import Segment
from edge_agent.spool.stream import StreamLog
from edge_agent.spool.trouble import Trouble

SPOOL_LOST = declare("spool_lost", "records lost in or before the spool, all declared", "stream", "reason")
SPOOL_EVICTED = declare("spool_evicted", "segments given up for space", "stream")

RETRY_NS = 5 * NS
"""How long the spool lives in memory before it tries the disk again."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ATTEMPTS = 8
"""Segments given up for one write at most; then the disk is taken for unusable."""
_FREE_STEPS = 4
"""Segments given up for `min_free_bytes` at one commit at most: another program fills the disk faster
than we could ever make room, and it may stop."""
# START is in `event` and durable before anything else of its epoch.
_ORDER = (EVENT, ALARM, SUMMARY, SAMPLE)


class Keeper:
    """One per spool."""

    def __init__(
        self, path: Path, files: Files, limits: Limits, counters: Counters, trouble: Trouble,
        logs: Mapping[str, StreamLog], births: Births, book: LossBook, cursors: SlotFile,
        lock: threading.Lock,
    ) -> None:  # fmt: skip
        self.down = False
        """Nothing goes to the disk: the spool lives in memory."""
        self.undeclared: list[Loss] = []
        self._path = path
        self._files = files
        self._limits = limits
        self._counters = counters
        self._trouble = trouble
        self._logs = logs
        self._births = births
        self._book = book
        self._cursors = cursors
        self._lock = lock
        self._saved_cursors = b""
        self._retry_at: MonoNs | None = None
        self._retries = True
        self._stuck: list[Segment] = []
        """Files that are out of the log but could not be removed."""

    @property
    def bytes_used(self) -> int:
        return self._births.bytes_used + sum(log.bytes_used for log in self._logs.values())

    @property
    def max_bytes(self) -> int:
        return self._limits.room(self._births.bytes_used)

    # --- to the disk ------------------------------------------------------------------------------

    def store(self) -> bool:
        """Hand everything held to the system; false if the disk does not take it."""
        return not self.down and all(self._try(log, log.write) for log in self._in_order())

    def sync(self, stream: str) -> None:
        """Make a stream durable, after a failure in a new file."""
        log = self._logs[stream]
        if self.down or not (log.dirty or log.held):
            return

        def write_and_sync() -> None:
            log.write()
            log.sync()

        self._try(log, write_and_sync)
        self._book.settle(log.declared)
        log.declared.clear()

    def stay_in_memory(self) -> None:
        """For the whole run, touching nothing: the disk is there, but what is on it could not be read."""
        self.down, self._retries = True, False

    def retry(self, now: MonoNs) -> None:
        """Try a disk that failed again, every `RETRY_NS`."""
        if not (self.down and self._retries):
            return
        if self._retry_at is None:
            self._retry_at = MonoNs(now + RETRY_NS)
        elif now >= self._retry_at:
            self.down, self._retry_at = False, None
            if self.prepare():
                self.store()

    def prepare(self) -> bool:
        """Directories, and files whose size a full disk must not be needed for."""
        try:
            for folder in (self._path, *(self._path / name for name in (*STREAMS, "births", "quarantine"))):
                self._files.make_dirs(folder)
            self._book.prepare()
            # A state file whose name is lost is as good as never synced.
            self._files.sync_dir(self._path)
        except OSError as error:
            self._trouble.failed("prepare", error)
            self.down = True
        return not self.down

    def in_place(self) -> bool:
        """Whether the state files and the current birth stand under their names."""
        return self._book.in_place() and self._cursors.in_place() and self._births.in_place()

    def begin_again(self) -> None:
        """Files of the spool were removed under our hands: go on with new ones, declare what is gone."""
        self._book.close()
        self._cursors.close()
        self._saved_cursors = b""
        self._births.renew()
        lost: list[Loss] = []
        for log in self._logs.values():
            try:
                lost += log.give_up_vanished()
            except OSError as error:
                self._trouble.failed("look", error)
                log.abandon()
        if not self.down:
            self.prepare()
        self.note(lost)

    def _in_order(self) -> Iterable[StreamLog]:
        return (self._logs[stream] for stream in _ORDER)

    def _try(self, log: StreamLog, action: Callable[[], None]) -> bool:
        """Births first, then `action`; on a full disk make room, after another failure once in a new
        file, then live in memory."""
        for attempt in range(_ATTEMPTS):
            try:
                self._births.store()
                action()
                return True
            except OSError as error:
                self._trouble.failed("write", error)
                log.abandon()
                full = error.errno in _FULL
                if (full and not self.evict()) or (not full and attempt):
                    break
        self.down = True
        return False

    # --- space ------------------------------------------------------------------------------------

    def make_room(self, incoming: int) -> None:
        """Give up segments until `incoming` bytes fit the spool's limit."""
        while self._retries and self.bytes_used + incoming > self.max_bytes and self.evict():
            pass

    def bound_memory(self) -> None:
        """Without a disk, the oldest of the lowest class goes."""
        lost: list[Loss] = []
        held = sum(log.held_bytes for log in self._logs.values())
        for stream in STREAMS:
            log = self._logs[stream]
            while held > self._limits.memory_bytes and log.held:
                held -= log.held_bytes
                for loss in log.drop_held():
                    append_joined(lost, loss)
                held += log.held_bytes
        self.note(lost)

    def evict(self, *, active_too: bool = True) -> bool:
        """Give up one segment; false if there is none to give."""
        with self._lock:
            victim = space.choose(self._logs, active_too=active_too)
        if victim is None:
            return False
        log = self._logs[victim.stream]
        segment = log.segments[victim.place]
        if victim.place:
            return self._remove_between(log, segment)
        self._counters.get(SPOOL_EVICTED, victim.stream).add()
        if not victim.acked:
            found = salvage.look_at(self._files, segment)
            with self._lock:
                going = log.acks.missing(*log.removable())
            self.note(space.losses(log, going, found, LossReason.EVICTED))
            if victim.stream == EVENT:
                self.note(salvage.handed_back(self._files, segment, found, going))
        self._unlink(log.remove_oldest())
        return True

    def note(self, losses: Sequence[Loss]) -> None:
        """Remember losses on disk, before what they concern is gone, until they are declared."""
        if not losses:
            return
        for loss in losses:
            self._counters.get(SPOOL_LOST, loss.stream, loss.reason).add(loss.count)
        self.undeclared.extend(losses)
        if not self._retries:
            return
        try:
            self._book.note(losses)
        except OSError as error:
            self._trouble.failed("note loss", error)

    def keep_house(self) -> None:
        """Acknowledged segments, limits, births."""
        if not self._retries:
            return
        for log in self._logs.values():
            while self._reapable(log):
                self._unlink(log.remove_oldest())
        self.make_room(0)
        self._keep_free()
        referred = {segment.dict_hash for log in self._logs.values() for segment in log.segments}
        referred |= {segment.dict_hash for segment in self._stuck}
        referred |= {record.dict_hash for log in self._logs.values() for record in log.held}
        # Where a header is destroyed any birth may be needed.
        if None not in referred:
            self._births.keep(frozenset(key for key in referred if key))

    def save_cursors(self, cursors: bytes, *, sync: bool) -> None:
        """Store what is acknowledged or lost, behind the losses themselves: a cursor must never pass
        over what nobody will declare."""
        if not self._retries:
            return
        try:
            self._book.save()
            if cursors != self._saved_cursors or sync:
                self._cursors.store(cursors, sync=sync)
                self._saved_cursors = cursors
        except OSError as error:
            self._trouble.failed("cursors", error)

    def _reapable(self, log: StreamLog) -> bool:
        with self._lock:
            return log.reapable()

    def _keep_free(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(_FREE_STEPS):
                free = self._files.free_bytes(self._path)
                if free >= self._limits.min_free_bytes or not self.evict(active_too=False):
                    return

    def _remove_between(self, log: StreamLog, segment: Segment) -> bool:
        """Free an acknowledged segment but leave its name, so that it is not taken for damage."""
        gone = segment.path.with_suffix(".gone")
        try:
            self._files.rename(segment.path, gone)
            self._files.empty(gone)
        except OSError as error:
            self._trouble.failed("remove", error)
            return False
        log.mark_gone(segment, gone)
        return True

    def _unlink(self, segment: Segment) -> None:
        """Remove a file that is out of the log already. If that fails it is tried again; a run that
        finds it sends it once more."""
        self._stuck.append(segment)
        # A file of which nothing was durable is begun again under its name.
        used = {segment.path for log in self._logs.values() for segment in log.segments}
        self._stuck = [stuck for stuck in self._stuck if stuck.path not in used]
        for stuck in list(self._stuck):
            try:
                self._files.unlink(stuck.path)
                self._stuck.remove(stuck)
            except OSError as error:
                self._trouble.failed("remove", error)
