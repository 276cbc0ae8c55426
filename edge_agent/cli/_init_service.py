"""The end of `edge-agent init`: the plan, the service, and the first values. Shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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
from edge_agent.commissioning.terminal import Person
from edge_agent.config.values import show_host_and_port
from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import ServiceError
from edge_agent.model import NS, MonoNs, SerialLink, TcpLink

PATIENCE_NS = 30 * NS
"""For every device to have answered; slow points come later than that anyway."""
_EVERY_NS = NS


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    word: str
    """running, failed, or left: not started by us."""
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
    yield (
        f"  {len(bus.devices)} devices, {sum(len(device.points) for device in bus.devices)} points,"
        f" {forecast.requests_per_s:.1f} requests/s, load {forecast.load:.0%} of {bus.max_load:.0%}"
    )
    if answers.pace > 1:
        yield f"  every period is {answers.pace} times its default: the line is too slow for more"
    if forecast.is_overloaded:
        yield f"  ! still too much: {advice(forecast)}"


def link_data(link: SerialLink | TcpLink) -> dict[str, Any]:
    if isinstance(link, SerialLink):
        format_ = f"{link.data_bits}{link.parity.value}{link.stop_bits}"
        return {"port": link.path, "baud": link.baud, "format": format_}
    return {"tcp": show_host_and_port(link.host, link.port)}


def begin(options: argparse.Namespace, given: Given, person: Person, socket: Path, clock: Clock) -> State:
    """Start the service and show what comes, unless it is not ours to start."""
    by_hand = f"edge-agent run --config {given.config}"
    if options.no_service:
        return _left(person, f"not started (--no-service); by hand: {by_hand}")
    if not service.is_managed():
        return _left(person, f"this machine is not run by systemd; start it with: {by_hand}")
    if given.config != CONFIG:
        return _left(person, f"the service reads {CONFIG} only; start this one with: {by_hand}")
    person.say("  Starting ...")
    try:
        service.enable_now()
    except ServiceError as error:
        person.say(f"  it does not start: {error}")
        return State(word="failed", message=str(error).partition("\n")[0])
    return _watched(person, socket, clock)


def _left(person: Person, why: str) -> State:
    person.say(f"  {why}")
    return State(word="left", message=why)


def _watched(person: Person, socket: Path, clock: Clock) -> State:
    """Until every device has been answered for, or the time is over."""
    until = clock.mono_ns() + PATIENCE_NS
    snapshot: dict[str, Any] | None = None
    why = ""
    while clock.mono_ns() < until:
        try:
            snapshot = status.fetch(socket)
        except NoAgent as error:
            why = str(error).partition("\n")[0]
        if snapshot is not None and _all_answer(snapshot):
            break
        clock.sleep_until(MonoNs(clock.mono_ns() + _EVERY_NS))
    if snapshot is None:
        person.say(f"  it was started, and does not say how it is: {why}")
        return State(word="running", message=why)
    for line in [*_view.overview(snapshot, 79), "", *_view.values(snapshot)]:
        person.say(line)
    person.say(
        "\nnext: edge-agent watch    live values\n      edge-agent doctor   whether all is as it should be"
    )
    return State(word="running", devices=dict(_states(snapshot)))


def _all_answer(snapshot: dict[str, Any]) -> bool:
    return all(state == "up" for _, state in _states(snapshot))


def _states(snapshot: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for bus in snapshot["buses"]:
        for device in bus["devices"]:
            yield device["name"], device["state"]
