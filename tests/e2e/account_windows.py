"""The oracle's part for summaries: every window there once, and nothing in it that was not served. Pure.

A value belongs to the window in which it was read, up to `READ_NS` after it was served. So one window alone
may hold a few more or fewer than were served in its time; windows that follow each other may not, together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.model import NS
from tests.e2e.ledger import Window
from tests.e2e.verdict import EDGE_NS, READ_NS, Life, Truth, Verdict, had_to_arrive, is_covered

Spans = Sequence[tuple[int, int]]


@dataclass(slots=True)
class _Point:
    """What was served of one point, and its windows by their beginning. A window that a restart cut is told
    in two, each for what its run saw."""

    name: str
    served: Sequence[tuple[int, Any]]
    windows: dict[int, list[Window]] = field(default_factory=lambda: defaultdict(list))

    def within(self, t0: int, t1: int) -> Sequence[tuple[int, Any]]:
        first = bisect_left(self.served, t0, key=lambda one: one[0])
        return self.served[first : bisect_right(self.served, t1, key=lambda one: one[0])]

    @property
    def length(self) -> int:
        return min((window.t1 - window.t0 for parts in self.windows.values() for window in parts), default=NS)


def judge_windows(
    truth: Truth, windows: Sequence[Window], gaps: Spans, lives: Sequence[Life], verdict: Verdict
) -> None:
    points = {key: _Point(".".join(key), served) for key, served in truth.items()}
    for window in windows:
        if window.key in points:
            points[window.key].windows[window.t0].append(window)
        else:
            verdict.foreign.append(f"a window of {window.key}: no such point")
    # What came while the agent stood still was found afterwards, and counted then.
    apart = [*gaps, *((begin, end) for life in lives for begin, end in life.still)]
    for point in points.values():
        whole = [t0 for t0 in sorted(point.windows) if not is_covered(t0, t0 + point.length, apart)]
        for t0, parts in point.windows.items():
            _judge_window(point, t0, parts, t0 in whole, verdict)
        _judge_stretches(point, whole, verdict)
        _judge_absence(point, apart, lives, verdict)


def _judge_window(point: _Point, t0: int, parts: Sequence[Window], whole: bool, verdict: Verdict) -> None:
    t1 = parts[0].t1
    name = f"window of {point.name} at {t0 / NS:.3f}"
    wide = point.within(t0 - READ_NS, t1 + EDGE_NS)
    surely = len(point.within(t0 + EDGE_NS, t1 - READ_NS))
    count = sum(window.count for window in parts)
    if count > len(wide):
        verdict.doubled.append(f"{name}: {count} values, {len(wide)} were served")
    if len(parts) > 1 and whole:
        verdict.doubled.append(f"{name}: told {len(parts)} times, and nothing was interrupted")
    if whole and count + sum(window.bad for window in parts) < surely:
        verdict.lost.append(f"{name}: {count} values, {surely} were served")
    known = [value for _, value in wide]
    for extreme in [x for window in parts for x in (window.min, window.max) if x is not None]:
        if not any(abs(extreme - value) <= 1e-9 * max(1.0, abs(value)) for value in known):
            verdict.foreign.append(f"{name}: {extreme} was never served")


def _judge_stretches(point: _Point, whole: Sequence[int], verdict: Verdict) -> None:
    """Windows in a row, none of them touched by a gap: their sum, but for one value at each end."""
    rows: list[list[int]] = []
    for t0 in whole:
        if rows and rows[-1][-1] + point.length == t0:
            rows[-1].append(t0)
        else:
            rows.append([t0])
    for row in rows:
        t0, t1 = row[0], row[-1] + point.length
        total = sum(window.count + window.bad for t in row for window in point.windows[t])
        most, least = len(point.within(t0, t1)) + 2, len(point.within(t0 + 2 * EDGE_NS, t1 - 2 * EDGE_NS)) - 1
        name = f"windows of {point.name} from {t0 / NS:.3f} to {t1 / NS:.3f}: {total} values"
        if total < least:
            verdict.lost.append(f"{name}, {least} were served")
        if total > most:
            verdict.doubled.append(f"{name}, {most} were served")


def _judge_absence(point: _Point, apart: Spans, lives: Sequence[Life], verdict: Verdict) -> None:
    """A window in which something was served and nothing declared must be there."""
    length = point.length
    for t0 in {t - t % length for t, _ in point.served} - set(point.windows):
        excused = is_covered(t0, t0 + length, apart) or not had_to_arrive(t0 + length, lives)
        if not excused and point.within(t0 + EDGE_NS, t0 + length - READ_NS):
            verdict.lost.append(f"window of {point.name} at {t0 / NS:.3f}")
