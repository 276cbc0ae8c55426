"""The oracle: what a receiver has, held against what the simulator served and when the agent lived. Pure.

Every value is there once, or lies in a declared gap; every gap is explained by a time in which nobody
observed, and no longer than that by more than the format promises. Times are wall clock nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.model import NS, DeviceDef, Send, Site
from edge_agent.simulator import log
from edge_agent.simulator.encode import value_of
from edge_agent.simulator.log import Entry
from tests.e2e.account_windows import judge_windows
from tests.e2e.ledger import Change, Gap, Key, Ledger, Value
from tests.e2e.verdict import (
    EDGE_NS,
    SAME_TIME_NS,
    Life,
    Promise,
    Truth,
    Verdict,
    had_to_arrive,
    is_covered,
)


def truth_of(devices: Iterable[DeviceDef], entries: Sequence[Entry], send: Send) -> Truth:
    """What was served of every point that is sent this way."""
    return {
        (device.name, point.name): [
            (served.t_wall, value_of(point, served.words))
            for served in log.samples(entries, point, device.unit_id)
        ]
        for device in devices
        for point in device.points
        if point.send is send
    }


def judge(
    samples: Truth, summaries: Truth, ledger: Ledger, lives: Sequence[Life], promise: Promise
) -> Verdict:
    """Samples' values should be unique or hardly repeat: each is matched with the nearest equal one."""
    verdict = Verdict(stored=sum(value.good for value in ledger.values), windows=len(ledger.windows))
    covered = {stream: _covered(stream, ledger) for stream in ("sample", "summary")}
    _judge_values(samples, ledger.values, covered["sample"], lives, verdict)
    judge_windows(summaries, ledger.windows, covered["summary"], lives, verdict)
    times = sorted(t for truth in (samples, summaries) for served in truth.values() for t, _ in served)
    for gap in ledger.gaps:
        if gap.is_pause:
            _judge_pause(gap, ledger, _Past(lives, times), promise, verdict)
        else:
            verdict.losses[gap.reason] += gap.count or 0
    verdict.lost += [f"record {missing}" for missing in ledger.missing]
    return verdict


# --- gaps ----------------------------------------------------------------------------------------


def _begin(gap: Gap, ledger: Ledger) -> int:
    """From when on: where nothing of a run is certain, from where it began to observe."""
    if gap.t0 is not None:
        return gap.t0
    return min((start.t for start in ledger.starts if start.epoch == gap.epoch), default=0)


