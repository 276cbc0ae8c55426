"""Alarm transitions: what the kernels found, and the silence of devices, as results with names.

Owns what was last said of every alarm. The states of alarms proper live in the tables; those of the
built-in `<device>.silent` alarms live here.

After a start nobody knows whether an alarm that was raised before still holds, so its state is unknown
until a value says so: `newly_known` gives the alarms that turned out to be normal. One that waits out
its on_delay stays unknown; if it is raised, that is a transition like any other.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

from edge_agent.bus.outcomes import Outcome
from edge_agent.kernels.layout import A_STATE, A_VALUE, GOOD_NS, MOVE, NEVER, NORMAL, RAISED, ROW
from edge_agent.model import AlarmDef, DeviceDef, MonoNs, Severity, Site, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.process.silent import SEVERITY, Silence, alarm_name
from edge_agent.process.tables import Tables


@dataclass(frozen=True, slots=True)
class _Alarm:
    """What every transition of one alarm says alike; `key` equal in two stages: the state goes on."""

    name: str
    device: str
    point: str
    severity: Severity
    key: Hashable


def _named(alarm: AlarmDef, key: Hashable) -> _Alarm:
    return _Alarm(alarm.name, alarm.device, alarm.point, alarm.severity, key)


def _silent(device: DeviceDef) -> _Alarm:
    key = (device.bus, device.unit_id, device.name)
    return _Alarm(alarm_name(device.name), device.name, "", SEVERITY, key)


class Verdicts:
    """All alarms of one stage: those of the site in its order, then one per device."""

    def __init__(self, site: Site, tables: Tables) -> None:
        self._tables = tables
        named = zip(site.alarms, tables.alarm_keys, strict=True)
        self._alarms = [_named(alarm, key) for alarm, key in named] + [_silent(d) for d in site.devices]
        self._first_silent = len(site.alarms)
        self._silences = [Silence() for _ in site.devices]
        self._said: list[AlarmTransition] = []
        points = {(point.device, point.name): index for index, point in enumerate(site.points)}
        self._point_cells = [points[alarm.device, alarm.point] * ROW for alarm in site.alarms]
        places = {device.name: index for index, device in enumerate(site.devices)}
        self._unknown: dict[int, set[int]] = {index: set() for index in places.values()}
        """Alarms whose state is not known yet, by device."""
        for index, alarm in enumerate(self._alarms):
            self._unknown[places[alarm.device]].add(index)
        self._asked: set[int] = set()
        """Devices polled since `newly_known` was last called."""

    def begin(self, mono_ns: MonoNs, wall_ns: WallNs) -> None:
        """Nothing is raised yet, as of now."""
        self._said = [self._transition(alarm, False, None, mono_ns, wall_ns) for alarm in self._alarms]

    def take_over(self, old: Verdicts) -> None:
        """Go on with what `old` said of the alarms that are the same here."""
        said = {alarm.key: transition for alarm, transition in zip(old._alarms, old._said, strict=True)}
        unknown_before = {old._alarms[index].key for known in old._unknown.values() for index in known}
        for unknown in self._unknown.values():
            keys = {index: self._alarms[index].key for index in unknown}
            unknown -= {i for i, key in keys.items() if key in said and key not in unknown_before}
        self._said = [said.get(a.key, own) for a, own in zip(self._alarms, self._said, strict=True)]
        heard = dict(zip((a.key for a in old._alarms[old._first_silent :]), old._silences, strict=True))
        for index, alarm in enumerate(self._alarms[self._first_silent :]):
            if silence := heard.get(alarm.key):
                self._silences[index] = replace(silence)

    def moves(self, count: int, mono_ns: MonoNs, wall_ns: WallNs) -> list[AlarmTransition]:
        """The first `count` transitions in the tables' `moves`."""
        return [self._move(k * MOVE, mono_ns, wall_ns) for k in range(count)]

    def _move(self, at: int, mono_ns: MonoNs, wall_ns: WallNs) -> AlarmTransition:
        cell, move = self._tables.moves[at : at + MOVE]
        value = self._tables.state_f[cell + A_VALUE]
        # A rate between two huge values may overflow; no record carries an infinity.
        finite = value if math.isfinite(value) else None
        return self._say(self._tables.alarm_at[cell], move == RAISED, finite, mono_ns, wall_ns)

    def heard(
        self, device: int, outcome: Outcome, mono_ns: MonoNs, wall_ns: WallNs
    ) -> tuple[AlarmTransition, ...]:
        """What a poll of the device at `device` in the site's devices says about its silence."""
        silence = self._silences[device]
        self._asked.add(device)
        if not silence.hear(outcome):
            return ()
        return (self._say(self._first_silent + device, silence.active, None, mono_ns, wall_ns),)

    def newly_known(self, mono_ns: MonoNs, wall_ns: WallNs) -> list[AlarmTransition]:
        """The alarms that turned out to be normal since the last call, as repeated states."""
        found = []
        for device in self._asked:
            if unknown := self._unknown[device]:
                found += [index for index in sorted(unknown) if self._is_normal(index)]
        self._asked.clear()
        return [replace(self._say(index, False, None, mono_ns, wall_ns), repeated=True) for index in found]

    def _is_normal(self, index: int) -> bool:
        """Whether something was heard that says that this alarm is not raised."""
        if index >= self._first_silent:
            return self._silences[index - self._first_silent].failures == 0
        t = self._tables
        heard = t.state_i[self._point_cells[index] + GOOD_NS] != NEVER
        return heard and t.state_i[t.alarm_cells[index] + A_STATE] == NORMAL

    def known_states(self) -> list[AlarmTransition]:
        """`states` without the alarms that nothing was heard of yet."""
        # From the uplink's thread, while the process stage takes indexes out: each set is copied in one
        # step of the interpreter, because iterating over one that shrinks raises.
        unknown = set().union(*(indexes.copy() for indexes in self._unknown.values()))
        states = enumerate(self.states())
        return [transition for index, transition in states if index not in unknown]

    def clear_all_but(self, kept: Verdicts, mono_ns: MonoNs, wall_ns: WallNs) -> list[AlarmTransition]:
        """Clear the raised alarms that do not go on in `kept`."""
        keys = {alarm.key for alarm in kept._alarms}
        return [
            self._say(index, False, None, mono_ns, wall_ns)
            for index, alarm in enumerate(self._alarms)
            if self._said[index].active and alarm.key not in keys
        ]

    def states(self) -> list[AlarmTransition]:
        return [replace(transition, repeated=True) for transition in self._said]

    def _say(
        self, index: int, active: bool, value: float | None, mono_ns: MonoNs, wall_ns: WallNs
    ) -> AlarmTransition:
        said = self._transition(self._alarms[index], active, value, mono_ns, wall_ns)
        self._said[index] = said
        for unknown in self._unknown.values():
            unknown.discard(index)
        return said

    @staticmethod
    def _transition(
        alarm: _Alarm, active: bool, value: float | None, mono_ns: MonoNs, wall_ns: WallNs
    ) -> AlarmTransition:
        return AlarmTransition(
            alarm.name, alarm.device, alarm.point, active, value, mono_ns, wall_ns, alarm.severity
        )
