"""Which configuration a start runs: the present file, or the last one that was proven good. Pure.

A run is proven when it has been healthy for a minute; what it ran is then the last good configuration. Runs
in a row that ended before they were proven are counted, for one configuration, one boot and one version of
the program: another file, another boot (a power cut is no crash) or an upgrade begins again at none. After
the third the last good configuration runs, and goes on to run until a person ends it in order or changes the
file. A file that is wrong needs no third time.

    memory, present, good -> decide -> Decision -> what runs, what is remembered before it runs
    Decision -> proven, ended -> what is remembered then
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge_agent.clock import UNKNOWN_BOOT
from edge_agent.model import NS, MonoNs

CRASHES = 3
"""In a row: one may be a coincidence, two the same one again."""
PROOF_NS = 60 * NS
"""Longer than every watchdog period, so that a thread that hangs at once is no proof."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else decides whether a run crashes; where one of them is another, the count begins again."""

    boot: str
    version: str


@dataclass(frozen=True, slots=True)
class Memory:
    """`crashes` runs in a row of the configuration `identity` began and were neither proven nor ended."""

    identity: str
    circumstances: Circumstances
    crashes: int


class Cause(enum.Enum):
    """Why a run is not an ordinary one."""

    NONE = enum.auto()
    WRONG = enum.auto()
    """The present file cannot be used."""
    CRASHES = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What this start runs. `memory` is stored before it begins: a run counts as crashed until it says
    otherwise."""

    cause: Cause
    runs_good: bool
    """The last good configuration, and not the present file."""
    crashes: int
    """Counted before this start."""
    memory: Memory


def decide(
    memory: Memory | None, present: str | None, good: str | None, here: Circumstances
) -> Decision | None:
    """What to run, None when there is nothing. `present` is the identity of the file, None when it is wrong;
    `good` that of the last good configuration, None when there is none; no `memory`: nothing is known."""
    runs = good if present is None else present
    if runs is None:
        return None
    crashes = _crashes(memory, runs, here)
    if present is None:
        cause, runs_good = Cause.WRONG, True
    elif crashes >= CRASHES:
        cause, runs_good = Cause.CRASHES, good is not None and good != present
    else:
        cause, runs_good = Cause.NONE, False
    return Decision(cause=cause, runs_good=runs_good, crashes=crashes, memory=Memory(runs, here, crashes + 1))


def _crashes(memory: Memory | None, identity: str, here: Circumstances) -> int:
    if memory is None or here.boot == UNKNOWN_BOOT:
        return 0
    return memory.crashes if (memory.identity, memory.circumstances) == (identity, here) else 0


def proven(decision: Decision) -> Memory | None:
    """What is remembered once the run is proven; None for nothing."""
    # The file is still the one that crashed: the next start must not try it again.
    return decision.memory if decision.cause is Cause.CRASHES and decision.runs_good else None


class Proof:
    """Collects health until it is enough."""

    def __init__(self) -> None:
        self._since: MonoNs | None = None

    def look(self, now: MonoNs, *, healthy: bool) -> bool:
        """Whether the run has been healthy for long enough, every look in between included."""
        if not healthy:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= PROOF_NS
