"""The pipeline thread: bus events in, records out.

    Intake -> Stage (process/) -> RecordWriter (records/) -> the spool writer's queue
                    \\-> alarm transitions -> the uplink's retained mirror

It sleeps until an event comes, a window ends or a flush is due, so batches grow with the load and the
way from a reply to its alarm is shortest when little happens. Nothing here decides; it carries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TypeVar

from edge_agent.clock import Clock
from edge_agent.daemon.heritage import Heritage
from edge_agent.daemon.intake import Intake
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.process.results import AlarmTransition, Result
from edge_agent.process.stage import Stage
from edge_agent.records.events import Audit
from edge_agent.records.values import Item, Loss, Recovery, Stamp
from edge_agent.records.writer import RecordWriter

LONGEST_SLEEP_NS = NS
"""So that a stop, a step of the wall clock and the heartbeat are never further away."""


class Pipeline:
    """Thread body. `settled` says until when (monotonic) every block of every bus has been put."""

    def __init__(
        self,
        *,
        stage: Stage,
        writer: RecordWriter,
        intake: Intake,
        submit: Callable[[Sequence[Item]], None],
        alarm_changed: Callable[[AlarmTransition], None],
        settled: Callable[[], MonoNs],
        clock: Clock,
        flush_ns: int,
        heritage: Heritage,
    ) -> None:
        self.stage = stage
        self.heartbeat = Heartbeat("pipeline", clock)
        self._writer = writer
        self._intake = intake
        self._submit = submit
        self._alarm_changed = alarm_changed
        self._settled = settled
        self._clock = clock
        self._flush_ns = flush_ns
        self._flush_at = clock.mono_ns()
        self._heritage = heritage
        self._losses: deque[Loss] = deque()
        self._audits: deque[Audit] = deque()

    def lost(self, losses: Sequence[Loss]) -> None:
        """From any thread: records that are gone; each is declared by a GAP record."""
        self._losses.extend(losses)

    def audit(self, audit: Audit) -> None:
        """From any thread: something was done by order; it is recorded with the next flush."""
        self._audits.append(audit)

    def open(self, previous: Recovery) -> None:
        """The first records of the epoch; before the first event, by the thread that starts us. Windows
        that the run before left open go on or are closed."""
        self._submit(self._heritage.open(self.stage, self._writer, previous, self._now()))

    def run(self, stop: Event) -> None:
        """Until `stop`; what is in the queue then is still judged, recorded and closed."""
        while not stop.is_set():
            self.heartbeat.turn()
            self._turn(self._sleep_s())
        self._turn(0)
        self._close()

    # --- inside ---------------------------------------------------------------------------------

    def _turn(self, timeout_s: float) -> None:
        events = self._intake.take(timeout_s)
        # Asked before the queue is emptied again, so that everything up to `settled` is in `events`.
        settled = self._settled()
        events += self._intake.take(0)
        now = self._now()
        self._forfeit()
        results = [*self.stage.feed(events), *self.stage.tick(now.mono_ns, now.wall_ns)]
        if events:
            results += self.stage.newly_known_alarms(now.mono_ns, now.wall_ns)
        if results:
            self._record(results, now)
        if now.mono_ns >= self._flush_at:
            self._flush(now, settled)

    def _forfeit(self) -> None:
        """Blocks that gave way held values that no record will hold: that is a loss like any other."""
        dropped = self._intake.take_dropped()
        if dropped and (losses := self._writer.forfeit(dropped.points, dropped.t0, dropped.t1)):
            self._submit(losses)

    def _record(self, results: Sequence[Result], now: Stamp) -> None:
        items = self._writer.add(results, now)
        if items:
            self._submit(items)
        for result in results:
            if isinstance(result, AlarmTransition):
                self._alarm_changed(result)

    def _flush(self, now: Stamp, settled: MonoNs) -> None:
        self._flush_at = MonoNs(now.mono_ns + self._flush_ns)
        items = [*self._accounts(now), *self._writer.flush(now, _wall_at(settled, now))]
        if items:
            self._submit(items)
        self._heritage.keep(self.stage, self._writer, now, _wall_at(settled, now))

    def _close(self) -> None:
        """The open windows are closed too, unless they outlive this run."""
        now = self._now()
        if not self._heritage.leave(self.stage, self._writer, now):
            self._record(self.stage.close(now.mono_ns, now.wall_ns), now)
        self._submit([*self._accounts(now), *self._writer.stop(now, "stopped", now.wall_ns)])

    def _accounts(self, now: Stamp) -> list[Item]:
        """What was lost and what was done by order since they were written last."""
        items = self._writer.gaps(_taken(self._losses), now)
        return items + self._writer.audits(_taken(self._audits), now)

    def _sleep_s(self) -> float:
        now = self._now()
        tick_ns = self.stage.next_tick(now.wall_ns) - now.wall_ns
        flush_ns = self._flush_at - now.mono_ns
        return max(0, min(tick_ns, flush_ns, LONGEST_SLEEP_NS)) / NS

    def _now(self) -> Stamp:
        return Stamp(self._clock.wall_ns(), self._clock.mono_ns(), self._clock.synchronised())


T = TypeVar("T")


def _taken(waiting: deque[T]) -> Iterator[T]:
    while waiting:
        yield waiting.popleft()


def _wall_at(mono_ns: MonoNs, now: Stamp) -> WallNs:
    """What the wall clock showed at `mono_ns`, by today's relation of the two."""
    return WallNs(now.wall_ns - max(0, now.mono_ns - mono_ns))
