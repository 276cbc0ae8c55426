"""Alarm transitions: what the kernels found, and the silence of devices, as results with names.

Owns what was last said of every alarm. The states of alarms proper live in the tables; those of the
built-in `<device>.silent` alarms live here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

from edge_agent.bus.outcomes import Outcome
from edge_agent.kernels.layout import A_VALUE, MOVE, RAISED
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

    def begin(self, mono_ns: MonoNs, wall_ns: WallNs) -> None:
        """Nothing is raised yet, as of now."""
        self._said = [self._transition(alarm, False, None, mono_ns, wall_ns) for alarm in self._alarms]

    def take_over(self, old: Verdicts) -> None:
        """Go on with what `old` said of the alarms that are the same here."""
        said = {alarm.key: transition for alarm, transition in zip(old._alarms, old._said, strict=True)}
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
        if not silence.hear(outcome):
            return ()
        return (self._say(self._first_silent + device, silence.active, None, mono_ns, wall_ns),)

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
        return said

    @staticmethod
    def _transition(
        alarm: _Alarm, active: bool, value: float | None, mono_ns: MonoNs, wall_ns: WallNs
    ) -> AlarmTransition:
        return AlarmTransition(
            alarm.name, alarm.device, alarm.point, active, value, mono_ns, wall_ns, alarm.severity
        )