def _covered(stream: str, ledger: Ledger) -> list[tuple[int, int]]:
    return [
        (_begin(gap, ledger), gap.t1)
        for gap in ledger.gaps
        if gap.stream == stream and gap.t1 is not None
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Past:
    lives: Sequence[Life]
    times: Sequence[int]
    """When anything was served, in order."""

    def observed(self, life: Life) -> int:
        """How long a life read something: not while it started."""
        place = bisect_left(self.times, life.started)
        first = self.times[place] if place < len(self.times) else life.ended
        return max(0, life.ended - first)


def _judge_pause(gap: Gap, ledger: Ledger, past: _Past, promise: Promise, verdict: Verdict) -> None:
    """A pause lies between the end of one life and a later one, and only lives that were too short to leave
    anything behind lie in it."""
    t0, t1 = _begin(gap, ledger), gap.t1
    before = [life for life in past.lives if life.started <= t0 <= life.ended + EDGE_NS]
    after = [life for life in past.lives if t1 is not None and life.started <= t1 <= life.ended]
    if not before or not after or t1 is None or t1 < t0:
        verdict.wrong.append(f"{gap}: belongs to no pause")
        return
    over = before[0].ended - before[0].slow_ns - t0
    allowed = promise.of(before[0].end, gap.stream) + promise.slack_ns
    for life in past.lives:
        if before[0].ended < life.started and life.ended < after[0].started:
            over += max(0, past.observed(life) - life.slow_ns)
            allowed += promise.of(life.end, gap.stream)
    verdict.over[gap.stream].append(max(0, over) / NS)
    if over > allowed:
        verdict.wrong.append(f"{gap}: {over / NS:.3f} s longer than nobody observed")


# --- values --------------------------------------------------------------------------------------


def _judge_values(
    truth: Truth, values: Sequence[Value], gaps: Sequence[tuple[int, int]], lives: Sequence[Life],
    verdict: Verdict,
) -> None:  # fmt: skip
    received: dict[Key, list[Value]] = defaultdict(list)
    for value in values:
        received[value.key].append(value)
    for key, served in truth.items():
        taken = _match(key, served, received[key], verdict)
        bad = sorted(value.t for value in received.pop(key, []) if not value.good)
        verdict.served += len(served)
        for t, value in served:
            if not taken[t, value] and had_to_arrive(t, lives):
                what = f"{'.'.join(key)} = {value} served at {t / NS:.3f}"
                _explain(what, t, _read_by(t, lives), bad, gaps, verdict)
    verdict.foreign += [f"{key}: no such point" for key in received]


def _match(
    key: Key, served: Sequence[tuple[int, Any]], received: Sequence[Value], verdict: Verdict
) -> Counter[tuple[int, Any]]:
    """Which served values are there."""
    times: dict[Any, list[int]] = defaultdict(list)
    for t, value in served:
        times[value].append(t)
    taken: Counter[tuple[int, Any]] = Counter()
    for got in received:
        if not got.good:
            continue
        same = times.get(got.value, [])
        place = bisect_left(same, got.t)
        near = [t for t in same[max(0, place - 1) : place + 1] if abs(t - got.t) <= SAME_TIME_NS]
        free = [t for t in near if not taken[t, got.value]]
        if free:
            taken[min(free, key=lambda t: abs(t - got.t)), got.value] += 1
        else:
            found = verdict.doubled if near else verdict.foreign
            found.append(f"{'.'.join(key)} = {got.value} at {got.t / NS:.3f}")
    return taken


def _read_by(t: int, lives: Sequence[Life]) -> int:
    """When the agent has read what was served at `t`, at the latest."""
    ends = [end for life in lives for begin, end in life.still if begin - EDGE_NS <= t <= end]
    return max([t, *ends]) + SAME_TIME_NS


def _explain(
    what: str, t: int, read_by: int, bad: list[int], gaps: Sequence[tuple[int, int]], verdict: Verdict
) -> None:
    """Why a value is not there: declared, or bad when the agent read it, or lost."""
    if is_covered(t, t, gaps):
        verdict.in_gaps += 1
        return
    place = bisect_left(bad, t - SAME_TIME_NS)
    if place < len(bad) and bad[place] <= read_by:
        del bad[place]
        verdict.excused += 1
    else:
        verdict.lost.append(what)


def polls_made(site: Site, truth: Truth, lives: Sequence[Life]) -> float:
    """Served polls of these points, as a share of those planned while the agent lived."""
    made = planned = 0.0
    for key, served in truth.items():
        point = next(point for point in site.points if (point.device, point.name) == key)
        for life in lives:
            own = [t for t, _ in served if life.started <= t <= life.ended]
            # Planned is from the first poll on: a process needs a moment to get there.
            if own:
                made += len(own)
                planned += 1 + (life.ended - own[0]) // point.poll_ns
    return made / planned if planned else 0.0


# --- alarms --------------------------------------------------------------------------------------


def alarm_faults(truth: Sequence[tuple[int, bool]], told: Iterable[Change], name: str) -> list[str]:
    """Changes that were not true at their time, and a last state that is not the last true one.

    A change that fell into a pause of the agent may be told late, or be over before it could be told."""
    wrong, last = [], False
    for change in sorted((one for one in told if one.name == name), key=lambda one: one.t):
        before = [active for t, active in truth if t < change.t - 2 * EDGE_NS]
        about = [active for t, active in truth if abs(t - change.t) <= 2 * EDGE_NS]
        if change.active not in (before[-1:] or [False]) + about:
            wrong.append(f"{name} told {'active' if change.active else 'normal'} at {change.t / NS:.3f}")
        last = change.active
    if last != (truth[-1][1] if truth else False):
        wrong.append(f"{name} ends as {last}, which is not true")
    return wrong
