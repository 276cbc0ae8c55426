"""Requests that wait for the line, in the order in which they are to be made.

Pure. A point has at most one request waiting: when it is due again before it was asked, the older poll
gives way and is handed back, to be counted. So the pool never grows beyond the points of the bus and
what its lane holds.

The order: what was asked by people and programs first (`lane`), but of two transactions one belongs to the
polls while there are any; then the polls by their turns (`shares`).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from edge_agent.bus.outcomes import Outcome, ReadRequest
from edge_agent.bus.schedule.lane import Asked
from edge_agent.bus.schedule.shares import Shares, Turn
from edge_agent.model import NS, MonoNs


@dataclass(frozen=True, slots=True)
class Job:
    """A request, by when it matters, and what came of it so far."""

    request: ReadRequest
    deadline: MonoNs
    """When its points are due again: an outcome after that would replace a newer poll."""
    tries: int = 0
    """Attempts made that failed."""
    last: Outcome | None = None
    """What the last attempt came to; it is the job's outcome if there is no further one."""
    probe: bool = False
    """Asks whether a silent device is back; its points are accounted for elsewhere."""
    turn: Turn | None = None
    """Its place among the polls; one without is given that of a poll with a period of a second."""
    planned: bool = False
    """A poll of the schedule, which must not be left behind; not one with what the line has left."""
    asked: Asked | None = None
    """Who asked for it, where it is none of the schedule's."""


class Pool:
    """Of one bus. `now` is where its virtual time begins."""

    def __init__(self, now: MonoNs) -> None:
        self.shares = Shares(now)
        self._polls: list[Job] = []
        self._asked: list[Job] = []
        self._polls_turn = False
        """The last transaction was the lane's: the next one is a poll, if there is one."""

    def __len__(self) -> int:
        return len(self._polls) + len(self._asked)

    def add(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.asked is not None:
                insort(self._asked, job, key=_priority)
            else:
                insort(self._polls, job if job.turn else replace(job, turn=self.shares.guest(NS)), key=_place)

    def plan(self) -> list[Job]:
        """Every job, in the order it should be done."""
        if not self._asked:
            return self._polls[:]
        return list(_alternating(self._asked, self._polls, self._polls_turn))

    def done(self, job: Job) -> None:
        """Take out this job: it was made, or others stand for it."""
        if job.asked is not None:
            self._asked.remove(job)
        else:
            self._polls.remove(job)
            if job.turn is not None:
                self.shares.served(job.turn)
        self._polls_turn = job.asked is not None

    def has_asked(self) -> bool:
        """Whether anything waits that somebody asked for."""
        return bool(self._asked)

    def has_planned(self) -> bool:
        """Whether a poll of the schedule waits."""
        return any(job.planned for job in self._polls)

    def has_probe(self, device: int) -> bool:
        return any(job.probe and job.request.device == device for job in (*self._asked, *self._polls))

    def holds(self, points: Iterable[int]) -> bool:
        """Whether a poll of any of these points waits."""
        if not self._polls:
            return False
        points = frozenset(points)
        return any(not job.probe and points.intersection(job.request.points) for job in self._polls)

    def displace(self, points: frozenset[int]) -> list[Job]:
        """Take out the polls that hold any of these points."""
        return self._take_out(lambda job: not job.probe and not points.isdisjoint(job.request.points))

    def clear(self, device: int) -> list[Job]:
        """Take out every poll of the device; what was asked for it stays."""
        return self._take_out(lambda job: job.request.device == device)

    def adopt_probe(self, unit_id: int, asked: Asked) -> bool:
        """A waiting probe of this unit becomes the one that was asked for; False when none waits."""
        probes = [job for job in self._polls if job.probe and job.request.unit_id == unit_id]
        for job in probes[:1]:
            self._polls.remove(job)
            self.add([replace(job, asked=asked)])
        return bool(probes)

    def expire(self, now: MonoNs) -> list[Asked]:
        """Take out what nobody waits for any more."""
        if not self._asked:
            return []
        over = [job for job in self._asked if job.asked is not None and job.asked.expires <= now]
        for job in over:
            self._asked.remove(job)
        return [job.asked for job in over if job.asked is not None]

    def _take_out(self, which: Callable[[Job], bool]) -> list[Job]:
        gone = [job for job in self._polls if which(job)]
        if gone:
            self._polls = [job for job in self._polls if not which(job)]
        return gone


def _alternating(asked: list[Job], polls: list[Job], polls_turn: bool) -> Iterator[Job]:
    waiting, due = iter(asked), iter(polls)
    while True:
        first, second = (due, waiting) if polls_turn else (waiting, due)
        job = next(first, None)
        if job is None:
            yield from second
            return
        yield job
        polls_turn = not polls_turn


def _place(job: Job) -> tuple[Turn, MonoNs]:
    assert job.turn is not None, "the pool gives a turn to every poll"
    return job.turn, job.deadline


def _priority(job: Job) -> int:
    assert job.asked is not None, "only asked jobs stand in the lane"
    return job.asked.priority
