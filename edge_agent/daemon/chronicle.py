"""What happened, for the journal: changes between two looks at the agent, as messages with fields.

Pure: a look is compared with the one before. Once a second is enough for a person, and a device that
flaps faster cannot flood the journal.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.process.results import AlarmTransition


@dataclass(frozen=True, slots=True)
class Entry:
    """`fields` become fields of the journal's entry, so that `journalctl DEVICE=meter` finds it."""

    level: int
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to see: the snapshots of the buses, the known alarms, degraded parts."""

    buses: tuple[Mapping[str, Any], ...] = ()
    alarms: tuple[AlarmTransition, ...] = ()
    problems: tuple[str, ...] = ()
    lost: int = 0
    """Records lost so far, all declared."""


_NAMED = 12
"""Points listed by name in one message; the status has them all."""


class Chronicle:
    """Keeps the last look, and says what is different."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._alarms: dict[str, bool] = {}
        self._problems: tuple[str, ...] = ()
        self._lost = 0
        self._refused: set[tuple[str, str, int | None]] = set()

    def look(self, now: Look) -> list[Entry]:
        return [
            *(entry for bus in now.buses for entry in self._bus(bus)),
            *(entry for alarm in now.alarms for entry in self._alarm(alarm)),
            *self._degraded(now.problems),
            *self._losses(now.lost),
        ]

    def _bus(self, bus: Mapping[str, Any]) -> Iterator[Entry]:
        name, state = bus["name"], bus["state"]
        fields = {"BUS": name, "BUS_STATE": state}
        if self._changed(f"bus {name}", state) and state != "opening":
            if state == "open":
                yield Entry(logging.INFO, f"bus {name}: {bus['link']} is open", fields)
            else:
                hint = f"; hint: {bus['hint']}" if bus["hint"] else ""
                yield Entry(logging.WARNING, f"bus {name}: {bus['message']}{hint}", fields)
        for device in bus["devices"]:
            yield from self._device(name, device)
            yield from self._refusals(name, device)

    def _device(self, bus: str, device: Mapping[str, Any]) -> Iterator[Entry]:
        name, state = device["name"], device["state"]
        if not self._changed(f"device {name}", state) or state == "unknown":
            return
        fields = {"BUS": bus, "DEVICE": name, "UNIT_ID": str(device["unit_id"]), "DEVICE_STATE": state}
        if state == "up":
            yield Entry(logging.INFO, f"device {name} answers", fields)
        else:
            yield Entry(logging.WARNING, f"device {name} is down: {device['why']}", fields)

    def _refusals(self, bus: str, device: Mapping[str, Any]) -> Iterator[Entry]:
        """Points a device was found to refuse, each named once a run, however often that is learnt anew."""
        new: dict[str, list[str]] = {}
        for one in device.get("refused", ()):
            what = (device["name"], one["point"], one["exception"])
            if what not in self._refused:
                self._refused.add(what)
                new.setdefault(_reason(one), []).append(one["point"])
        for reason, points in new.items():
            named = ", ".join(points[:_NAMED]) + (
                f" and {len(points) - _NAMED} more" if len(points) > _NAMED else ""
            )
            fields = {"BUS": bus, "DEVICE": device["name"], "UNIT_ID": str(device["unit_id"])}
            message = f"device {device['name']} does not give {named}: {reason}; not asked again"
            hint = "hint: does this model and firmware have them? leave them out with points = [...]"
            yield Entry(logging.WARNING, f"{message}; {hint}", fields)

    def _alarm(self, alarm: AlarmTransition) -> Iterator[Entry]:
        before = self._alarms.get(alarm.name, False)
        self._alarms[alarm.name] = alarm.active
        if alarm.active == before:
            return
        fields = {"ALARM": alarm.name, "DEVICE": alarm.device, "SEVERITY": str(alarm.severity)}
        value = "" if alarm.value is None else f" at {alarm.value:.6g}"
        word = "raised" if alarm.active else "cleared"
        level = logging.WARNING if alarm.active else logging.INFO
        yield Entry(level, f"alarm {alarm.name} {word}{value}", fields)

    def _degraded(self, problems: tuple[str, ...]) -> Iterator[Entry]:
        before, self._problems = self._problems, problems
        for problem in problems:
            if problem not in before:
                yield Entry(logging.ERROR, f"degraded: {problem}")
        for problem in before:
            if problem not in problems:
                yield Entry(logging.INFO, f"no longer degraded: {problem}")

    def _losses(self, lost: int) -> Iterator[Entry]:
        new, self._lost = lost - self._lost, lost
        if new > 0:
            fields = {"LOST_RECORDS": str(new)}
            yield Entry(logging.ERROR, f"{new} records are lost; receivers are told which", fields)

    def _changed(self, what: str, state: str) -> bool:
        before = self._states.get(what)
        self._states[what] = state
        return before != state


def _reason(refused: Mapping[str, Any]) -> str:
    if refused["exception"] is None:
        return "nothing is heard although other reads are answered"
    return f"exception {refused['exception']}, {refused['name']}"
