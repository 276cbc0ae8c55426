"""The process stage: events of the buses in, results out.

Owns the order of things: an event of another generation is dropped and counted, an event outside the
running window ends it, then the kernels judge the block, then samples and alarm transitions are read
from the tables. Must not know a clock, a queue, a thread or a record. One thread calls it; `latest`,
`alarm_states` and `known_alarm_states` may be called from others: `latest` may then show parts of two
polls of one point.

Invariants: every poll of a point that sends samples becomes one Sample; every poll and every missed
poll of a point that sends summaries is in exactly one Summary.

A change of configuration, in this order: `new = Stage.build(..., old=old)`, then send what
`old.close(now_mono, now_wall, successor=new)` returns under the old dictionary, then feed only `new`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Self

from edge_agent.bus import outcomes
from edge_agent.bus.outcomes import Block, BusEvent, Outcome, Values
from edge_agent.counters import Counters, declare
from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import CHANGED, MISSING, QUALITY, ROW, WINDOWED
from edge_agent.model import BAD_FRAME, GOOD, MonoNs, PointType, Quality, Send, Site, WallNs
from edge_agent.process import openwindows, readout, tables
from edge_agent.process.openwindows import Keys, Snapshot, TakenUp
from edge_agent.process.plans import Plan, Plans
from edge_agent.process.readout import QUALITIES, Latest, Summaries
from edge_agent.process.results import AlarmTransition, Result, Sample, Summary
from edge_agent.process.rounding import to_multiples_of
from edge_agent.process.spans import Span
from edge_agent.process.texts import Text, decode_text
from edge_agent.process.verdicts import Verdicts

JUDGED = declare("process_blocks_judged", "blocks whose points were judged")
FOREIGN = declare(
    "process_events_other_generation", "bus events dropped because they belong to another configuration"
)
SHORT = declare(
    "process_replies_too_short", "replies with fewer bytes than their request asks for, judged as bad_frame"
)


class Stage:
    """One generation of the configuration at work."""

    def __init__(self, site: Site, generation: int, kernels: Kernels, span: Span, counters: Counters) -> None:
        """Use `build`."""
        self.site = site
        self._points = site.points
        self.generation = generation
        self._kernels = kernels
        self._span = span
        self._tables = tables.build(site)
        sends = tuple(tables.sending(point, site.window_ns) for point in self._points)
        self._plans = Plans(self._points, sends)
        self._carries = tuple(readout.carries(point) for point in self._points)
        self._windowed = [i for i, send in enumerate(sends) if send is Send.SUMMARY]
        self._summaries = Summaries(self._windowed)
        self._keys: Keys | None = None
        self._rounded = {
            i: to_multiples_of(point.resolution) for i, point in enumerate(self._points) if point.resolution
        }
        self._only_changes = tuple(send is Send.CHANGES for send in sends)
        self._texts = {i: Text() for i, p in enumerate(self._points) if p.type is PointType.STRING}
        self._verdicts = Verdicts(site, self._tables)
        self._judged = counters.get(JUDGED)
        self._foreign = counters.get(FOREIGN)
        self._short = counters.get(SHORT)

    @classmethod
    def build(
        cls,
        site: Site,
        generation: int,
        kernels: Kernels,
        now_mono: MonoNs,
        now_wall: WallNs,
        old: Self | None = None,
        counters: Counters | None = None,
    ) -> Self:
        """The stage of `site`. From `old` it takes the filters, open windows, alarms and newest values
        of everything whose definition did not change; `old` itself is left as it is.

        ValueError if `site` was not checked (see `tables.build`).
        """
        span = Span.at(site.window_ns, now_mono, now_wall)
        stage = cls(site, generation, kernels, span, counters or Counters())
        stage._verdicts.begin(now_mono, now_wall)
        if old is not None:
            stage._take_over(old)
        return stage

    def _take_over(self, old: Stage) -> None:
        same_window = self._span.window_ns == old._span.window_ns
        if same_window:
            self._span = old._span
        tables.carry(old._tables, self._tables, windows=same_window)
        texts = {old._tables.point_keys[index]: text for index, text in old._texts.items()}
        for index in self._texts:
            if text := texts.get(self._tables.point_keys[index]):
                self._texts[index] = text.copy()
        self._verdicts.take_over(old._verdicts)

    # --- events -------------------------------------------------------------------------------

    def feed(self, events: Sequence[BusEvent]) -> list[Result]:
        """Everything that follows from `events`, which are taken in the order of their times."""
        results: list[Result] = []
        for event in sorted(events, key=_MONO_NS) if len(events) > 1 else events:
            if event.generation != self.generation:
                self._foreign.add()
                continue
            if self._span.is_left_by(event.mono_ns, event.wall_ns):
                results += self._end_window(event.mono_ns, event.wall_ns)
            if isinstance(event, Block):
                self._judge(event, results)
            else:
                self._miss(event.points)
        return results

    def _judge(self, block: Block, results: list[Result]) -> None:
        request, mono_ns = block.request, block.mono_ns
        plan = self._plans.of(request)
        data, quality = self._payload(block.outcome, plan)
        t = self._tables
        moved = self._kernels.judge(
            data,
            request.address,
            plan.numbers,
            plan.count,
            mono_ns,
            quality,
            t.config_i,
            t.config_f,
            t.state_i,
            t.state_f,
            t.moves,
        )
        self._judged.add()
        results += self._samples(plan, block)
        if plan.texts:
            results += self._text_samples(plan, block, data, quality)
        if moved:
            results += self._verdicts.moves(moved, mono_ns, block.wall_ns)
        results += self._verdicts.heard(request.device, block.outcome, mono_ns, block.wall_ns)

    def _payload(self, outcome: Outcome, plan: Plan) -> tuple[bytes, Quality]:
        if not isinstance(outcome, Values):
            return b"", outcomes.quality(outcome)
        if len(outcome.data) < plan.least_bytes:
            # The kernels do not check: such a reply would make them read beyond its end.
            self._short.add()
            return b"", BAD_FRAME
        return outcome.data, GOOD

    def _samples(self, plan: Plan, block: Block) -> Iterator[Sample]:
        t = self._tables
        for point in plan.senders:
            at = point * ROW
            if t.state_i[at + CHANGED] or not self._only_changes[point]:
                value = readout.sample_value(t, point, self._carries[point])
                if point in self._rounded and isinstance(value, float):
                    value = self._rounded[point](value)
                yield Sample(point, block.mono_ns, block.wall_ns, value, QUALITIES[t.state_i[at + QUALITY]])

    def _text_samples(self, plan: Plan, block: Block, data: bytes, quality: Quality) -> Iterator[Sample]:
        for read in plan.texts:
            value = None if quality.is_bad else decode_text(data[read.start : read.stop], read.order)
            text = self._texts[read.point]
            text.take(value, quality, block.mono_ns)
            if text.changed or not self._only_changes[read.point]:
                yield Sample(read.point, block.mono_ns, block.wall_ns, value, quality)

    def _miss(self, points: Sequence[int]) -> None:
        for point in points:
            self._tables.state_i[point * ROW + MISSING] += self._tables.config_i[point * ROW + WINDOWED]

    # --- windows ------------------------------------------------------------------------------

    def _end_window(self, mono_ns: MonoNs, wall_ns: WallNs) -> list[Summary]:
        """The summaries of the running window; the one that holds `wall_ns` runs from now on."""
        ended, self._span = self._span, Span.at(self._span.window_ns, mono_ns, wall_ns)
        return self._summaries.read(self._kernels, self._tables, ended)

    def tick(self, now_mono: MonoNs, now_wall: WallNs) -> list[Result]:
        """Ends the window that is over although no event said so."""
        return [*self._end_window(now_mono, now_wall)] if self._span.is_over(now_wall) else []

    def next_tick(self, now_wall: WallNs) -> WallNs:
        """When `tick` has something to do, if no event comes before."""
        return self._span.next_tick(now_wall)

    def close(self, now_mono: MonoNs, now_wall: WallNs, successor: Stage | None = None) -> list[Result]:
        """End the running window before its time: at shutdown, or for what `successor` did not take over.

        With a successor, alarms that end with this stage are cleared, so that nobody waits for an alarm
        that no longer exists. Without one they stay as they are: the next start says them again.
        """
        summaries = self._end_window(now_mono, now_wall)
        if successor is None:
            return [*summaries]
        kept = successor._windows() if successor._span.window_ns == self._span.window_ns else frozenset()
        keys = self._tables.point_keys
        cleared = self._verdicts.clear_all_but(successor._verdicts, now_mono, now_wall)
        return [*(s for s in summaries if keys[s.point] not in kept), *cleared]

    def _windows(self) -> frozenset[object]:
        return frozenset(
            key
            for index, key in enumerate(self._tables.point_keys)
            if self._tables.config_i[index * ROW + WINDOWED]
        )

    # --- windows that outlive a run -------------------------------------------------------------

    def snapshot(self, until: WallNs) -> Snapshot:
        """The running window as it is; every event up to `until` has been fed."""
        rows = tuple(openwindows.collected(self._tables, self._window_keys()))
        return Snapshot(t0_ns=self._span.t0_ns, t1_ns=self._span.t1_ns, until_ns=until, rows=rows)

    def take_up(self, found: Snapshot, now_mono: MonoNs, now_wall: WallNs) -> TakenUp:
        """Before the first event: go on with what an earlier run left open (`openwindows.take_up`)."""
        span = Span.at(self._span.window_ns, now_mono, now_wall)
        still_open = (span.t0_ns, span.t1_ns) == (found.t0_ns, found.t1_ns)
        taken = openwindows.take_up(
            found, self._tables, self._window_keys(), self._points, now_wall, still_open
        )
        self._span = span
        return taken

    def _window_keys(self) -> Keys:
        if self._keys is None:
            self._keys = Keys.of(self.site, self._windowed)
        return self._keys

    # --- state --------------------------------------------------------------------------------

    def alarm_states(self) -> list[AlarmTransition]:
        """The state of every alarm as it was last said, normal where nothing was."""
        return self._verdicts.states()

    def known_alarm_states(self) -> list[AlarmTransition]:
        """The states that something was heard of in this run: what may be said again to the cloud."""
        return self._verdicts.known_states()

    def newly_known_alarms(self, now_mono: MonoNs, now_wall: WallNs) -> list[AlarmTransition]:
        """After `feed`: alarms that turned out to be normal for the first time since the start, so that a
        receiver that still holds one as raised learns that it is over."""
        return self._verdicts.newly_known(now_mono, now_wall)

    def latest(self) -> list[Latest]:
        """The newest of every point, in the order of the points; for the status."""
        return [
            readout.latest_text(i, self._texts[i])
            if i in self._texts
            else readout.latest_number(self._tables, i, point)
            for i, point in enumerate(self._points)
        ]


_MONO_NS = attrgetter("mono_ns")
