"""The writer thread's housekeeping: what is given up, for space, by age or by order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.counters import Counters, declare
from edge_agent.model import WallNs
from edge_agent.records.values import ALARM, EVENT, SAMPLE, SUMMARY, Loss, LossReason
from edge_agent.spool import salvage, space
from edge_agent.spool.account import Account
from edge_agent.spool.births import Births
from edge_agent.spool.files import Files, Node
from edge_agent.spool.lossbook import LossBook
from edge_agent.spool.pool import Pool
from edge_agent.spool.salvage import Old
from edge_agent.spool.space import Limits, Times
from edge_agent.spool.state import Segment
from edge_agent.spool.stream import StreamLog
from edge_agent.spool.trouble import Trouble

SPOOL_EVICTED = declare("spool_evicted", "segments with unsent records given up for space", "stream")

MEASUREMENTS = (SAMPLE, SUMMARY, ALARM)
"""What may expire or be purged. `event` and `audit` say what became of everything else."""
_FREE_STEPS = 4
"""Segments given up for `min_free_bytes` at one commit at most: another program fills the disk faster
than we could ever make room, and it may stop."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a spool is made of."""

    path: Path
    files: Files
    limits: Limits
    counters: Counters
    trouble: Trouble
    logs: Mapping[str, StreamLog]
    births: Births
    book: LossBook
    pool: Pool
    account: Account
    lock: threading.Lock


