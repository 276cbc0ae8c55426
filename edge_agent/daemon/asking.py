"""The other end of the command socket: how a command of this program asks a running agent."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.bus.outcomes import Outcome
from edge_agent.daemon.commands import (
    LONGEST_TIMEOUT_NS,
    Command,
    CommandError,
    Purge,
    line_of,
    longest_ns,
    outcome_of,
)
from edge_agent.daemon.sockets import commands_path, stranger, unreachable
from edge_agent.model import NS

_TIMEOUT_S = longest_ns(LONGEST_TIMEOUT_NS) / NS + 10
"""Longer than any agent waits: it says itself why nothing came."""
_MAX_REPLY = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the agent says of a read or a probe."""

    outcome: Outcome
    bus: str
    link: str
    unit_id: int
    device: str
    """Empty when none is configured for this unit."""
    probing: bool
    """Whether the device is thought silent, and only probed."""


def ask(status_path: Path, command: Command) -> Told:
    """Waits for the reply. NoAgent when there is none to ask, CommandError when it does not do it."""
    path = commands_path(status_path)
    return _told(path, _exchange(path, command))


def purge(status_path: Path, command: Purge) -> dict[str, int]:
    """How many unsent records of each stream went; the same errors."""
    path = commands_path(status_path)
    try:
        counts: dict[str, int] = _understood(_exchange(path, command))["purged"]
        return counts
    except (ValueError, TypeError, KeyError) as error:
        raise stranger(path) from error


def _exchange(path: Path, command: Command) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT_S)
        try:
            client.connect(str(path))
            # A full or over-long socket answers and hangs up before it has heard everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(line_of(command))
            return _line(client)
        except OSError as error:
            raise unreachable(path, error) from error


def _line(client: socket.socket) -> bytes:
    reply = b""
    while not reply.endswith(b"\n") and len(reply) <= _MAX_REPLY and (data := client.recv(_MAX_REPLY)):
        reply += data
    return reply


def _understood(reply: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(reply)
    if "error" in data:
        raise CommandError(data["error"], reason=data["reason"], hint=data["hint"])
    return data


def _told(path: Path, reply: bytes) -> Told:
    try:
        data = _understood(reply)
        about = {key: data[key] for key in ("bus", "link", "unit_id", "device", "probing")}
        return Told(outcome=outcome_of(data["outcome"]), **about)
    except (ValueError, TypeError, KeyError) as error:
        raise stranger(path) from error
