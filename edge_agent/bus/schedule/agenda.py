"""What one device is to be asked now: its points that are due, and what gave way to them.

Pure. A poll that was not made before its points are due again gives way to the newer one: it is counted as
missed, and hands on its place in the order, so that who has waited longest does not begin anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.schedule.pool import Job
from edge_agent.bus.schedule.schedule import MISSED_AT_MOST, Due
from edge_agent.bus.schedule.shares import Shares, Turn
from edge_agent.model import MonoNs


class Agenda:
    """`dues` are classes of one device, each with a period of its own."""

    def __init__(self, dues: Sequence[Due]) -> None:
        self._dues = dues
        self._handed_on: dict[int, Turn] = {}
        self.deadlines: dict[int, MonoNs] = {}
        """Points to ask, and when each is due again."""
        for due in dues:
            self.deadlines |= dict.fromkeys(due.points, due.deadline)
        self.due = frozenset(self.deadlines)
        self.missed = [point for due in dues for point in due.points * min(due.missed, MISSED_AT_MOST)]
        """Polls that are never made, a point once for each."""
        self.missed_beyond = sum(max(0, due.missed - MISSED_AT_MOST) * len(due.points) for due in dues)

    def takes_over(self, job: Job) -> None:
        """This job, which was not made, gives way; what else it would have brought is asked along."""
        assert job.turn is not None, "it stood in the pool"
        for point in job.request.points:
            self._handed_on[point] = job.turn
            if point in self.due:
                self.missed.append(point)
            else:
                self.deadlines.setdefault(point, job.deadline)

    def job(self, request: ReadRequest, shares: Shares) -> Job:
        """The job for one request of the plan for these points."""
        if len(self._dues) == 1 and not self._handed_on:
            (due,) = self._dues
            turn = shares.turn(request.points[0], due.beat, due.period_ns)
            return Job(request, due.deadline, turn=turn, planned=True)
        deadline = min(map(self.deadlines.__getitem__, request.points))
        return Job(request, deadline, turn=self._turn(request, shares), planned=True)

    def _turn(self, request: ReadRequest, shares: Shares) -> Turn:
        places = [self._handed_on[point] for point in request.points if point in self._handed_on]
        if places:
            return min(places)
        # Each class that is in it draws a place of its own, in the name of its first point here: two
        # requests of one class are served apart, and must not count as one.
        turns = []
        for due in self._dues:
            members = frozenset(due.points)
            first = next((point for point in request.points if point in members), None)
            if first is not None:
                turns.append(shares.turn(first, due.beat, due.period_ns))
        return min(turns)
