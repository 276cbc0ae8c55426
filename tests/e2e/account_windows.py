"""The oracle's part for summaries: every window there once, and nothing in it that was not served. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from edge_agent.model import NS
from tests.e2e.ledger import Key, Window
from tests.e2e.verdict import EDGE_NS, Life, Truth, Verdict, had_to_arrive, is_covered


def judge_windows(
    truth: Truth, windows: Sequence[Window], gaps: Sequence[tuple[int, int]], lives: Sequence[Life],
    verdict: Verdict,
) -> None:  # fmt: skip
    by_place: dict[Key, dict[int, list[Window]]] = defaultdict(lambda: defaultdict(list))
    for window in windows:
        by_place[window.key][window.t0].append(window)
    for key, served in truth.items():
        times = [t for t, _ in served]
        own = by_place.pop(key, {})
        length = min((window.t1 - window.t0 for one in own.values() for window in one), default=NS)
        for t0, parts in own.items():
            _judge_window(key, served, times, parts, is_covered(t0, parts[0].t1, gaps), verdict)
        # A window in which something was served and nothing declared must be there.
        for t0 in {t - t % length for t in times}:
            edge = is_covered(t0, t0 + length, gaps) or not had_to_arrive(t0 + length, lives)
            inside = bisect_left(times, t0 + length - 2 * EDGE_NS) - bisect_right(times, t0 + 2 * EDGE_NS)
            if t0 not in own and not edge and inside > 0:
                verdict.lost.append(f"window of {'.'.join(key)} at {t0 / NS:.3f}")
    verdict.foreign += [f"windows of {key}: no such point" for key in by_place]


def _judge_window(
    key: Key, served: Sequence[tuple[int, Any]], times: Sequence[int], parts: Sequence[Window], touched: bool,
    verdict: Verdict,
) -> None:  # fmt: skip
    """`parts`: a window that a restart cut is told in two, each for what its run saw."""
    t0, t1 = parts[0].t0, parts[0].t1
    name = f"window of {'.'.join(key)} at {t0 / NS:.3f}"
    wide = served[bisect_left(times, t0 - 2 * EDGE_NS) : bisect_right(times, t1 + 2 * EDGE_NS)]
    surely = bisect_left(times, t1 - 2 * EDGE_NS) - bisect_right(times, t0 + 2 * EDGE_NS)
    count = sum(window.count for window in parts)
    if count > len(wide):
        verdict.doubled.append(f"{name}: {count} values, {len(wide)} were served")
    if len(parts) > 1 and not touched:
        verdict.doubled.append(f"{name}: told {len(parts)} times, and nothing was interrupted")
    if not touched and count + sum(window.bad for window in parts) < surely:
        verdict.lost.append(f"{name}: {count} values, {surely} were served")
    known = [value for _, value in wide]
    for extreme in [x for window in parts for x in (window.min, window.max) if x is not None]:
        if not any(abs(extreme - value) <= 1e-9 * max(1.0, abs(value)) for value in known):
            verdict.foreign.append(f"{name}: {extreme} was never served")
