"""Pure: records a receiver asked for again (`dn/replay`), out of what the spool still keeps.

A request is cut to what is stored when it comes; the rest is counted as not there, not looked for record
by record. What is sent changes nothing in the account: its answers acknowledge nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.sending.queue import Closed

MAX_PENDING = 8


@dataclass(slots=True, eq=False, repr=False)
class Replay:
    """One request on its way."""

    asked: Run
    left: deque[Run]
    flying: int = 0
    sent: int = 0
    """Taken by the broker."""
    absent: int = 0

    @property
    def waiting(self) -> int:
        return sum(run.last - run.first + 1 for run in self.left)

    def __str__(self) -> str:
        run = self.asked
        return f"{run.stream} {run.epoch.hex()} {run.first} to {run.last}"


class Replays:
    """In the order they were asked; they outlive a connection, not the agent."""

    def __init__(self) -> None:
        self._pending: deque[Replay] = deque()
        self._finished: list[Replay] = []

    @property
    def is_full(self) -> bool:
        return len(self._pending) >= MAX_PENDING

    def add(self, asked: Run, stored: Iterable[Run]) -> Replay:
        """`stored`: what there is, oldest first."""
        parts = [
            Run(asked.epoch, asked.stream, max(asked.first, run.first), min(asked.last, run.last))
            for run in stored
            if (run.epoch, run.stream) == (asked.epoch, asked.stream)
        ]
        replay = Replay(asked, deque(part for part in parts if part.first <= part.last))
        replay.absent = asked.last - asked.first + 1 - replay.waiting
        self._pending.append(replay)
        self._retire()
        return replay

    def is_open(self, closed: Closed) -> bool:
        return self._next_one(closed) is not None

    def next(self, closed: Closed) -> Ref | None:
        """The record to send next; the shell says what became of it."""
        replay = self._next_one(closed)
        if replay is None:
            return None
        run = replay.left.popleft()
        if run.first < run.last:
            replay.left.appendleft(Run(run.epoch, run.stream, run.first + 1, run.last))
        replay.flying += 1
        return Ref(run.epoch, run.stream, run.first)

    def done(self, ref: Ref, *, there: bool = True) -> None:
        """The broker took it, or (not `there`) it was gone at its turn, or is refused."""
        if replay := self._whose(ref):
            replay.flying -= 1
            replay.sent += there
            replay.absent += not there
            self._retire()

    def put_back(self, refs: Sequence[Ref]) -> None:
        """The connection ended before these were answered."""
        for ref in reversed(refs):
            if replay := self._whose(ref):
                replay.flying -= 1
                replay.left.appendleft(Run(ref.epoch, ref.stream, ref.seq, ref.seq))

    def take_finished(self) -> list[Replay]:
        finished, self._finished = self._finished, []
        return finished

    def pending(self) -> Sequence[Replay]:
        return tuple(self._pending)

    def _next_one(self, closed: Closed) -> Replay | None:
        return next((one for one in self._pending if one.left and not closed(one.asked.stream)), None)

    def _whose(self, ref: Ref) -> Replay | None:
        for replay in self._pending:
            run = replay.asked
            there = (run.epoch, run.stream) == (ref.epoch, ref.stream) and run.first <= ref.seq <= run.last
            if there and replay.flying:
                return replay
        return None

    def _retire(self) -> None:
        for replay in [one for one in self._pending if not one.left and not one.flying]:
            self._pending.remove(replay)
            self._finished.append(replay)
