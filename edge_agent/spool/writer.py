"""The spool's thread: takes records from a bounded queue, appends, syncs, declares losses.

`put` never blocks: the process thread keeps its time whatever the disk does. Alarms, and what opens or
closes an epoch, are synced at once, everything else once per commit interval or 1 MiB, whichever comes
first; the uplink is woken before the sync, so an alarm is published while its fdatasync runs. One that
comes while others are synced waits for one fdatasync at most, not for the whole round.

The interval keeps step with the flushes that bring the samples: a commit that comes just before one would
leave its records undurable for a whole interval, and a power cut would take two.

Overflow rule: beyond `max_queue_bytes` the oldest queued sample gives way, then the oldest summary;
events and alarms never do (they are few, and some declare losses). What gives way is a declared loss.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs
from edge_agent.records.values import ALARM, SAMPLE, SUMMARY, EncodedRecord, Item, Loss, LossReason
from edge_agent.spool.log import Spool
from edge_agent.spool.lossbook import join
from edge_agent.spool.stream import loss_of

SPOOL_QUEUE_DROPPED = declare(
    "spool_queue_dropped", "records that gave way because the disk was slower than the data", "stream"
)
SYNC_BOUND_NS = 60 * NS
"""How long one round of fdatasync may take before the thread counts as stuck; a slow disk is degraded."""
_IDLE_NS = NS
_COMMIT_BYTES = 1 << 20
"""What is not durable is held in memory as well, so a long interval must not let it grow."""
_EXPIRE_NS = 60 * NS
"""How often ages are looked at; a part of the shortest `max_age` that does not matter."""


@dataclass(slots=True)
class Order:
    """Something the writer's thread is asked to do, and whom to tell what came of it."""

    streams: tuple[str, ...]
    answer: Callable[[dict[str, int] | OSError], None]


