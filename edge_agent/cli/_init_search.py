"""The search of `edge-agent init`: what answers on a line, at which speed. Shell around `_search`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_agent.bus.outcomes import DeviceException
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.settings import Setting
from edge_agent.bus.scan.unit import Unit
from edge_agent.bus.wire.frames import exception_name
from edge_agent.cli import _scan_task, _search
from edge_agent.cli._init_task import Given
from edge_agent.commissioning import checks
from edge_agent.commissioning.checks import HIGHEST_UNIT
from edge_agent.commissioning.terminal import Person, told
from edge_agent.config import values
from edge_agent.errors import EdgeAgentError
from edge_agent.model import TcpLink
from edge_agent.profiles import Library
from edge_agent.profiles.dangers import dangers

ALL = f"1-{HIGHEST_UNIT}"
Where = str | TcpLink
"""A port's path, or an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search needs beside what was given."""

    library: Library
    socket: Path
    out: TextIO


@dataclass(frozen=True, slots=True)
class Found:
    setting: Setting | None
    """None: by TCP."""
    heard: Mapping[int, str]
    """By unit id, in their order: what was answered."""


class Stopped(EdgeAgentError):
    """Ctrl-C during the search."""

    exit_status = 130


def may_be_searched(library: Library, person: Person) -> bool:
    """As `scan` asks: some devices restart when an address they do not have is read."""
    found = dangers(library)
    for profile_id in found.unreadable:
        told(person, f"warning: profile {profile_id} has mistakes, so it may not warn")
    if not found.kinds:
        return True
    told(person, "These devices can restart when an address they do not have is read:")
    for kind in found.kinds:
        told(person, kind, "    ")
    return person.agree("Is none of them on this line, and may it be searched?", default=not person.is_there)


def to_look_for(given: Given, where: Where, person: Person, library: Library) -> str:
    """Unit ids to look for; empty where nothing is to be sent."""
    named = ",".join(str(one.unit_id) for one in given.devices)
    units = given.units or ALL
    units = ",".join(map(str, sorted({*checks.unit_ids(units), *(checks.unit_ids(named) if named else ())})))
    task = _task(given, where, units, library)
    told(person, f"To find the devices, {_search.intention(task, task.scan())}.")
    told(person, "Only reads are sent. Ctrl-C ends the search.")
    if not person.is_there:
        return units
    question = "Search the line (y, n, or unit ids such as 1-32)"
    return person.ask(question, lambda text: _answer(text, units), default="y", option="--no-scan")


def _answer(text: str, units: str) -> str:
    if text.lower() in ("y", "yes"):
        return units
    if text.lower() in ("n", "no"):
        return ""
    checks.unit_ids(text)
    return text


def found(given: Given, where: Where, units: str, person: Person, search: Search) -> Found | None:
    """What answers; None when nothing does. Raises PortError, and Stopped after Ctrl-C."""
    task = _task(given, where, units, search.library)
    _search.refuse_used(task, search.socket)
    scan = task.scan()
    if len(task.units) < len(checks.unit_ids(given.units or ALL)):
        told(person, f"{_search.intention(task, scan)}.")
    with _search.stopped_by_ctrl_c() as stop:
        failure = _search.search(task, scan, stop, search.out)
    if failure is not None:
        raise failure
    if stop.is_set():
        person.say()  # past the ^C
        if not scan.found or not person.agree("Go on with what was found?", default=False):
            raise Stopped("stopped; no configuration was written or changed")
    for hint in hints(scan, complete=not stop.is_set(), all_settings=task.has_all_settings):
        told(person, hint)
    units_found = _of_one_setting(scan)
    if not units_found:
        return None
    return Found(units_found[0].setting, {unit.unit_id: _heard(unit) for unit in units_found})


def _of_one_setting(scan: Scan) -> list[Unit]:
    """Those at the setting of the first that answered: a line has one."""
    found = [unit for unit in scan.found if unit.unit_id <= HIGHEST_UNIT]
    return sorted((unit for unit in found if unit.setting == found[0].setting), key=lambda unit: unit.unit_id)


def _heard(unit: Unit) -> str:
    answer = unit.answers[-1]
    if isinstance(answer, DeviceException):
        return f"exception {answer.code}, {exception_name(answer.code)}, to holding register 0"
    return f"holding register 0 is 0x{answer.data.hex()}"


def _task(given: Given, where: Where, units: str, library: Library) -> _scan_task.Task:
    """What `edge-agent scan` would be told."""
    is_serial = isinstance(where, str)
    port = where if isinstance(where, str) else f"tcp://{values.show_host_and_port(where.host, where.port)}"
    options = argparse.Namespace(
        port=port,
        baud=(given.baud or None) if is_serial else None,
        format=(given.format or None) if is_serial else None,
        units=units,
        area="holding",
        address=0,
        timeout=None,
        rs485=given.rs485,
        every_setting=False,
    )
    return _scan_task.parse(options, _search.known(library))
