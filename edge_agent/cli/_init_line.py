"""The line of `edge-agent init`: which port, what answers on it, at which speed. Shell."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_agent.bus.outcomes import DeviceException
from edge_agent.bus.ports import by_id, owner
from edge_agent.bus.ports.port_faults import in_use, refused
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.settings import BAUDS, Setting
from edge_agent.bus.scan.unit import Unit
from edge_agent.bus.wire.frames import exception_name
from edge_agent.cli import _scan_task, _search
from edge_agent.cli._init_task import Given
from edge_agent.cli._problems import wrong
from edge_agent.commissioning import checks, ports, terminal
from edge_agent.commissioning.terminal import Person, told
from edge_agent.config import values
from edge_agent.errors import EdgeAgentError, PortError
from edge_agent.model import DeviceServerLink, Framing, Rs485, SerialLink, TcpLink
from edge_agent.profiles import Library
from edge_agent.profiles.dangers import dangers

_EXAMPLE = "/dev/ttyUSB0"
_HIGHEST_UNIT = 247
"""Beyond it unit ids are reserved: who has such a device writes it into the file."""
_ALL = f"1-{_HIGHEST_UNIT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is known of the line. `heard` says of a unit id what it answered; empty without a search."""

    link: SerialLink | TcpLink
    units: tuple[int, ...]
    heard: dict[int, str]
    scanned: bool


