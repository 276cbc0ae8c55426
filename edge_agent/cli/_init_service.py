"""The end of `edge-agent init`: the plan, the service, and the first values. Shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent import service
from edge_agent.bus.plan.forecast import Forecast
from edge_agent.bus.plan.overload import advice
from edge_agent.bus.report import describe_link
from edge_agent.cli import _view
from edge_agent.cli._init_task import CONFIG, Given
from edge_agent.clock import Clock
from edge_agent.commissioning.answers import Answers
from edge_agent.commissioning.terminal import WIDTH, Person, told
from edge_agent.commissioning.toml_text import harmless
from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import ServiceError
from edge_agent.model import NS, MonoNs

PATIENCE_NS = 30 * NS
"""For every device to have answered; slow points come later than that anyway."""
_EVERY_NS = NS // 2
_VALUES_OF_ONE = 6
_VALUES = 60
"""Shown at the end: to see that they are right, not to read them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    word: str
    """`running`, `failed`, or `left`: not started by us."""
    message: str = ""
    devices: dict[str, str] = field(default_factory=dict)
    """State by name."""

    @property
    def is_well(self) -> bool:
        return self.word != "failed"


def plan(forecast: Forecast, answers: Answers) -> Iterator[str]:
    """What the configuration asks of the line, before it is asked."""
    bus = forecast.bus
    yield f"  bus {bus.name}  {describe_link(bus)}"
    devices, points = len(bus.devices), sum(len(device.points) for device in bus.devices)
    yield (
        f"  {devices} device{'s' if devices > 1 else ''}, {points} point{'s' if points > 1 else ''},"
        f" {forecast.requests_per_s:.1f} requests/s: {forecast.load:.0%} of the line's time"
        f" (limit {bus.max_load:.0%})"
    )
    if answers.pace > 1:
        yield f"  every period is {answers.pace} times its default: the line is too slow for more"
    if forecast.is_overloaded:
        yield f"  ! still too much: {advice(forecast)}"


def begin(given: Given, person: Person, socket: Path, clock: Clock, *, start: bool) -> State:
    """Start the service and show what comes, unless it is not ours to start."""
    by_hand = f"edge-agent run --config {given.config}"
    if not start:
        return _left(person, "Not started, as --no-service says. By hand:", by_hand)
    if not service.is_managed():
        return _left(person, "This machine is not run by systemd. Start it with:", by_hand)
    if given.config != CONFIG:
        return _left(person, f"The service reads {CONFIG} only. Start this one with:", by_hand)
    told(person, "Starting it, now and at every boot ...")
    try:
        service.enable_now()
    except ServiceError as error:
        return _failed(person, error)
    return _watched(person, socket, clock)


def _left(person: Person, why: str, command: str) -> State:
    told(person, why)
    person.say(f"    {command}")
    return State(word="left", message=f"{why} {command}")


def _failed(person: Person, error: ServiceError) -> State:
    """What the service itself said is more use than that systemd saw it fail."""
    told(person, "It does not start:")
    said = service.journal()
    for line in said or str(error).splitlines():
        told(person, harmless(line, 400), "    ")
    told(person, "The configuration stays. When that is mended: systemctl restart edge-agent")
    return State(word="failed", message="; ".join(said[-3:]) or str(error).partition("\n")[0])


def _watched(person: Person, socket: Path, clock: Clock) -> State:
    """Until every device has answered, or the time is over."""
    told(person, "It runs. Waiting for the devices, half a minute at most ...")
    until = clock.mono_ns() + PATIENCE_NS
    snapshot: Mapping[str, Any] | None = None
    why, up = "", set[str]()
    while clock.mono_ns() < until:
        try:
            snapshot = status.fetch(socket)
        except NoAgent as error:
            why = str(error).partition("\n")[0]
        else:
            up |= _greet(person, snapshot, up)
            if all(state == "up" for state in states(snapshot).values()):
                break
        clock.sleep_until(MonoNs(clock.mono_ns() + _EVERY_NS))
    if snapshot is None:
        told(person, f"It does not say how it is: {why}")
        return State(word="running", message=why)
    _show(person, snapshot)
    return State(word="running", devices=states(snapshot))


def _greet(person: Person, snapshot: Mapping[str, Any], known: set[str]) -> set[str]:
    """Say who answers since the last look."""
    new = {name for name, state in states(snapshot).items() if state == "up"} - known
    for name in sorted(new):
        told(person, f"{name} answers")
    return new


def _show(person: Person, snapshot: Mapping[str, Any]) -> None:
    person.say()
    few, left = _few(snapshot)
    for line in [*_view.overview(snapshot, WIDTH), "", *_view.values(few)]:
        if len(line) > WIDTH:
            told(person, line, "")
        else:
            person.say(line)
    person.say(f"... {left} more\n" if left else "")
    if any(state != "up" for state in states(snapshot).values()):
        told(person, "Not every device answers: the lines with ! say why.", "")
    person.say("next: edge-agent doctor    is everything as it should be?")
    person.say("      edge-agent watch     live values")


def _few(snapshot: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    """With the first values of each device, and how many more there are."""
    shown: list[Any] = []
    by_device: dict[str, int] = {}
    for point in snapshot["points"]:
        place = by_device[point["device"]] = by_device.get(point["device"], 0) + 1
        if place <= _VALUES_OF_ONE and len(shown) < _VALUES:
            shown.append(point)
    return {**snapshot, "points": shown}, len(snapshot["points"]) - len(shown)


def states(snapshot: Mapping[str, Any]) -> dict[str, str]:
    return {device["name"]: device["state"] for bus in snapshot["buses"] for device in bus["devices"]}