class SpoolWriter:
    """`put` from the process thread, `run` as the body of the spool's own thread."""

    def __init__(
        self, spool: Spool, clock: Clock, counters: Counters, *, commit_ns: int,
        on_new: Callable[[], None], on_losses: Callable[[Sequence[Loss]], None],
        max_queue_bytes: int = 4 << 20,
    ) -> None:  # fmt: skip
        self.heartbeat = Heartbeat("spool", clock)
        self._spool = spool
        self._clock = clock
        self._commit_ns = commit_ns
        self._on_new = on_new
        self._on_losses = on_losses
        self._dropped = {s: counters.get(SPOOL_QUEUE_DROPPED, s) for s in (SAMPLE, SUMMARY)}
        self._max_queue_bytes = max_queue_bytes
        self._queue: deque[Item] = deque()
        self._queue_bytes = 0
        self._losses: list[Loss] = []
        self._windows: bytes | None = None
        """The newest checkpoint; everything in front of it in the queue belongs before it."""
        self._ready = threading.Condition()
        self._orders: deque[Order] = deque()
        self._commit_at = self._expire_at = clock.mono_ns()
        self._in_step_at = MonoNs(self._commit_at - commit_ns)
        """The last commit that a flush of the samples caused."""

    @property
    def queued_bytes(self) -> int:
        return self._queue_bytes

    def put(self, items: Sequence[Item]) -> None:
        """Queue records in order. Never blocks for the disk. A loss is noted on the disk before anything
        that is put with it or after it is stored."""
        with self._ready:
            for item in items:
                if isinstance(item, Loss):
                    self._losses.append(item)
                    continue
                self._queue.append(item)
                self._queue_bytes += _size(item)
            if self._queue_bytes > self._max_queue_bytes:
                self._give_way()
            self._ready.notify()

    def purge(self, streams: Sequence[str], answer: Callable[[dict[str, int] | OSError], None]) -> None:
        """From any thread: have everything of these streams removed and declared. `answer` is called by
        the spool's thread with how many unsent records went, or why none did."""
        with self._ready:
            self._orders.append(Order(tuple(streams), answer))
            self._ready.notify()

    def keep_windows(self, checkpoint: bytes) -> None:
        """Store the open windows with the next commit. An older checkpoint that still waits is forgotten:
        nothing is lost with it."""
        with self._ready:
            self._windows = checkpoint

    def wake(self) -> None:
        """Let `run` look at its stop event now."""
        with self._ready:
            self._ready.notify()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then what is still queued and a last commit. Whoever opened the spool closes
        it, after the uplink's last acknowledgements."""
        while not stop.is_set():
            self.heartbeat.turn()
            self._wait(stop)
            self.turn(self._clock.mono_ns())
        self.commit_next()
        self.turn(self._clock.mono_ns())

    def commit_next(self) -> None:
        """Whatever waits or not: the next turn ends the interval."""
        self._commit_at = MonoNs(self._clock.mono_ns() - self._commit_ns)

    def turn(self, now: MonoNs) -> None:
        """One round: append what is queued, wake the uplink, sync what is due, pass losses on."""
        items, losses, windows, due = self._take(now)
        self._spool.note_losses(losses)
        if items:
            self._spool.append(items)
            self._on_new()
        self._carry_out()
        if due or self._spool.held_bytes >= _COMMIT_BYTES:
            self._commit_at = MonoNs(now + self._commit_ns)
            if _measures(items):
                self._in_step_at = now
            with self.heartbeat.call("fdatasync", SYNC_BOUND_NS):
                self._commit(now, windows)
        elif urgent := {item.stream for item in items if isinstance(item, EncodedRecord) and item.urgent}:
            with self.heartbeat.call("fdatasync", SYNC_BOUND_NS):
                self._spool.commit(now, tuple(urgent))
        if any(isinstance(item, EncodedRecord) and item.durable_first for item in items):
            self._on_new()
        self._expire(now)
        if lost := self._spool.take_losses():
            self._on_losses(lost)

    def _commit(self, now: MonoNs, windows: bytes | None) -> None:
        self._spool.commit(now, between=self._hand_on_alarms)
        if windows is not None:
            self._spool.keep_windows(windows)
        if self._spool.is_dirty(ALARM):
            self._spool.commit(now, (ALARM,))

    def _hand_on_alarms(self) -> None:
        """Let the uplink have alarms that came meanwhile. They refer to nothing that waits before them."""
        with self._ready:
            alarms = [item for item in self._queue if item.stream == ALARM]
            if alarms:
                self._queue = deque(item for item in self._queue if item.stream != ALARM)
                self._queue_bytes -= sum(map(_size, alarms))
        if alarms:
            self._spool.append(alarms)
            self._on_new()

    def _carry_out(self) -> None:
        while self._orders:
            order = self._orders.popleft()
            try:
                order.answer(self._spool.purge(order.streams, self._clock.wall_ns()))
            except OSError as error:
                order.answer(error)

    def _expire(self, now: MonoNs) -> None:
        if now >= self._expire_at:
            self._expire_at = MonoNs(now + _EXPIRE_NS)
            # By a clock that is not set, everything would be of another age.
            if self._clock.synchronised():
                self._spool.expire(self._clock.wall_ns())

    def _wait(self, stop: threading.Event) -> None:
        left = min(self._commit_at + self._grace() - self._clock.mono_ns(), _IDLE_NS)
        with self._ready:
            if not self._queue and not self._orders and left > 0 and not stop.is_set():
                self._ready.wait(left / NS)

    def _take(self, now: MonoNs) -> tuple[list[Item], list[Loss], bytes | None, bool]:
        """What is queued; at the end of an interval the checkpoint with it, and that it is the end."""
        with self._ready:
            items, losses = list(self._queue), self._losses
            self._queue.clear()
            self._queue_bytes, self._losses = 0, []
            windows = None
            if due := self._is_due(items, now):
                windows, self._windows = self._windows, None
            return items, losses, windows, due

    def _is_due(self, items: Sequence[Item], now: MonoNs) -> bool:
        """Once per interval: with the flush of the samples, or at its end when something waits to be durable.
        Where nothing does, the flush is a little late and not to be run ahead of."""
        # Records that were full before their flush come at any time.
        if _measures(items) and now >= self._in_step_at + self._commit_ns * 7 // 8:
            return True
        return now >= self._commit_at + self._grace()

    def _grace(self) -> int:
        return 0 if self._spool.held_bytes else self._commit_ns // 4

    def _give_way(self) -> None:
        """Drop the oldest of the lowest class until the queue fits."""
        for stream in (SAMPLE, SUMMARY):
            if self._queue_bytes <= self._max_queue_bytes:
                return
            kept: deque[Item] = deque()
            for item in self._queue:
                drop = item.stream == stream and self._queue_bytes > self._max_queue_bytes
                if not drop or not isinstance(item, EncodedRecord):
                    kept.append(item)
                    continue
                self._queue_bytes -= _size(item)
                self._lose(item)
            self._queue = kept

    def _lose(self, record: EncodedRecord) -> None:
        self._dropped[record.stream].add()
        loss = loss_of(record, LossReason.OVERFLOW)
        last = self._losses[-1] if self._losses else None
        if last and (last.stream, last.to_seq) == (loss.stream, loss.from_seq - 1):
            self._losses[-1] = join(last, loss)
        else:
            self._losses.append(loss)


def _measures(items: Sequence[Item]) -> bool:
    """Whether a flush of the samples may be among them: a record, or the mark of a quiet stream."""
    return any(item.stream == SAMPLE for item in items)


def _size(item: Item) -> int:
    return len(item.data) if isinstance(item, EncodedRecord) else 0
