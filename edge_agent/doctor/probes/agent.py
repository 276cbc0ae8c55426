"""Asks a running agent for its status."""

from __future__ import annotations

from pathlib import Path

from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.doctor.running import Answer


def ask(socket: Path) -> Answer:
    try:
        return Answer(socket=str(socket), snapshot=status.fetch(socket))
    except NoAgent as error:
        message = str(error).partition("\n")[0]
        forbidden = isinstance(error.__cause__, PermissionError)
        return Answer(
            socket=str(socket),
            error=message,
            hint=error.hint,
            is_there=error.is_there,
            is_forbidden=forbidden,
        )