class House:
    """One per spool."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._logs = parts.logs
        self._pool = parts.pool
        self._account = parts.account
        self._stuck: list[Segment] = []
        """Files that are out of the log but could not be removed."""

    @property
    def bytes_used(self) -> int:
        logs = sum(log.bytes_used for log in self._logs.values())
        return logs + self._pool.bytes_used + self._parts.births.bytes_used

    @property
    def max_bytes(self) -> int:
        return self._parts.limits.room(self._parts.births.bytes_used)

    # --- space ------------------------------------------------------------------------------------

    def make_room(self, incoming: Mapping[str, int]) -> None:
        """Give up files until these bytes fit the spool's limit. A segment that is given up leaves a free
        file, and with it the next segment of a stream needs no more room."""

        def growth() -> int:
            return sum(self._logs[stream].growth(count) for stream, count in incoming.items())

        while self.bytes_used + growth() > self.max_bytes and self.evict():
            pass

    def evict(self, *, active_too: bool = True) -> bool:
        """Give up one file, a free one first; false if there is none to give."""
        return not self._account.hands_off and (self._pool.drop() or self._give_up(active_too=active_too))

    def keep_house(self) -> None:
        """Acknowledged segments, limits, births."""
        if self._account.hands_off:
            return
        self._reap()
        self.make_room({})
        self._keep_free()
        referred = space.dictionaries(segment for log in self._logs.values() for segment in log.segments)
        referred |= space.dictionaries(self._stuck)
        referred |= {record.dict_hash for log in self._logs.values() for record in log.held}
        # Where a header is destroyed any birth may be needed.
        if None not in referred:
            self._parts.births.keep(frozenset(key for key in referred if key))

    def _reap(self) -> None:
        """Remove what can never be read again, and of what is only kept the oldest beyond `keep`."""
        for log in self._logs.values():
            while self._account.decide(log.is_spent):
                self._discard(log)
        with self._parts.lock:
            beyond = space.kept_bytes(self._logs) - self._parts.limits.keep_bytes
        while beyond > 0 and (stream := self._account.decide(lambda: space.oldest_kept(self._logs))):
            beyond -= self._logs[stream].segments[0].size
            self._discard(self._logs[stream])

    def _keep_free(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(_FREE_STEPS):
                free = self._parts.files.free_bytes(self._parts.path)
                if free >= self._parts.limits.min_free_bytes or not self.evict(active_too=False):
                    return
                self._pool.drop()

    def _give_up(self, *, active_too: bool = True) -> bool:
        """One segment; false if there is none, or its loss could not be declared."""
        victim = self._account.decide(lambda: space.choose(self._logs, active_too=active_too))
        if victim is None:
            return False
        log = self._logs[victim.stream]
        if victim.place:
            return self._remove_between(log, log.segments[victim.place])
        if not victim.acked:
            if not self._declare_oldest(log):
                return False
            self._parts.counters.get(SPOOL_EVICTED, victim.stream).add()
        self._discard(log)
        return True

    def _declare_oldest(self, log: StreamLog) -> bool:
        segment = log.segments[0]
        found = salvage.look_at(self._parts.files, segment)
        going = self._account.decide(lambda: log.acks.missing(*log.removable()))
        if going is None:
            return False
        lost = space.losses(segment.identity, going, LossReason.EVICTED, found)
        if log.stream != EVENT:
            return self._account.intend(lost)
        try:
            return self._account.intend(lost, salvage.handed_back(self._parts.files, segment, found, going))
        except OSError as error:
            # What it declares would go unsaid. Another time it may be read.
            self._parts.trouble.failed("read", error)
            return False

    def _discard(self, log: StreamLog) -> None:
        """Take the oldest segment out; its file is used again or removed."""
        segment = log.remove_oldest()
        fits = segment.sound and segment.size == self._pool.segment_bytes
        if not (fits and self._pool.put(segment.path)):
            self._unlink(segment)

    def _remove_between(self, log: StreamLog, segment: Segment) -> bool:
        """Free an acknowledged segment but leave its name, so that it is not taken for damage. Whatever
        became of its file, it is not chosen again: the room is wanted from others then."""
        gone = segment.path.with_suffix(".gone")
        try:
            self._parts.files.rename(segment.path, gone)
            self._parts.files.empty(gone)
        except OSError as error:
            self._parts.trouble.failed("remove", error)
            if not self._is_gone(segment.path):
                return False
        log.mark_gone(segment, gone)
        return True

    def _is_gone(self, path: Path) -> bool:
        try:
            return self._parts.files.node(path) is Node.NOTHING
        except OSError:
            return False

    def _unlink(self, segment: Segment) -> None:
        """Remove a file that is out of the log already. If that fails it is tried again; a run that
        finds it sends it once more."""
        self._stuck.append(segment)
        # A file of which nothing was durable is begun again under its name.
        used = {segment.path for log in self._logs.values() for segment in log.segments}
        self._stuck = [stuck for stuck in self._stuck if stuck.path not in used]
        for stuck in list(self._stuck):
            try:
                self._parts.files.unlink(stuck.path)
                self._stuck.remove(stuck)
            except OSError as error:
                self._parts.trouble.failed("remove", error)

    # --- by age and by order ----------------------------------------------------------------------

    def expire(self, now: WallNs) -> None:
        """Give up what is older than `max_age`. `now` must be synchronised."""
        if self._parts.limits.max_age_ns and not self._account.hands_off:
            for stream in MEASUREMENTS:
                log, limit = self._logs[stream], WallNs(now - self._parts.limits.max_age_ns)
                with contextlib.suppress(OSError):
                    while self._expire_some(log, limit, now):
                        pass

    def _expire_some(self, log: StreamLog, limit: WallNs, now: WallNs) -> bool:
        """Of the oldest segment that has unacknowledged records; false if not all of it is that old. What no
        clock that was set has dated is as old as what stands behind it."""
        with self._parts.lock:
            place = log.place_of_first_unacked()
        if place is None:
            return False
        newest = len(log.segments) - 1
        dated = next((at for at in range(place, newest) if not log.segments[at].undated), newest)
        segment = log.segments[dated]
        # Begun in the future: by a clock that was not set, which makes nothing young.
        if limit < segment.made_ns <= now:
            return False
        old = salvage.older_than(self._parts.files, segment, limit)
        if not old.last_seq:
            segment.undated = dated < newest and not old.dated
            return segment.undated
        return self._lose_up_to(log, place, dated, old)

    def _lose_up_to(self, log: StreamLog, place: int, dated: int, old: Old) -> bool:
        """From the segment at `place` to what is `old` of the one at `dated`; whether that is all of it, and
        something went."""
        with self._parts.lock:
            first, last = log.durable_bounds(place)[0], log.durable_bounds(dated)[1]
            end = min(last, log.segments[dated].identity.base + old.last_seq)
            parts = [(log.segments[at], log.durable_bounds(at)) for at in range(place, dated + 1)]
            going = [log.acks.missing(low, min(high, end)) for _, (low, high) in parts]
        times: list[Times] = [
            *(salvage.look_at(self._parts.files, segment) for segment, _ in parts[:-1]),
            old,
        ]
        lost: list[Loss] = []
        for (segment, _), some, time in zip(parts, going, times, strict=True):
            lost += space.losses(segment.identity, some, LossReason.EXPIRED, time)
        if not self._account.intend(lost):
            return False
        with self._parts.lock:
            log.lose(first, end)
        return bool(lost) and end == last

    def purge(self, streams: Sequence[str], now: WallNs) -> dict[str, int]:
        """Give up everything unsent and everything kept of these streams; how many unsent records went.
        OSError if the disk does not take their declaration: then nothing is removed."""
        counts = {}
        for stream in streams:
            log = self._logs[stream]
            with self._parts.lock:
                going = log.unacked()
                made = log.segments[0].made_ns if log.segments else 0
            lost = [
                Loss(s.epoch, stream, s.first - s.base, s.last - s.base, s.last - s.first + 1,
                     LossReason.PURGED, space.wall(made), now)
                for s in going
            ]  # fmt: skip
            if self._account.hands_off or not self._account.intend(lost):
                raise OSError("the loss cannot be noted on the disk")
            with self._parts.lock:
                for stretch in log.stretches():
                    log.lose(stretch.first, stretch.last)
            counts[stream] = sum(loss.count for loss in lost)
        self._reap()
        # Who purges wants the space.
        while self._pool.drop():
            pass
        return counts
