"""What people and programs ask of a bus while it is polled: taken over, made, answered.

The bus's thread calls everything but `ask`. What somebody tries out says little of a device: no silence of
it opens a breaker, no exception makes the planner forget a point, and no value is handed on. Only a sign
of life of a device that was thought away counts, and what its probe comes to.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.bus.device.device import Device, Devices
from edge_agent.bus.line import Done
from edge_agent.bus.outcomes import Outcome, PortDown, ReadRequest, is_alive
from edge_agent.bus.schedule.lane import Answer, Asked, Lane, LaneFull
from edge_agent.bus.schedule.pool import Job, Pool
from edge_agent.bus.tallies import Tally
from edge_agent.model import MonoNs


class Errands:
    """Of one bus. `probe` puts the probes that are due into the pool; `judge` notes a probe's outcome."""

    def __init__(
        self,
        devices: Devices,
        pool: Pool,
        tally: Tally,
        probe: Callable[[MonoNs], None],
        judge: Callable[[Device, Outcome, MonoNs], None],
    ) -> None:
        self._devices = devices
        self._pool = pool
        self._tally = tally
        self._probe = probe
        self._judge = judge
        self._lane = Lane()

    def ask(self, asked: Asked) -> None:
        """By any one other thread. LaneFull when too many wait."""
        try:
            self._lane.ask(asked)
        except LaneFull:
            self._tally.asked(refused=True)
            raise
        self._tally.asked(refused=False)

    def admit(self, now: MonoNs) -> None:
        """Take over what was asked for since."""
        if not self._lane.has_new and not self._pool.has_asked():
            return
        for asked in self._lane.take():
            if isinstance(asked.what, ReadRequest):
                self._pool.add([Job(asked.what, asked.expires, asked=asked)])
            else:
                self._admit_probe(self._devices[asked.what], asked, now)
        for asked in self._pool.expire(now):
            self._answer(asked, Answer(None, now))

    def _admit_probe(self, device: Device, asked: Asked, now: MonoNs) -> None:
        """The breaker's own probe where the device is away, else a read that changes nothing."""
        device.breaker.hasten(now)
        self._probe(now)
        if not self._pool.adopt_probe(device.definition.unit_id, asked):
            self._pool.add([Job(device.planner.cheapest(), asked.expires, probe=True, asked=asked)])

    def concluded(self, job: Job, done: Done, device: Device) -> None:
        """A job that was asked for was made."""
        assert job.asked is not None, "what nobody asked for is the worker's own"
        outcome, now = done.outcome, done.mono_ns
        if isinstance(outcome, PortDown) or not device.breaker.is_open:
            pass  # A port that is away says nothing of the device; one that is polled is judged by its polls.
        elif job.probe:
            self._judge(device, outcome, now)
        elif is_alive(outcome):
            device.breaker.hasten(now)
        self._answer(job.asked, Answer(outcome, now, device.breaker.is_open))

    def _answer(self, asked: Asked, answer: Answer) -> None:
        self._lane.concluded()
        self._tally.answered(made=answer.outcome is not None)
        asked.answer(answer)
