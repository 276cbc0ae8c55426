"""What the oracle knows and says: the truth, the lives of an agent, the promise, and the verdict. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge_agent.model import NS
from tests.e2e.ledger import Key

SAME_TIME_NS = NS
"""A value's time is when the agent read its last byte; a busy test machine is this late at worst."""
EDGE_NS = NS // 20
"""How far the clocks of two processes, each read once, may seem apart at the edge of a gap."""
READ_NS = 3 * NS // 10
"""From serving a value to reading it at most: the timeout of the plant's bus. What comes later is bad."""

Truth = Mapping[Key, Sequence[tuple[int, Any]]]
"""Per point what was served, and when."""


class End(StrEnum):
    KILLED = "killed"
    CUT = "cut"
    """The power went."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Life:
    """One run of the agent."""

    started: int
    ended: int
    """When it was killed, or told to stop."""
    end: End
    slow_ns: int = 0
    """For how long before its end the disk was made slower than a commit interval: what was read then may be
    lost in addition."""
    still: tuple[tuple[int, int], ...] = ()
    """When its process stood still: a reply that came then is found afterwards, and answers nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How much longer than the time without an agent a gap may be."""

    commit_ns: int
    window_ns: int
    slack_ns: int = NS // 2
    """For threads that a busy test machine wakes late: a thing of one gap, not of their sum."""

    def of(self, end: End, stream: str) -> int:
        """A kill takes what was read in the last commit interval, a power cut one interval more, both the
        window that was open; an orderly end takes nothing."""
        if end is End.STOPPED:
            return 0
        commits = {End.KILLED: 1, End.CUT: 2}[end]
        return commits * self.commit_ns + (self.window_ns if stream == "summary" else 0)


@dataclass(slots=True)
class Verdict:
    served: int = 0
    stored: int = 0
    windows: int = 0
    in_gaps: int = 0
    """Served, not stored, and declared."""
    excused: int = 0
    """Served, and told by the agent to have been bad then: on a busy machine the simulator answers later
    than the agent waits."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Received, but never served at that time for that point."""
    wrong: list[str] = field(default_factory=list)
    """Windows, gaps and alarms that cannot be."""
    over: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Per stream and pause: seconds the gap is longer than the time without an agent, or with a slow disk."""
    losses: Counter[str] = field(default_factory=Counter)
    """Records lost by reason, as GAP records say."""

    def faults(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.foreign, *self.wrong]

    def figures(self) -> str:
        over = "; ".join(
            f"{stream}: {len(seconds)} pauses, {sum(seconds):.2f} s over downtime, at most {max(seconds):.2f}"
            for stream, seconds in sorted(self.over.items())
        )
        return (
            f"served {self.served}, stored {self.stored}, windows {self.windows}, declared {self.in_gaps}, "
            f"bad {self.excused}, missing {len(self.lost)}, doubled {len(self.doubled)}, "
            f"foreign {len(self.foreign)}, wrong {len(self.wrong)}, lost records {dict(self.losses)}; "
            f"{over or 'no pause'}"
        )


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Of several agents one."""
    whole = Verdict()
    for verdict in verdicts:
        for number in ("served", "stored", "windows", "in_gaps", "excused"):
            setattr(whole, number, getattr(whole, number) + getattr(verdict, number))
        for faults in ("lost", "doubled", "foreign", "wrong"):
            getattr(whole, faults).extend(getattr(verdict, faults))
        for stream, seconds in verdict.over.items():
            whole.over[stream] += seconds
        whole.losses += verdict.losses
    return whole


def is_covered(t0: int, t1: int, gaps: Sequence[tuple[int, int]]) -> bool:
    """Whether a gap touches the time from `t0` to `t1`."""
    return any(begin - EDGE_NS <= t1 and t0 <= end + EDGE_NS for begin, end in gaps)


def had_to_arrive(t: int, lives: Sequence[Life]) -> bool:
    """All but what was served behind the last order to stop."""
    return not lives or t <= lives[-1].ended
