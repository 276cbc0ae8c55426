"""What the alarms should have said: from the scripted events, and from the values that were served.

Pure. Two sources, because they answer two questions: what happened in the plant (`event_intervals`),
and what a master could know of it from the replies it was given (`above`, `transitions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_agent.model import NS, AlarmDef, AlarmKind, MonoNs, PointDef
from edge_agent.simulator.device import SimDevice
from edge_agent.simulator.encode import value_of
from edge_agent.simulator.log import Sample
from edge_agent.simulator.signals import Counter, Text, events


@dataclass(frozen=True, slots=True)
class EventInterval:
    """A scripted event: the time in which its addition was in the signal."""

    device: str
    point: str
    begin: MonoNs
    end: MonoNs


def event_intervals(
    devices: Iterable[SimDevice], start: MonoNs, t0: MonoNs, t1: MonoNs
) -> Iterator[EventInterval]:
    """Scripted events that touch [t0, t1) of a simulator that began at `start`."""
    for device in devices:
        for entry in device.points:
            if isinstance(entry.signal, (Counter, Text)):
                continue
            for event in events(entry.signal):
                for begin, end in event.intervals((t0 - start) / NS, (t1 - start) / NS):
                    begin_ns, end_ns = MonoNs(start + round(begin * NS)), MonoNs(start + round(end * NS))
                    yield EventInterval(device.name, entry.point.name, begin_ns, end_ns)


def event_edges(
    devices: Iterable[SimDevice], start: MonoNs, t0: MonoNs, t1: MonoNs
) -> list[tuple[MonoNs, str, EventInterval]]:
    """Beginnings and ends (`"begin"`, `"end"`) of scripted events within [t0, t1), in order."""
    edges = []
    for interval in event_intervals(devices, start, t0, t1):
        edges += [(interval.begin, "begin", interval), (interval.end, "end", interval)]
    return sorted((edge for edge in edges if t0 <= edge[0] < t1), key=lambda edge: edge[0])


@dataclass(frozen=True, slots=True)
class Spell:
    """A run of served values for which a condition held."""

    first: MonoNs
    """The first value for which it held,"""
    last: MonoNs
    """the last one,"""
    over: MonoNs | None
    """and the first for which it no longer held; None: it held to the end."""


def spells(
    values: Sequence[Sample], point: PointDef, holds: Callable[[float], bool], ends: Callable[[float], bool]
) -> Iterator[Spell]:
    """Runs that begin with a value for which `holds` and are over with one for which `ends`.

    Two conditions, so that an alarm's deadband can be expressed. Values that say "no value" count as
    neither.
    """
    first = last = None
    for sample in values:
        value = value_of(point, sample.words)
        if value is None or isinstance(value, str):
            continue
        if first is None:
            if holds(value):
                first = last = sample.t_mono
        elif ends(value):
            yield Spell(first, last or first, sample.t_mono)
            first = None
        else:
            last = sample.t_mono
    if first is not None:
        yield Spell(first, last or first, None)


def above(values: Sequence[Sample], point: PointDef, limit: float, deadband: float = 0.0) -> list[Spell]:
    """When the served values were above `limit`, until they fell to `limit - deadband` or below."""
    return list(spells(values, point, lambda value: value > limit, lambda value: value <= limit - deadband))


@dataclass(frozen=True, slots=True)
class Transition:
    t_mono: MonoNs
    active: bool
    value: float
    """The value that raised or cleared it."""


def transitions(values: Sequence[Sample], point: PointDef, alarm: AlarmDef) -> list[Transition]:
    """When `alarm` on the raw value must be raised and cleared by a master that got all `values`.

    Written from what an alarm promises, not from the agent's code. Delays count from the first value
    of a run that asks for the change; a master that missed polls in between decides later.
    """
    found: list[Transition] = []
    active, since = False, None
    for sample in values:
        value = value_of(point, sample.words)
        if value is None or isinstance(value, str):
            continue
        if _holds(alarm, value, alarm.deadband if active else 0.0) == active:
            since = None
            continue
        since = sample.t_mono if since is None else since
        if sample.t_mono - since >= (alarm.off_delay_ns if active else alarm.on_delay_ns):
            active, since = not active, None
            found.append(Transition(sample.t_mono, active, value))
    return found


def _holds(alarm: AlarmDef, value: float, slack: float) -> bool:
    match alarm.kind:
        case AlarmKind.ABOVE:
            return value > alarm.high - slack
        case AlarmKind.BELOW:
            return value < alarm.low + slack
        case AlarmKind.OUTSIDE:
            return value > alarm.high - slack or value < alarm.low + slack
        case AlarmKind.EQUALS:
            return abs(value - alarm.low) <= slack
        case AlarmKind.RATE_ABOVE:
            raise ValueError("a rate depends on which polls were made: there is no truth of the log alone")
