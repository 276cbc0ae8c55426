"""The writer thread's policy for the disk: what to do when it is full, fails, or is gone.

Owns the decision to live in memory. What is given up for space is the business of `house`, bytes and
files that of `StreamLog`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from edge_agent.model import NS, MonoNs
from edge_agent.records.values import ALARM, AUDIT, EVENT, SAMPLE, STREAMS, SUMMARY, Loss
from edge_agent.spool.house import House, Parts
from edge_agent.spool.lossbook import condensed
from edge_agent.spool.slots import SlotFile
from edge_agent.spool.stream import StreamLog

RETRY_NS = 5 * NS
"""How long the spool lives in memory before it tries the disk again."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ATTEMPTS = 8
"""Files given up for one write at most; then the disk is taken for unusable."""
# START is in `event` and durable before anything else of its epoch.
_ORDER = (EVENT, ALARM, AUDIT, SUMMARY, SAMPLE)
FOLDERS = (*STREAMS, "births", "quarantine", "free")


class Keeper:
    """One per spool."""

    def __init__(self, parts: Parts, house: House, cursors: SlotFile) -> None:
        self.down = False
        """Nothing goes to the disk: the spool lives in memory."""
        self._parts = parts
        self._house = house
        self._account = parts.account
        self._files = parts.files
        self._logs = parts.logs
        self._trouble = parts.trouble
        self._cursors = cursors
        self._saved_cursors = b""
        self._retry_at: MonoNs | None = None

    @property
    def held_bytes(self) -> int:
        """Of records in memory: what is not durable yet."""
        return sum(log.held_bytes for log in self._logs.values())

    # --- to the disk ------------------------------------------------------------------------------

    def store(self) -> bool:
        """Hand everything held to the system; false if the disk does not take it. START is synced before
        anything else of its epoch is written: a stream that begins a second file syncs its first."""
        for log in self._in_order():
            if self.down or not self._try(log, log.write):
                return False
            if log.stream == EVENT and any(record.durable_first for record in log.held):
                self.sync(EVENT)
        return not self.down

    def sync(self, stream: str) -> None:
        """Make a stream durable, after a failure in a new file."""
        log = self._logs[stream]
        if self.down or not (log.dirty or log.held):
            return

        def write_and_sync() -> None:
            log.write()
            log.sync()

        self._try(log, write_and_sync)
        self._parts.book.settle(log.declared)
        log.declared.clear()

    def stay_in_memory(self) -> None:
        """For the whole run, touching nothing: the disk is there, but what is on it could not be read."""
        self.down = self._account.hands_off = True
        self._parts.pool.forget()

    def retry(self, now: MonoNs) -> None:
        """Try a disk that failed again, every `RETRY_NS`."""
        if not self.down or self._account.hands_off:
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
            for folder in (self._parts.path, *(self._parts.path / name for name in FOLDERS)):
                self._files.make_dirs(folder)
            self._parts.book.prepare()
            # A state file whose name is lost is as good as never synced.
            self._files.sync_dir(self._parts.path)
        except OSError as error:
            self._trouble.failed("prepare", error)
            self.down = True
        return not self.down

    def in_place(self) -> bool:
        """Whether the state files and the current birth stand under their names."""
        return self._parts.book.in_place() and self._cursors.in_place() and self._parts.births.in_place()

    def begin_again(self) -> None:
        """Files of the spool were removed under our hands: go on with new ones, declare what is gone."""
        self._parts.book.close()
        self._cursors.close()
        self._saved_cursors = b""
        self._parts.pool.forget()
        self._parts.births.renew()
        lost: list[Loss] = []
        for log in self._logs.values():
            try:
                lost += log.give_up_vanished()
            except OSError as error:
                self._trouble.failed("look", error)
                log.abandon()
        if not self.down:
            self.prepare()
        self._account.note(lost)

    def save_cursors(self, cursors: bytes, *, sync: bool) -> None:
        """Store what is acknowledged or lost, behind the losses themselves: a cursor must never pass
        over what nobody will declare."""
        if self._account.hands_off:
            return
        try:
            self._parts.book.save()
            if cursors != self._saved_cursors or sync:
                self._cursors.store(cursors, sync=sync)
                self._saved_cursors = cursors
        except OSError as error:
            self._trouble.failed("cursors", error)

    def bound_memory(self) -> None:
        """What is not durable yet is made so; without a disk, what is acknowledged goes, and then the oldest
        of the lowest class. More than what is too much: each time costs a GAP record, and those too live in
        memory. For the same reason what they declared is declared again by few."""
        limit = self._parts.limits.memory_bytes
        if self.held_bytes <= limit:
            return
        for stream in _ORDER:
            self.sync(stream)
        if self.held_bytes <= limit:
            return
        for log in self._logs.values():
            log.drop_acked()
        lost: list[Loss] = []
        handed_back: list[Loss] = []
        for log in (self._logs[stream] for stream in STREAMS):
            while self.held_bytes > limit - limit // 8 and log.held:
                going, declared = log.drop_held()
                lost += going
                handed_back += declared
        self._account.note(condensed(lost), condensed(handed_back))

    def _in_order(self) -> Iterable[StreamLog]:
        return (self._logs[stream] for stream in _ORDER)

    def _try(self, log: StreamLog, action: Callable[[], None]) -> bool:
        """Births and what is lost first, then `action`; on a full disk make room, after another failure
        once in a new file, then live in memory."""
        for attempt in range(_ATTEMPTS):
            try:
                self._parts.births.store()
                # Records behind a loss that nobody has noted would make it one that nobody declares.
                self._parts.book.save()
                action()
                return True
            except OSError as error:
                self._trouble.failed("write", error)
                log.abandon()
                full = error.errno in _FULL
                if (full and not self._house.evict()) or (not full and attempt):
                    break
        self.down = True
        return False
