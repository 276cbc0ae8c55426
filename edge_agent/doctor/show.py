"""Findings as text for a terminal, and as data. Pure."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from edge_agent.config.values import printable
from edge_agent.doctor.findings import AS_ROOT, COMMAND, Finding, State

_MARKS = {
    State.OK: "ok", State.NOTE: "note", State.WARNING: "WARN", State.FAULT: "FAULT", State.SKIPPED: "skip",
}  # fmt: skip
_SAID = ((State.FAULT, "fault"), (State.WARNING, "warning"), (State.NOTE, "note"), (State.SKIPPED, "skipped"))
_TEXT = " " * 8
_REMEDY = " " * 10
_WORDS = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")
"""What the shell takes for one word: a command may not be broken within it."""


def data(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "check": one.check,
            "subject": one.subject,
            "state": str(one.state),
            "seen": one.seen,
            "remedy": one.remedy,
        }
        for one in findings
    ]


def lines(findings: Sequence[Finding], width: int = 80, as_root: str = AS_ROOT) -> Iterator[str]:
    """By group, in the order they came in; what is to be done beneath each. `as_root`: this command again,
    for who may see more."""
    group = ""
    for one in findings:
        if one.check != group:
            group = one.check
            yield group
        yield from _finding(one, width)
    yield _count(findings)
    if any(one.remedy == AS_ROOT for one in findings):
        yield "root may see more:"
        yield from _command(as_root, width)


def _finding(one: Finding, width: int) -> Iterator[str]:
    lead = f"  {_MARKS[one.state]}".ljust(len(_TEXT))
    text = printable(f"{one.subject}: {one.seen}")
    yield from _wrapped(text, width, lead, _TEXT)
    # Said once, at the end.
    remedy = "" if one.remedy == AS_ROOT else one.remedy
    for line in remedy.splitlines():
        line = printable(line)
        if line.startswith(COMMAND):
            yield from _command(line, width)
        else:
            yield from _wrapped(line, width, f"{_TEXT}> ", _REMEDY)


def _wrapped(text: str, width: int, lead: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=lead, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _command(line: str, width: int) -> Iterator[str]:
    """Typed as it stands: what is too long goes on behind a backslash, as the shell has it."""
    row = f"{_TEXT}$"
    for word in _WORDS.findall(line.removeprefix(COMMAND)):
        if len(row) + len(word) + 3 > width and not row.endswith("$"):
            yield f"{row} \\"
            row = f"{_REMEDY} "
        row += f" {word}"
    yield row


def _count(findings: Sequence[Finding]) -> str:
    counts = Counter(one.state for one in findings)
    said = [_counted(counts[state], word) for state, word in _SAID if counts[state]]
    if at_fault := dict.fromkeys(one.check for one in findings if one.state is State.FAULT):
        said[0] += f" ({', '.join(at_fault)})"
    return ", ".join([*said, f"{counts[State.OK]} ok"])


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 and word != 'skipped' else ''}"
