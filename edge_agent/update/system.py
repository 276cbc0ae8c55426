"""What the helper may do to this machine, and see of it; the real one. Tests have another."""

from __future__ import annotations

import json
import socket
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

from edge_agent import service
from edge_agent.clock import SystemClock
from edge_agent.errors import ServiceError
from edge_agent.model import NS
from edge_agent.update import health, packages
from edge_agent.update.health import Look
from edge_agent.update.packages import Done, Installed

PROGRAM = "/usr/bin/edge-agent"
CONFIGURATION = Path("/etc/edge-agent/agent.toml")
STATUS_SOCKET = Path("/run/edge-agent/status.sock")
CHECK_S = 60.0
SNAPSHOT_S = 10.0
MAX_SNAPSHOT = 16 << 20
"""Several times that of the largest site. The agent is not root, and this is."""


class System(Protocol):
    def dpkg_lock(self) -> AbstractContextManager[bool]: ...
    def dpkg_lock_holder(self) -> str: ...
    def is_interrupted(self) -> bool: ...
    def configure_pending(self) -> Done: ...
    def install(self, path: Path) -> Done: ...
    def installed(self) -> Installed: ...
    def look(self) -> Look: ...
    def restart(self) -> None:
        """Ask for it, and do not wait."""

    def refusal(self, *, with_configuration: bool) -> str:
        """Why the installed program does not run, or refuses the configuration there is; or empty."""


class Machine:
    """Debian, by dpkg and systemctl."""

    dpkg_lock = staticmethod(packages.locked)
    dpkg_lock_holder = staticmethod(packages.lock_holder)
    is_interrupted = staticmethod(packages.is_interrupted)
    configure_pending = staticmethod(packages.configure_pending)
    install = staticmethod(packages.install)

    def installed(self) -> Installed:
        return packages.installed()

    def look(self) -> Look:
        return look()

    def restart(self) -> None:
        # What comes of it is seen by looking.
        with suppress(ServiceError):
            service.restart_unattended()

    def refusal(self, *, with_configuration: bool) -> str:
        """By the installed program itself: that is another one than this after an update."""
        checks = with_configuration and CONFIGURATION.exists()
        command = [PROGRAM, "check", str(CONFIGURATION)] if checks else [PROGRAM, "--version"]
        done = packages.run(*command, timeout_s=CHECK_S)
        lines = [line for line in done.output.splitlines() if line.strip()]
        why = lines[0][:300] if lines else f"exit status {done.status}"
        return "" if done.ok else f"{' '.join(command)}: {why}"


def look() -> Look:
    """The agent now; never fails, what cannot be seen is not known."""
    try:
        said = service.properties("ActiveState", "NRestarts")
    except ServiceError:
        said = {}
    restarts = said.get("NRestarts", "")
    return Look(
        active=said.get("ActiveState") == "active",
        restarts=int(restarts) if restarts.isdecimal() else 0,
        **health.of_snapshot(_snapshot(STATUS_SOCKET)),
    )


def _snapshot(path: Path) -> dict[str, Any]:
    """What the socket says, of whatever version; empty when it says nothing, or has no end."""
    clock = SystemClock()
    end = clock.mono_ns() + int(SNAPSHOT_S * NS)
    said = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.settimeout(SNAPSHOT_S)
            client.connect(str(path))
            while chunk := client.recv(65536):
                said += chunk
                left_s = (end - clock.mono_ns()) / NS
                if len(said) > MAX_SNAPSHOT or left_s <= 0:
                    return {}
                client.settimeout(left_s)
            document = json.loads(said)
        except (OSError, ValueError, RecursionError):
            return {}
    return document if isinstance(document, dict) else {}
