"""Requests that wait for the line, the earliest deadline first.

Pure. A point has at most one request waiting: when it is due again before it was asked, the older poll
gives way and is handed back, to be counted. So the pool never grows beyond the points of the bus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.bus.outcomes import Outcome, ReadRequest
from edge_agent.model import MonoNs


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


class Pool:
    """Of one bus."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, jobs: Iterable[Job]) -> None:
        self._jobs += jobs
        self._jobs.sort(key=lambda job: job.deadline)

    def plan(self) -> list[Job]:
        """Every job, in the order it should be done."""
        return list(self._jobs)

    def done(self, job: Job) -> None:
        """Take out this job."""
        self._jobs.remove(job)

    def has_probe(self, device: int) -> bool:
        return any(job.probe and job.request.device == device for job in self._jobs)

    def holds(self, device: int) -> bool:
        """Whether a poll of the device waits."""
        return any(job.request.device == device and not job.probe for job in self._jobs)

    def displace(self, points: frozenset[int]) -> list[Job]:
        """Take out the jobs that hold any of these points."""
        gone = [job for job in self._jobs if not job.probe and points.intersection(job.request.points)]
        if gone:
            self._jobs = [job for job in self._jobs if job not in gone]
        return gone

    def clear(self, device: int) -> list[Job]:
        """Take out every job of the device."""
        gone = [job for job in self._jobs if job.request.device == device]
        self._jobs = [job for job in self._jobs if job not in gone]
        return gone
