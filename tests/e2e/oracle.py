"""What the receiver printed, held against what the simulator served. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from edge_agent.model import NS, DeviceDef, PointDef, Send, Site
from edge_agent.simulator import log
from edge_agent.simulator.encode import value_of
from edge_agent.simulator.log import Entry
from edge_agent.simulator.truth import above
from tests.e2e.rig import Run

Object = dict[str, Any]

SAME_TIME_NS = NS
"""A value's time is when the agent read its last byte; a busy test machine is this late at worst."""
BEFORE_KILL_NS = 2 * NS
"""What was served within this time before a kill may be lost, and must then be declared."""


MOST_DECLARED = 0.01


@dataclass(slots=True)
class Verdict:
    served: int
    received: int
    lost: list[str]
    """Served early enough, and not there."""
    doubled: list[str]
    foreign: list[str]
    """Received, but never served at that time for that point."""
    declared: int
    """Served, and told by the agent to have been bad at that time: on a busy test machine the simulator
    may answer later than the agent waits. Kept below `MOST_DECLARED` by the tests."""

    def good(self) -> bool:
        return (
            not (self.lost or self.doubled or self.foreign) and self.declared <= MOST_DECLARED * self.served
        )


def samples(
    devices: Iterable[DeviceDef], entries: Sequence[Entry], objects: Iterable[Object], runs: Sequence[Run]
) -> Verdict:
    """Every point of `devices`, all on one line, that sends samples. Its served values must be unique (a
    counter) or hardly repeat: each received one is matched with the nearest in time that is equal."""
    devices = tuple(devices)
    names = {device.name for device in devices}
    received: dict[tuple[str, str], list[tuple[int, Any]]] = defaultdict(list)
    bad: dict[tuple[str, str], list[int]] = defaultdict(list)
    for item in objects:
        if item["kind"] == "sample" and item["device"] in names:
            key, t = (item["device"], item["point"]), round(item["t"] * NS)
            if item["quality"] == "good":
                received[key].append((t, item["value"]))
            else:
                bad[key].append(t)
    verdict = Verdict(0, sum(map(len, received.values())), [], [], [], 0)
    for device in devices:
        for point in device.points:
            if point.send is Send.SAMPLES:
                key = (device.name, point.name)
                got = received.pop(key, [])
                _one_point(point, device.unit_id, entries, got, bad[key], runs, verdict)
    verdict.foreign.extend(f"{key}: no such point" for key in received)
    return verdict


def _one_point(
    point: PointDef,
    unit_id: int,
    entries: Sequence[Entry],
    got: list[tuple[int, Any]],
    bad: list[int],
    runs: Sequence[Run],
    verdict: Verdict,
) -> None:
    served = [(s.t_wall, value_of(point, s.words)) for s in log.samples(entries, point, unit_id)]
    by_value: dict[Any, list[int]] = defaultdict(list)
    for t_wall, value in served:
        by_value[value].append(t_wall)
    taken: Counter[tuple[Any, int]] = Counter()
    for t, value in got:
        times = by_value.get(value, [])
        place = bisect_left(times, t)
        near = [x for x in times[max(0, place - 1) : place + 1] if abs(x - t) <= SAME_TIME_NS]
        free = [x for x in near if not taken[value, x]]
        if not near:
            verdict.foreign.append(f"{point.key} = {value} at {t / NS:.3f}")
        elif not free:
            verdict.doubled.append(f"{point.key} = {value} at {t / NS:.3f}")
        else:
            taken[value, _nearest(free, t)] += 1
    for t_wall, value in served:
        if taken[value, t_wall] or not _had_to_arrive(t_wall, runs):
            continue
        if excuse := [t for t in bad if abs(t - t_wall) <= SAME_TIME_NS]:
            bad.remove(_nearest(excuse, t_wall))
            verdict.declared += 1
        else:
            verdict.lost.append(f"{point.key} = {value} served at {t_wall / NS:.3f}")
    verdict.served += len(served)


def _nearest(times: list[int], t: int) -> int:
    return min(times, key=lambda x: abs(x - t))


def _had_to_arrive(t_wall: int, runs: Sequence[Run]) -> bool:
    """Whether a value served at `t_wall` was early enough before the end of the run that read it.

    At an orderly end nothing may be lost but a reply that came while the agent was told to stop."""
    for run in runs:
        if run.started <= t_wall <= run.ended + NS // 2:
            margin = BEFORE_KILL_NS if run.killed else 0
            return t_wall < run.ended - margin
    return False


def undeclared_gaps(objects: Iterable[Object], runs: Sequence[Run]) -> list[str]:
    """Gaps that are not those of a pause between two runs, or that are longer than the time in which
    nothing was observed (from a run's end to where the next one observes) and two seconds."""
    wrong = []
    for item in objects:
        if item["kind"] != "gap":
            continue
        if item["t0"] is None:
            wrong.append(f"{item}: nothing of the run before is certain")
            continue
        t0, t1 = item["t0"] * NS, item["t1"] * NS
        for before, after in pairwise(runs):
            if after.started <= t1 <= after.ended and t0 <= before.ended + NS // 10:
                if t0 < before.ended - BEFORE_KILL_NS:
                    wrong.append(f"{item}: begins {(before.ended - t0) / NS:.2f} s before the end")
                break
        else:
            wrong.append(f"{item}: belongs to no pause")
    return wrong


def alarm_truth(site: Site, entries: Sequence[Entry], name: str) -> list[tuple[int, bool]]:
    """(wall time in ns, active) of each change of an `above` alarm without delays, by what was served."""
    alarm = next(alarm for alarm in site.alarms if alarm.name == name)
    point, unit_id = next(
        (point, device.unit_id)
        for device in site.devices
        for point in device.points
        if (device.name, point.name) == (alarm.device, alarm.point)
    )
    values = list(log.samples(entries, point, unit_id))
    walls = {value.t_mono: value.t_wall for value in values}
    changes: list[tuple[int, bool]] = []
    for spell in above(values, point, alarm.high, alarm.deadband):
        changes.append((walls[spell.first], True))
        if spell.over is not None:
            changes.append((walls[spell.over], False))
    return changes
