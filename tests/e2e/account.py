"""The oracle: what a receiver has, held against what the simulator served and when the agent lived. Pure.

Every value is there once, or lies in a declared gap; every gap is explained by a time in which nobody
observed, and no longer than that by more than the format promises. Times are wall clock nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge_agent.model import NS, DeviceDef, Send, Site
from edge_agent.simulator import log
from edge_agent.simulator.encode import value_of
from edge_agent.simulator.log import Entry
from tests.e2e.ledger import Change, Gap, Key, Ledger, Value, Window

SAME_TIME_NS = NS
"""A value's time is when the agent read its last byte; a busy test machine is this late at worst."""
EDGE_NS = NS // 20
"""How far the clocks of two processes, each read once, may seem apart at the edge of a gap."""
START_NS = 2 * NS
"""From exec to the first record on the disk, on a busy machine."""

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
    _judge_windows(summaries, ledger.windows, covered["summary"], lives, verdict)
    for gap in ledger.gaps:
        if gap.is_pause:
            _judge_pause(gap, ledger, lives, promise, verdict)
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


def _is_covered(t0: int, t1: int, gaps: Sequence[tuple[int, int]]) -> bool:
    """Whether a gap touches the time from `t0` to `t1`."""
    return any(begin - EDGE_NS <= t1 and t0 <= end + EDGE_NS for begin, end in gaps)


def _judge_pause(gap: Gap, ledger: Ledger, lives: Sequence[Life], promise: Promise, verdict: Verdict) -> None:
    """A pause lies between the end of one life and a later one, and only lives that were too short to leave
    anything behind lie in it."""
    t0, t1 = _begin(gap, ledger), gap.t1
    before = [life for life in lives if life.started <= t0 <= life.ended + EDGE_NS]
    after = [life for life in lives if t1 is not None and life.started <= t1 <= life.ended]
    if not before or not after or t1 is None or t1 < t0:
        verdict.wrong.append(f"{gap}: belongs to no pause")
        return
    over = before[0].ended - before[0].slow_ns - t0
    allowed = promise.of(before[0].end, gap.stream) + promise.slack_ns
    for life in lives:
        if before[0].ended < life.started and life.ended < after[0].started:
            over += max(0, life.ended - life.started - START_NS)
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
            if not taken[t, value] and _had_to_arrive(t, lives):
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
    if _is_covered(t, t, gaps):
        verdict.in_gaps += 1
        return
    place = bisect_left(bad, t - SAME_TIME_NS)
    if place < len(bad) and bad[place] <= read_by:
        del bad[place]
        verdict.excused += 1
    else:
        verdict.lost.append(what)


def _had_to_arrive(t: int, lives: Sequence[Life]) -> bool:
    """All but what was served behind the last order to stop."""
    return not lives or t <= lives[-1].ended


# --- windows -------------------------------------------------------------------------------------


def _judge_windows(
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
            _judge_window(key, served, times, parts, _is_covered(t0, parts[0].t1, gaps), verdict)
        # A window in which something was served and nothing declared must be there.
        for t0 in {t - t % length for t in times}:
            edge = _is_covered(t0, t0 + length, gaps) or not _had_to_arrive(t0 + length, lives)
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
