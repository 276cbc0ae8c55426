"""One bus: the thread that keeps its line, polls its devices and hands on what they said.

    schedule.take -> plan -> pool -> line.run -> note -> Block / Skipped -> sink
                       lane ──┘                  └─> whoever asked

Owns the line and everything about its devices. The sink must not block. Invariants: every planned poll
ends as exactly one Block, or as an entry of a Skipped; what other threads ask for is made before any
further poll, but never two in a row while polls wait; a device that is silent, a port that is not
there, costs the others nothing but its probes; the thread ends within a second of `stop`.

What is not asked (port away, breaker open, point refused) is handed on all the same, at its period,
with its reason: silence of the agent and silence of a device must not look alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edge_agent.bus import report
from edge_agent.bus.device.device import Device, MannersOf, devices_of, retry_cost_ns
from edge_agent.bus.device.probes import Probes
from edge_agent.bus.device.view import word
from edge_agent.bus.errands import Errands
from edge_agent.bus.handover import Handover
from edge_agent.bus.line import Done, Line
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.lines.talker import Talk
from edge_agent.bus.outcomes import (
    BadFrame,
    BusEvent,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
)
from edge_agent.bus.plan import refusals
from edge_agent.bus.quality.quality import Quality
from edge_agent.bus.schedule.agenda import Agenda
from edge_agent.bus.schedule.lane import Asked
from edge_agent.bus.schedule.load import LoadLimit
from edge_agent.bus.schedule.pool import Job, Pool
from edge_agent.bus.schedule.schedule import Due
from edge_agent.bus.schedule.shares import FILL_NS
from edge_agent.bus.tallies import Tally
from edge_agent.bus.timetable import timetable
from edge_agent.bus.wire.slack import fine_timers
from edge_agent.bus.wire.trace import Trace
from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.errors import PortError
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs, Site

_RUN_NS = NS // 4
"""Most time one plan may begin requests for, so that the load limit and the schedule are looked at."""
_LEAST_RUN_NS = NS // 50
"""Enough for the silence before a request."""
_FIRST_RETRY_NS = NS // 10
_LAST_RETRY_NS = 5 * NS
_IDLE_NS = NS
_REPORT_NS = NS // 2
_CALL_BOUND_NS = 30 * NS


class BusWorker:
    """`bus_index` counts `site.buses`; indexes in events are those of `site` and `generation`."""

    def __init__(
        self,
        site: Site,
        bus_index: int,
        generation: int,
        sink: Callable[[BusEvent], None],
        clock: Clock,
        counters: Counters,
        trace: Trace | None = None,
        line: Line | None = None,
        talk: Talk | None = None,
    ) -> None:
        self.bus = site.buses[bus_index]
        self._clock = clock
        self._tally = Tally(counters, self.bus.name)
        self._out = Handover(generation, sink, clock, self._tally)
        self._stop: threading.Event | None = None
        self._asking_since: MonoNs | None = None
        self._devices = devices_of(site, bus_index)
        manners = MannersOf(self._devices)
        self._line = line or make_line(self.bus, manners, clock, self._stopping, trace, talk)
        now = clock.mono_ns()
        self._schedule = timetable(self._devices.values(), now)
        self._pool = Pool(now)
        self._probes = Probes(self._devices.values(), now, self._line.counts.overheard)
        self._quality = Quality(self.bus, self._devices.values(), now)
        self._errands = Errands(self._devices, self._pool, self._tally, self._probe, self._judge)
        self._woken = threading.Event()
        slowest = max((one.timeout.configured_ns for one in manners.values()), default=0)
        self._call_bound_ns = _CALL_BOUND_NS + slowest
        self._load = LoadLimit(self.bus.max_load, now)
        self._continuous = [device for device in self._devices.values() if device.continuous]
        self._retry_at = now
        self._retry_ns = _FIRST_RETRY_NS
        self.heartbeat = Heartbeat(f"bus {self.bus.name}", clock)
        self._report_at = now
        self._snapshot = self._make_snapshot()

    # --- seen from other threads ----------------------------------------------------------------

    def snapshot(self) -> Mapping[str, Any]:
        """The bus and its devices for the status; JSON-able, never more than a second old."""
        return self._snapshot

    def settled(self) -> MonoNs:
        """Everything that was read up to then has been handed to the sink."""
        # The clock first: a read that begins behind the look at `_asking_since` is then later than `now`.
        now = self._clock.mono_ns()
        asking_since = self._asking_since
        return now if asking_since is None else asking_since

    def ask(self, asked: Asked) -> None:
        """Have a read or a probe made beside the polls; LaneFull when too many wait."""
        self._errands.ask(asked)
        self.wake()

    def wake(self) -> None:
        """Let `run` look at its stop event and its lane now."""
        self._woken.set()

    # --- the thread -----------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Thread body: returns after `stop` is set."""
        self._stop = stop
        fine_timers()
        try:
            while not stop.is_set():
                wake = self.turn()
                left = min(wake - self._clock.mono_ns(), _IDLE_NS)
                if left > 0:
                    self._woken.wait(left / NS)
                    self._woken.clear()
        finally:
            self._line.close()

    def turn(self) -> MonoNs:
        """One round of the loop; when the next is due."""
        self.heartbeat.turn()
        now = self._clock.mono_ns()
        self._keep_open(now)
        if not self._pool.has_planned():
            self._pool.shares.all_served(now)
        by_device: dict[int, list[Due]] = {}
        for due in self._schedule.take(now):
            by_device.setdefault(due.device, []).append(due)
        for index, dues in by_device.items():
            self._plan(self._devices[index], dues, now)
        self._probe(now)
        self._errands.admit(now)
        self._fill_idle(now)
        if len(self._pool):
            self._work(now)
        now = self._clock.mono_ns()
        if now >= self._report_at:
            self._report(now)
        return self._next_turn(now)

    # --- the port -------------------------------------------------------------------------------

    def _keep_open(self, now: MonoNs) -> None:
        if self._line.is_open or now < self._retry_at:
            return
        try:
            with self.heartbeat.call("opening the port", _CALL_BOUND_NS):
                self._line.open()
        except PortError:
            pass  # The line keeps it as its fault; status and qualities say so.
        self._back_off(self._clock.mono_ns())
        self._report_at = now

    def _back_off(self, now: MonoNs) -> None:
        """The port is tried again for ever; what opens and fails at once counts as failing. A plan whose
        every request met the missing port is one failure."""
        if now < self._retry_at:
            return
        self._retry_at = MonoNs(now + self._retry_ns)
        self._retry_ns = min(2 * self._retry_ns, _LAST_RETRY_NS)

    # --- planning -------------------------------------------------------------------------------

    def _plan(self, device: Device, dues: Sequence[Due], now: MonoNs) -> None:
        agenda = Agenda(dues)
        for job in self._pool.displace(agenda.due):
            outcome = job.last
            if outcome is None and self._free_at(job, now) > now:
                # It waited for a reply that is owed: what it comes to is what happened to that one.
                outcome = device.debts.last
                self._tally.spared(device.name, len(job.request.points))
            if outcome is not None:
                self._out.block(job.request, outcome, now)
            else:
                agenda.takes_over(job)
        if agenda.missed:
            self._pool.shares.missed(now)
            self._out.skipped(device, agenda.missed)
        self._tally.skipped(device.name, agenda.missed_beyond)
        self._ask(device, agenda.deadlines, now, lambda request: agenda.job(request, self._pool.shares))

    def _ask(
        self,
        device: Device,
        points: Iterable[int],
        now: MonoNs,
        make: Callable[[ReadRequest], Job],
    ) -> None:
        instead = self._instead(device)
        if instead is not None:
            self._spare(device, points, instead, now)
            return
        later = device.deferrals.later(points, now)
        for code in set(later.values()):
            self._spare(
                device, [point for point in later if later[point] == code], DeviceException(code, 0), now
            )
        plan = device.plan([point for point in points if point not in later] if later else points, now)
        for request, code in plan.refused:
            self._tally.spared(device.name, len(request.points))
            self._out.block(request, refusals.outcome(code), now)
        self._pool.add([make(request) for request in plan.requests])

    def _instead(self, device: Device) -> Outcome | None:
        """What a poll comes to without being made; None when it is to be made."""
        if not self._line.is_open:
            return PortDown(self._line.fault.reason if self._line.fault else "missing")
        return device.breaker.last if device.breaker.is_open else None

    def _probe(self, now: MonoNs) -> None:
        """Ask silent devices whether they are back."""
        if self._line.is_open and (away := self._probes.away()):
            self._pool.add(self._probes.take(now, self._free_until(now, away), self._pool))

    def _free_until(self, now: MonoNs, away: frozenset[int]) -> MonoNs:
        """Until when nobody wants the line, as far as the schedule knows."""
        if len(self._pool) or self._load.ready_at(now) > now:
            return now
        others = self._schedule.next_of_others(away)
        return MonoNs(now + 3600 * NS) if others is None else others

    def _fill_idle(self, now: MonoNs) -> None:
        """Continuous points take what the line has left, the devices in turn; one that got nothing for long
        takes its place among the polls. What waits for a reply that another device still owes leaves the
        line to them."""
        for device in self._continuous:
            if now >= device.bad_at and not self._may_fill(device, now):
                # Why they are not asked is said once a second, whatever the others do.
                device.bad_at = MonoNs(now + NS)
                self._ask_all(device, device.continuous, now)
        for _ in range(len(self._continuous)):
            device = self._continuous[0]
            if len(self._pool) and now < device.filled_at + FILL_NS and self._next_job(now) is not None:
                return
            self._continuous.append(self._continuous.pop(0))
            if self._pool.holds(device.continuous):
                continue
            points = device.askable(now) if self._instead(device) is None else ()
            if points and now >= device.bad_at:
                device.bad_at = MonoNs(now + NS)
                points = device.continuous
            if points:
                device.filled_at = now
                self._ask_all(device, points, now)

    def _may_fill(self, device: Device, now: MonoNs) -> bool:
        return self._instead(device) is None and bool(device.askable(now))

    def _ask_all(self, device: Device, points: tuple[int, ...], now: MonoNs) -> None:
        job = partial(Job, deadline=MonoNs(now + NS), turn=self._pool.shares.guest(NS))
        self._ask(device, points, now, job)

    # --- the line -------------------------------------------------------------------------------

    def _work(self, now: MonoNs) -> None:
        """Make what waits, request by request: a reply is judged at once and not when the whole plan is
        through, and what it says of its device (debts, breaker, load) holds for the very next request."""
        next_due = self._schedule.next_at()
        deadline = MonoNs(now + _RUN_NS) if next_due is None else min(next_due, MonoNs(now + _RUN_NS))
        now = self._clock.mono_ns()
        if now >= deadline:
            # Planning took longer than the classes are apart: without this, nothing would ever be asked.
            deadline = MonoNs(now + _LEAST_RUN_NS)
        with self.heartbeat.call("polling", self._call_bound_ns):
            while now < deadline and self._load.ready_at(now) <= now:
                if not len(self._pool):
                    self._fill_idle(now)
                job = self._next_job(now)
                if job is None:
                    break
                self._asking_since = now
                done = self._line.run([job.request], deadline)
                if not done:
                    break
                self._conclude(job, done[0])
                now = self._clock.mono_ns()
        self._asking_since = None

    def _next_job(self, now: MonoNs) -> Job | None:
        """The most urgent job that may be sent now, in parts that no reply still owed can answer."""
        for job in self._pool.plan():
            device = self._devices[job.request.device]
            parts = device.detour(job, now) if self._line.is_open else [job]
            if parts != [job]:
                self._pool.done(job)
                self._pool.add(parts)
            for part in parts:
                if self._free_at(part, now) <= now:
                    return part
        return None

    def _free_at(self, job: Job, now: MonoNs) -> MonoNs:
        """Without a port nothing is sent, and nothing has to wait for a late reply."""
        return self._devices[job.request.device].free_at(job.request, now) if self._line.is_open else now

    def _conclude(self, job: Job, done: Done) -> None:
        self._pool.done(job)
        free = self._clock.mono_ns()
        self._errands.admit(free)
        self._load.spend(done.line_ns, free)
        device, outcome, now = self._devices[job.request.device], done.outcome, done.mono_ns
        self._tally.request(device.name, word(outcome))
        self._quality.note(device, done)
        tried_out = job.asked is not None and not job.probe
        wall = self._out.wall(now)
        if not tried_out and device.view.note(outcome, wall):
            self._report_at = now
        if isinstance(outcome, PortDown):
            # What was asked may still be answered, to whoever opens the port next.
            device.debts.note(job.request, outcome, now)
            self._back_off(now)
            if job.asked is not None:
                self._errands.concluded(job, done, device)
            elif not job.probe:
                self._out.block(job.request, outcome, now)
            return
        self._retry_ns = _FIRST_RETRY_NS
        of_this_read_only = device.note(job.request, outcome, now)
        if job.asked is not None:
            self._errands.concluded(job, done, device)
            return
        opened = device.breaker.is_open
        self._judge(device, outcome, now, of_this_read_only)
        device.deferrals.note(job.request, outcome, now)
        silent_probe = job.probe and device.breaker.is_open
        if not silent_probe and not self._again(device, job, outcome, now):
            self._out.block(job.request, outcome, now, wall)
        if device.breaker.is_open and not opened:
            for mate in self._probes.mates(device):
                for waiting in self._pool.clear(mate.index):
                    self._tally.spared(mate.name, len(waiting.request.points))
                    self._out.block(waiting.request, waiting.last or outcome, now)

    def _judge(self, device: Device, outcome: Outcome, now: MonoNs, of_this_read_only: bool = False) -> None:
        """What an outcome says of whether the device is there."""
        # While it is away, every silence is the device's: or a probe would be due again at once.
        counts = device.breaker.is_open or not of_this_read_only
        back = counts and device.breaker.note(outcome, now)
        self._probes.noted(device, now)
        for mate in self._probes.mates(device) if back else ():
            mate.back(device.absence_ns)
            self._schedule.hasten(mate.index, now)

    def _again(self, device: Device, job: Job, outcome: Outcome, now: MonoNs) -> bool:
        """Ask again where that helps and there is time: True when the poll is not over yet."""
        if isinstance(outcome, DeviceException):
            requests: Iterable[ReadRequest] = device.resplit(job.request, outcome)
            jobs = [replace(job, request=request, last=None, probe=False) for request in requests]
            self._pool.add(jobs)
            return bool(jobs)
        if not isinstance(outcome, NoReply | BadFrame) or device.breaker.is_open:
            return False
        if any(map(device.refusals.code, job.request.points)):
            return False  # It was silent once too often, and is not asked again.
        if job.tries >= self.bus.retries or now + retry_cost_ns(device, outcome) > job.deadline:
            return False
        self._tally.retry(device.name)
        self._pool.add([replace(job, tries=job.tries + 1, last=outcome)])
        return True

    # --- handing on -----------------------------------------------------------------------------

    def _spare(self, device: Device, points: Iterable[int], outcome: Outcome, now: MonoNs) -> None:
        if isinstance(outcome, PortDown) and device.view.port_down(outcome.reason, self._out.wall(now)):
            self._report_at = now
        self._out.spared(device, points, outcome, now)

    def _make_snapshot(self) -> Mapping[str, Any]:
        return report.bus(self.bus, self._line, self._load, self._devices.values(), self._quality)

    def _report(self, now: MonoNs) -> None:
        self._report_at = MonoNs(now + _REPORT_NS)
        self._tally.line(self._line.counts)
        for device in self._devices.values():
            self._tally.heard(device.name, self._line.counts.overheard.units.get(device.definition.unit_id))
        self._quality.look(self._line.counts, now)
        self._load.spend(0, now)  # A line that is not used any more has no load.
        self._snapshot = self._make_snapshot()

    def _next_turn(self, now: MonoNs) -> MonoNs:
        idle = self._continuous and not len(self._pool) and self._load.ready_at(now) <= now
        if idle and self._may_fill(self._continuous[0], now):
            return now
        times = [MonoNs(now + _IDLE_NS), self._report_at]
        if len(self._pool):
            free_at = min(self._free_at(job, now) for job in self._pool.plan())
            times.append(max(self._load.ready_at(now), free_at))
        if (at := self._schedule.next_at()) is not None:
            times.append(at)
        for device in self._continuous:
            if self._pool.holds(device.continuous):
                continue
            asked = self._instead(device) is None and device.askable(now)
            times.append(self._load.ready_at(now) if asked else device.bad_at)
        if not self._line.is_open:
            times.append(self._retry_at)
        elif away := self._probes.away():
            at = self._probes.next_at(now, self._free_until(now, away), self._pool)
            times.append(at or times[0])
        return max(now, min(times))

    def _stopping(self) -> bool:
        return self._stop is not None and self._stop.is_set()
