"""The language of the command socket: one JSON object a line each way. Pure.

A command reads a device, or gives up records of the spool. Whatever bytes come, `parse` returns a command
within all limits, or raises CommandError with what is wrong; docs/commands.md describes both directions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    Values,
)
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS, Area
from edge_agent.spool.house import MEASUREMENTS

MAX_LINE = 4096
"""Bytes of a command; the longest that means anything is a tenth of it."""
_MAX_NAME = 1024
PATIENCE_NS = 30 * NS
"""So long a command waits for its bus: longer than any transaction with a device that is not extreme."""
LONGEST_TIMEOUT_NS = 60 * NS
"""The most that `timeout` of a bus or `response_timeout` of a device can be."""


class CommandError(EdgeAgentError):
    """A command that is not carried out. `reason`: malformed, unknown, forbidden, full, late, failed."""

    def __init__(self, message: str, *, reason: str = "malformed", hint: str = "") -> None:
        self.reason = reason
        self.message = message
        self.hint = hint
        super().__init__(message + (f"\n    hint: {hint}" if hint else ""))


def late(waited_ns: int) -> CommandError:
    return CommandError(
        f"the bus was not free within {waited_ns // NS} s",
        reason="late",
        hint="a device of this bus is waited for; try again, or look at `edge-agent status`",
    )


def longest_ns(timeout_ns: int) -> int:
    """Until a command is replied to, where no device has a longer timeout: it may begin just in time, and
    wait out the late window of a request before it and then its own timeout."""
    return PATIENCE_NS + 2 * timeout_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read of a device, or of a unit of a bus that is named by itself or by its port: the real path
    of a serial port, the `host:port` of a device server."""

    device: str = ""
    bus: str = ""
    port: str = ""
    unit_id: int = 0
    area: Area
    address: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Ask a device now, whatever its breaker says."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Give up everything that is stored of these streams; `path`: of which spool."""

    path: str
    streams: tuple[str, ...]


Command = Read | Probe | Purge


def parse(line: bytes) -> Command:
    """A command from one line, without its newline."""
    if len(line) > MAX_LINE:
        raise CommandError(f"a command has at most {MAX_LINE} bytes")
    try:
        data = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CommandError("not a JSON object on one line") from None
    if not isinstance(data, dict):
        raise CommandError("not a JSON object on one line")
    fields = _Fields(data)
    match data.get("command"):
        case "read":
            command: Command = _read(fields)
        case "probe":
            command = Probe(device=fields.name("device"))
        case "purge":
            command = Purge(path=fields.name("path"), streams=fields.names("streams", MEASUREMENTS))
        case _:
            raise CommandError('"command" must be "read", "probe" or "purge"', reason="unknown")
    fields.nothing_else()
    return command


def line_of(command: Command) -> bytes:
    """The inverse of `parse`, with its newline."""
    if isinstance(command, Probe):
        return _line({"command": "probe", "device": command.device})
    if isinstance(command, Purge):
        return _line({"command": "purge", "path": command.path, "streams": command.streams})
    where = {key: value for key in ("device", "bus", "port", "unit_id") if (value := getattr(command, key))}
    what = {"area": str(command.area), "address": command.address, "count": command.count}
    return _line({"command": "read", **where, **what})


def error_line(error: CommandError) -> bytes:
    return _line({"error": error.message, "reason": error.reason, "hint": error.hint})


def reply_line(outcome: Outcome, about: Mapping[str, Any]) -> bytes:
    """`about`: what was asked of whom."""
    return _line({**about, "outcome": _of_outcome(outcome)})


def purged_line(counts: Mapping[str, int]) -> bytes:
    """How many unsent records of each stream went."""
    return _line({"purged": dict(counts)})


# --- outcomes -------------------------------------------------------------------------------------


def _of_outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Values(data, latency_ns):
            return {"kind": "values", "data": data.hex(), "latency_ns": latency_ns}
        case DeviceException(code, latency_ns):
            return {"kind": "exception", "code": code, "latency_ns": latency_ns}
        case NoReply():
            return {"kind": "no_reply"}
        case BadFrame(cause, heard):
            return {"kind": "bad_frame", "cause": cause.value, "heard": heard}
        case PortDown(reason):
            return {"kind": "port_down", "reason": reason}


def outcome_of(data: Mapping[str, Any]) -> Outcome:
    """The outcome in a reply; ValueError where it is none."""
    try:
        match data["kind"]:
            case "values":
                return Values(bytes.fromhex(data["data"]), data["latency_ns"])
            case "exception":
                return DeviceException(data["code"], data["latency_ns"])
            case "no_reply":
                return NoReply()
            case "bad_frame":
                return BadFrame(BadCause(data["cause"]), data["heard"])
            case "port_down":
                return PortDown(data["reason"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an outcome: {error}") from None
    raise ValueError(f"not an outcome: {data['kind']}")


# --- fields ---------------------------------------------------------------------------------------


class _Fields:
    """Takes fields out of an object one by one, so that it is known what is left."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._taken = {"command"}

    def has(self, key: str) -> bool:
        return key in self._data

    def name(self, key: str) -> str:
        self._taken.add(key)
        value = self._data.get(key)
        # What cannot be printed is no name: NUL, line breaks, halves of surrogate pairs.
        if not isinstance(value, str) or not 1 <= len(value) <= _MAX_NAME or not value.isprintable():
            raise CommandError(f'"{key}" must be a name')
        return value

    def names(self, key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        self._taken.add(key)
        value = self._data.get(key)
        if not isinstance(value, list) or not value or any(one not in allowed for one in value):
            raise CommandError(f'"{key}" must be a list of {", ".join(allowed)}')
        return tuple(dict.fromkeys(value))

    def number(self, key: str, low: int, high: int) -> int:
        self._taken.add(key)
        value = self._data.get(key)
        # JSON's true is an int to Python.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise CommandError(f'"{key}" must be {low} to {high}')
        return value

    def nothing_else(self) -> None:
        if unknown := sorted(self._data.keys() - self._taken):
            raise CommandError(f"unknown key {unknown[0][:40]!r}")


def _read(fields: _Fields) -> Read:
    places = [key for key in ("device", "bus", "port") if fields.has(key)]
    if len(places) != 1:
        raise CommandError('a read names one of "device", "bus" and "port"')
    where: dict[str, Any] = {places[0]: fields.name(places[0])}
    if places != ["device"]:
        where["unit_id"] = fields.number("unit_id", 1, 255)
    area_name = fields.name("area")
    if area_name not in tuple(Area):
        raise CommandError(f'"area" must be one of {", ".join(Area)}')
    area = Area(area_name)
    address = fields.number("address", 0, 0xFFFF)
    count = fields.number("count", 1, min(area.max_count, 0x10000 - address))
    return Read(**where, area=area, address=address, count=count)


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"
