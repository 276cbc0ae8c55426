"""The line of `edge-agent init`: which port, what answers on it, at which speed. Shell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.bus.ports import by_id, owner
from edge_agent.bus.ports.port_faults import in_use, refused
from edge_agent.bus.scan.settings import BAUDS, Setting
from edge_agent.cli import _init_search
from edge_agent.cli._init_search import Search, Where
from edge_agent.cli._init_task import Given
from edge_agent.cli._problems import wrong
from edge_agent.commissioning import checks, ports
from edge_agent.commissioning.terminal import Person, checked, told
from edge_agent.config import values
from edge_agent.errors import EdgeAgentError, PortError
from edge_agent.model import DeviceServerLink, Framing, Rs485, SerialLink, TcpLink

_EXAMPLE = "/dev/ttyUSB0"
_MANY = 20
"""Devices by TCP that no line behind a gateway has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is known of the line. `heard` says of a unit id what it answered; empty without a search."""

    link: SerialLink | TcpLink
    units: tuple[int, ...]
    heard: Mapping[int, str]
    scanned: bool


def of(given: Given, person: Person, search: Search) -> Line:
    """Asks, and searches the line unless told otherwise."""
    where = _where(given, person)
    if given.scan and _init_search.may_be_searched(search.library, person):
        units = _init_search.to_look_for(given, where, person, search.library)
        found = _init_search.found(given, where, units, person, search) if units else None
        if found is not None:
            wanted = _wanted([*found.heard], given, where, person)
            link = _link(given, where, found.setting)
            return Line(link=link, units=wanted, heard=found.heard, scanned=True)
        if units:
            _go_on_in_silence(given, where, person)
    return _as_told(given, where, person)


# --- where ------------------------------------------------------------------------------------------


def _where(given: Given, person: Person) -> Where:
    if given.tcp is not None:
        host, port = given.tcp
        return TcpLink(host=host, port=port)
    if not given.port:
        return _chosen(ports.present(), person, must_be_free=given.scan)
    if given.scan:
        _check_there(given.port)
    better = by_id.better_name(given.port)
    if better and person.agree(f"Write its steady name {better}?", default=True):
        told(person, f"{better} is {given.port}")
        return better
    return given.port


def _chosen(found: Sequence[ports.FoundPort], person: Person, *, must_be_free: bool) -> str:
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
    return person.ask(
        "Port (number or path)",
        lambda text: _port(text, known, must_be_free=must_be_free),
        default=free,
        option="--port",
    )


def _port(text: str, known: Sequence[str], *, must_be_free: bool) -> str:
    if not text.isdecimal() and not text.startswith("/"):
        raise ValueError(f"is neither a number of the list nor a path such as {_EXAMPLE}")
    path = str(checks.one_of(text, known)) if text.isdecimal() else str(checks.file_path(text))
    try:
        if must_be_free:
            _check_there(path)
    except PortError as error:
        raise ValueError(str(error).replace("\n    hint: ", "; ")) from None
    return path


def _check_there(path: str) -> None:
    try:
        Path(path).stat()
    except OSError as error:
        raise refused(path, error) from None
    if others := owner.others(path):
        raise _used_by_us(path) if any(name == "edge-agent" for _, name in others) else in_use(path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise refused(path, PermissionError(13, "Permission denied"))


def _used_by_us(path: str) -> PortError:
    return PortError(
        f"{path}: in use by a running edge-agent",
        reason="busy",
        hint="stop it first: systemctl stop edge-agent; init starts it again",
    )


# --- who is meant -----------------------------------------------------------------------------------


def _wanted(found: Sequence[int], given: Given, where: Where, person: Person) -> tuple[int, ...]:
    """Which are meant, where a device with a network socket answers as every unit id."""
    if isinstance(where, str) or len(found) < _MANY or given.units:
        return tuple(found)
    told(person, f"{len(found)} unit ids answer.")
    default = str(found[0]) if person.is_there else ""
    return person.ask("Unit ids to configure", checks.unit_ids, default=default, option="--units")


def _go_on_in_silence(given: Given, where: Where, person: Person) -> None:
    """Nothing answers. Whoever says what ought to be there may go on: the device may be switched off."""
    if not person.is_there and not (given.devices and _is_definite(given, where)):
        raise EdgeAgentError(
            "nothing answers on this line, so there is nothing to configure\n    hint: to configure what is"
            " not there yet: --device NAME=UNIT:PROFILE with one --baud and one --format"
        )
    told(person, "Nothing answers.")
    if not person.agree("Go on with unit ids that you type?", default=not person.is_there):
        raise EdgeAgentError("no configuration was written or changed")


def _is_definite(given: Given, where: Where) -> bool:
    return isinstance(where, TcpLink) or all(map(_is_single, (given.baud, given.format)))


def _is_single(text: str) -> bool:
    return bool(text) and "," not in text and text != "all"


# --- as told ----------------------------------------------------------------------------------------


def _as_told(given: Given, where: Where, person: Person) -> Line:
    """What options say is not asked again, but for unit ids that a search did not find."""
    setting = _setting(given, person) if isinstance(where, str) else None
    named = ",".join(str(unit) for unit in sorted(one.unit_id for one in given.devices))
    default = given.units or named
    if default and not given.scan:
        units = checks.unit_ids(default)
    else:
        units = person.ask("Unit ids, such as 1-3,7", checks.unit_ids, default=default, option="--units")
    return Line(link=_link(given, where, setting), units=units, heard={}, scanned=False)


def _setting(given: Given, person: Person) -> Setting:
    is_ascii = given.framing is Framing.ASCII
    read_format = values.any_character_format if is_ascii else values.character_format
    baud, format_ = _one("--baud", given.baud, given), _one("--format", given.format, given)
    if baud:
        speed = checked("--baud", checks.speed, baud)
    else:
        # Nobody's guess is worth writing down: without a person a speed must be said.
        usual = str(BAUDS[0]) if person.is_there else ""
        speed = person.ask("Speed in baud", checks.speed, default=usual, option="--baud")
    if format_:
        return Setting(speed, checked("--format", lambda text: read_format(text.upper()), format_))
    usual = "7E1" if is_ascii else "8N1"
    character = person.ask("Format", lambda text: read_format(text.upper()), default=usual, option="--format")
    return Setting(speed, character)


def _one(option: str, text: str, given: Given) -> str:
    """Empty where there is none: a list is for a search, which may have found nothing."""
    if given.scan and not _is_single(text):
        return ""
    if text and not _is_single(text):
        raise wrong(option, "must be one value where nothing is searched", text)
    return text


def _link(given: Given, where: Where, setting: Setting | None) -> SerialLink | TcpLink:
    if isinstance(where, TcpLink):
        if given.framing is None:
            return where
        baud = checked("--baud", checks.speed, given.baud) if given.baud else None
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