class Stopped(EdgeAgentError):
    """Ctrl-C during the search."""

    exit_status = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search needs beside what was given."""

    library: Library
    socket: Path
    out: TextIO


def of(given: Given, person: Person, search: Search) -> Line:
    """Asks, and searches the line unless told otherwise."""
    where = _where(given, person)
    if not given.scan or not _may_be_searched(search.library, person):
        return _as_told(given, where, person)
    units = _to_look_for(given, where, person, search.library)
    return _searched(given, where, units, person, search) if units else _as_told(given, where, person)


# --- where ------------------------------------------------------------------------------------------


def _where(given: Given, person: Person) -> str | TcpLink:
    if given.tcp is not None:
        host, port = given.tcp
        return TcpLink(host=host, port=port)
    if not given.port:
        return _chosen(ports.present(), person)
    if given.scan:
        _check_there(given.port)
    better = by_id.better_name(given.port)
    if better and person.agree(f"Write its steady name {better}?", default=True):
        told(person, f"{better} is {given.port}")
        return better
    return given.port


def _chosen(found: Sequence[ports.FoundPort], person: Person) -> str:
    if not person.is_there:
        there = ", ".join(one.path for one in found) or "none is seen"
        hint = f"say --port PATH or --tcp HOST; there: {there}"
        raise terminal.missing("--port", "which serial port?", hint)
    for number, one in enumerate(found, 1):
        person.say(f"  {number}  {one.path}")
        also = [one.device] if one.device != one.path else []
        also += [f"in use by {one.held_by}"] if one.held_by else []
        if also:
            told(person, ", ".join(also), "     ")
    if not found:
        told(person, "No serial port is seen: is the adapter plugged in?")
    free = next((str(number) for number, one in enumerate(found, 1) if not one.held_by), "")
    known = [one.path for one in found]
    return person.ask("Port (number or path)", lambda text: _port(text, known), default=free, option="--port")


def _port(text: str, known: Sequence[str]) -> str:
    if not text.isdecimal() and not text.startswith("/"):
        raise ValueError(f"is neither a number of the list nor a path such as {_EXAMPLE}")
    path = str(checks.one_of(text, known)) if text.isdecimal() else str(checks.file_path(text))
    try:
        _check_there(path)
    except PortError as error:
        raise ValueError(str(error).replace("\n    hint: ", "; ")) from None
    return path


def _check_there(path: str) -> None:
    try:
        Path(path).stat()
    except OSError as error:
        raise refused(path, error) from None
    if owner.others(path):
        raise in_use(path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise refused(path, PermissionError(13, "Permission denied"))


# --- by search --------------------------------------------------------------------------------------


def _may_be_searched(library: Library, person: Person) -> bool:
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


def _to_look_for(given: Given, where: str | TcpLink, person: Person, library: Library) -> str:
    """Unit ids to look for; empty where nothing is to be sent."""
    named = ",".join(str(one.unit_id) for one in given.devices)
    units = given.units or _ALL
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


def _searched(given: Given, where: str | TcpLink, units: str, person: Person, search: Search) -> Line:
    task = _task(given, where, units, search.library)
    _search.refuse_used(task, search.socket)
    scan = task.scan()
    if len(task.units) < len(checks.unit_ids(given.units or _ALL)):
        told(person, f"{_search.intention(task, scan)}.")
    with _search.stopped_by_ctrl_c() as stop:
        failure = _search.search(task, scan, stop, search.out)
    if failure is not None:
        raise failure
    if stop.is_set():
        person.say()  # past the ^C
    if stop.is_set() and not (scan.found and person.agree("Go on with what was found?", default=False)):
        raise Stopped("stopped; no configuration was written or changed")
    for hint in hints(scan, complete=not stop.is_set(), all_settings=task.has_all_settings):
        told(person, hint)
    found = _of_one_setting(scan)
    if not found:
        return _silent(given, where, person)
    return Line(
        link=_link(given, where, found[0].setting),
        units=tuple(unit.unit_id for unit in found),
        heard={unit.unit_id: _heard(unit) for unit in found},
        scanned=True,
    )


def _of_one_setting(scan: Scan) -> list[Unit]:
    """Those at the setting of the first that answered: a line has one."""
    found = [unit for unit in scan.found if unit.unit_id <= _HIGHEST_UNIT]
    return sorted((unit for unit in found if unit.setting == found[0].setting), key=lambda unit: unit.unit_id)


def _heard(unit: Unit) -> str:
    answer = unit.answers[-1]
    if isinstance(answer, DeviceException):
        return f"exception {answer.code}, {exception_name(answer.code)}, to holding register 0"
    return f"holding register 0 is 0x{answer.data.hex()}"


def _silent(given: Given, where: str | TcpLink, person: Person) -> Line:
    """Nothing answers. Whoever says what ought to be there may go on: the device may be switched off."""
    if not person.is_there and not (given.devices and _is_definite(given, where)):
        raise EdgeAgentError(
            "nothing answers on this line, so there is nothing to configure\n    hint: to configure what is"
            " not there yet: --device NAME=UNIT:PROFILE with one --baud and one --format"
        )
    told(person, "Nothing answers.")
    if not person.agree("Go on with unit ids that you type?", default=not person.is_there):
        raise EdgeAgentError("no configuration was written or changed")
    return _as_told(given, where, person)


def _is_definite(given: Given, where: str | TcpLink) -> bool:
    return isinstance(where, TcpLink) or all(map(_is_single, (given.baud, given.format)))


def _is_single(text: str) -> bool:
    return bool(text) and "," not in text and text != "all"


def _task(given: Given, where: str | TcpLink, units: str, library: Library) -> _scan_task.Task:
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


# --- as told ----------------------------------------------------------------------------------------


def _as_told(given: Given, where: str | TcpLink, person: Person) -> Line:
    setting = _setting(given, person) if isinstance(where, str) else None
    default = given.units or ",".join(str(unit) for unit in sorted(one.unit_id for one in given.devices))
    units = person.ask("Unit ids, such as 1-3,7", checks.unit_ids, default=default, option="--units")
    return Line(link=_link(given, where, setting), units=units, heard={}, scanned=False)


def _setting(given: Given, person: Person) -> Setting:
    is_ascii = given.framing is Framing.ASCII
    # Nobody's guess is worth writing down: without a person a speed must be said.
    baud = _one("--baud", given.baud) or (str(BAUDS[0]) if person.is_there else "")
    speed = person.ask("Speed in baud", checks.speed, default=baud, option="--baud")
    parse = values.any_character_format if is_ascii else values.character_format
    usual = _one("--format", given.format) or ("7E1" if is_ascii else "8N1")
    character = person.ask("Format", lambda text: parse(text.upper()), default=usual, option="--format")
    return Setting(speed, character)


def _one(option: str, text: str) -> str:
    if text and not _is_single(text):
        raise wrong(option, "must be one value where nothing is searched", text)
    return text


def _link(given: Given, where: str | TcpLink, setting: Setting | None) -> SerialLink | TcpLink:
    if isinstance(where, TcpLink):
        if given.framing is None:
            return where
        baud = checks.speed(given.baud) if given.baud else None
        return DeviceServerLink(host=where.host, port=where.port, framing=given.framing, baud=baud)
    assert setting is not None, "a serial line has a speed"
    data_bits, parity, stop_bits = setting.format
    return SerialLink(
        path=where,
        baud=setting.baud,
        data_bits=data_bits,
        parity=parity,
        stop_bits=stop_bits,
        rs485=Rs485() if given.rs485 else None,
        framing=given.framing or Framing.RTU,
    )
