"""The line of `edge-agent init`: which port, what answers on it, at which speed. Shell."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge_agent.bus.outcomes import DeviceException
from edge_agent.bus.ports import by_id, owner
from edge_agent.bus.ports.port_faults import in_use, refused
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.settings import BAUDS, Setting
from edge_agent.bus.scan.unit import Unit
from edge_agent.bus.wire.frames import exception_name
from edge_agent.cli import _scan_task, _search
from edge_agent.cli._init_task import Given
from edge_agent.cli._problems import wrong
from edge_agent.commissioning import checks, ports, terminal
from edge_agent.commissioning.terminal import Person
from edge_agent.config import values
from edge_agent.errors import EdgeAgentError, PortError
from edge_agent.model import DeviceServerLink, Framing, Parity, Rs485, SerialLink, TcpLink
from edge_agent.profiles import Library
from edge_agent.profiles.dangers import dangers


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


def of(given: Given, library: Library, person: Person, socket: Path, out: TextIO) -> Line:
    """Asks, and searches the line unless told otherwise."""
    where = _where(given, person)
    if given.scan and (not person.is_there or person.agree("Search the line for devices now?", default=True)):
        return _searched(given, where, library, person, socket, out)
    return _told(given, where, person)


# --- where ------------------------------------------------------------------------------------------


def _where(given: Given, person: Person) -> str | TcpLink:
    if given.tcp is not None:
        host, port = given.tcp
        return TcpLink(host=host, port=port)
    if given.port:
        _check_there(given.port)
        return _steadiest(given.port, person)
    return _chosen(ports.present(), person)


def _steadiest(path: str, person: Person) -> str:
    better = by_id.better_name(path)
    if better and person.agree(f"Use its steady name {better}?", default=True):
        return better
    return path


def _chosen(found: Sequence[ports.FoundPort], person: Person) -> str:
    if not person.is_there:
        there = ", ".join(one.path for one in found) or "none is seen"
        raise terminal.missing(
            "--port", "which serial port?", f"say --port PATH or --tcp HOST; there: {there}"
        )
    for number, one in enumerate(found, 1):
        person.say(f"  {number}  {one.path}")
        also = [one.device] if one.device != one.path else []
        also += [f"in use by {one.held_by}"] if one.held_by else []
        if also:
            person.say(f"     {', '.join(also)}")
    if not found:
        person.say("  No serial port is seen: is the adapter plugged in?")
    free = next((str(number) for number, one in enumerate(found, 1) if not one.held_by), "")
    known = [one.path for one in found]
    return person.ask("Port (number or path)", lambda text: _port(text, known), default=free, option="--port")


def _port(text: str, known: Sequence[str]) -> str:
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


def _searched(
    given: Given, where: str | TcpLink, library: Library, person: Person, socket: Path, out: TextIO
) -> Line:
    _warn(library, person)
    task = _task(given, where, library)
    _search.refuse_used(task, socket)
    scan = task.scan()
    with _search.stopped_by_ctrl_c() as stop:
        failure = _search.search(task, scan, stop, out)
    if failure is not None:
        raise failure
    if stop.is_set():
        raise Stopped("stopped; nothing was written")
    for hint in hints(scan, complete=True, all_settings=task.has_all_settings):
        for line in textwrap.wrap(hint, 77):
            person.say("  " + line)
    if not scan.found:
        return _silent(given, where, person)
    found = _of_one_setting(scan.found)
    link = _link(given, where, found[0].setting)
    return Line(
        link=link,
        units=tuple(unit.unit_id for unit in found),
        heard={unit.unit_id: _heard(unit) for unit in found},
        scanned=True,
    )


def _of_one_setting(found: list[Unit]) -> list[Unit]:
    """Sorted by unit id; unit ids that are reserved are for the file, by hand."""
    return sorted(
        (unit for unit in found if unit.setting == found[0].setting and unit.unit_id <= 247),
        key=lambda unit: unit.unit_id,
    )


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
            " not there yet: --device NAME=UNIT:PROFILE with one --baud and one --format, or --no-scan"
        )
    person.say("  Nothing answers.")
    if not person.agree("Go on with unit ids that you type?", default=not person.is_there):
        raise EdgeAgentError("nothing was written")
    return _told(given, where, person)


def _is_definite(given: Given, where: str | TcpLink) -> bool:
    if isinstance(where, TcpLink):
        return True
    return all(text and "," not in text and text != "all" for text in (given.baud, given.format))


def _warn(library: Library, person: Person) -> None:
    """As `scan` does: some devices restart when an address they do not have is read."""
    found = dangers(library)
    for profile_id in found.unreadable:
        person.say(f"warning: profile {profile_id} has mistakes, so it may not warn")
    if not found.kinds:
        return
    person.say("These devices can restart when an address they do not have is read:")
    for kind in found.kinds:
        person.say(f"  {kind}")
    if not person.agree("Is none of them on this line, and may it be searched?", default=not person.is_there):
        raise EdgeAgentError("not searched; nothing was written\n    hint: --no-scan asks for unit ids")


def _task(given: Given, where: str | TcpLink, library: Library) -> _scan_task.Task:
    is_serial = isinstance(where, str)
    port = where if isinstance(where, str) else f"tcp://{values.show_host_and_port(where.host, where.port)}"
    options = argparse.Namespace(
        port=port,
        baud=(given.baud or None) if is_serial else None,
        format=(given.format or None) if is_serial else None,
        units=given.units or "1-247",
        area="holding",
        address=0,
        timeout=None,
        rs485=given.rs485,
        every_setting=False,
    )
    return _scan_task.parse(options, _search.known(library))


# --- as told ----------------------------------------------------------------------------------------


def _told(given: Given, where: str | TcpLink, person: Person) -> Line:
    setting = None
    if isinstance(where, str):
        is_ascii = given.framing is Framing.ASCII
        usual = "7E1" if is_ascii else "8N1"
        # Nobody's guess is worth writing down: without a person a speed must be said.
        baud = _single("--baud", given.baud) or (str(BAUDS[0]) if person.is_there else "")
        speed = person.ask("Speed in baud", checks.speed, default=baud, option="--baud")
        parse = values.any_character_format if is_ascii else values.character_format
        format_ = person.ask(
            "Format", lambda text: parse(text.upper()), default=_single("--format", given.format) or usual,
            option="--format",
        )  # fmt: skip
        setting = Setting(speed, format_)
    named = sorted(one.unit_id for one in given.devices)
    default = given.units or ",".join(map(str, named))
    units = person.ask("Unit ids, such as 1-3,7", checks.unit_ids, default=default, option="--units")
    return Line(link=_link(given, where, setting), units=units, heard={}, scanned=False)


def _single(option: str, text: str) -> str:
    if "," in text or text == "all":
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
        parity=Parity(parity),
        stop_bits=stop_bits,
        rs485=Rs485() if given.rs485 else None,
        framing=given.framing or Framing.RTU,
    )
