"""What a check came to. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

COMMAND = "$ "
"""Begins a line of a remedy that is to be typed; the other lines are words."""
AS_ROOT = f"{COMMAND}sudo edge-agent doctor"


def command(*words: str) -> str:
    """A line of a remedy that does to a path what it says, whatever the path is called."""
    return COMMAND + shlex.join(words)


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WARNING = "warning"
    """It works, but not as well as it should, or not for long."""
    FAULT = "fault"
    """It does not work."""
    SKIPPED = "skipped"
    """Not checked; `seen` says why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: str
    """The group: configuration, ports, clock, ..."""
    subject: str
    """What was looked at: a file, a port, a unit."""
    state: State
    seen: str
    remedy: str = ""
    """Lines of words and, behind `COMMAND`, of what to type."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Findings about one subject of one check."""

    check: str
    name: str

    def ok(self, seen: str) -> Finding:
        return self._finding(State.OK, seen, ())

    def note(self, seen: str, *remedy: str) -> Finding:
        return self._finding(State.NOTE, seen, remedy)

    def warning(self, seen: str, *remedy: str) -> Finding:
        return self._finding(State.WARNING, seen, remedy)

    def fault(self, seen: str, *remedy: str) -> Finding:
        return self._finding(State.FAULT, seen, remedy)

    def skipped(self, why: str, *remedy: str) -> Finding:
        return self._finding(State.SKIPPED, why, remedy)

    def _finding(self, state: State, seen: str, remedy: Iterable[str]) -> Finding:
        lines = "\n".join(line for line in remedy if line)
        return Finding(check=self.check, subject=self.name, state=state, seen=seen, remedy=lines)


def has_fault(findings: Iterable[Finding]) -> bool:
    return any(one.state is State.FAULT for one in findings)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 device`, `3 devices`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
