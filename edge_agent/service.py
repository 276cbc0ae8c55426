"""The only door to the service manager from outside the service: what systemd knows of the agent's unit, and
what it is asked to do with it.

For commands of a person (init, doctor, update), never for the daemon, which speaks to systemd by
`daemon.systemd`. Everything goes through systemctl(1): its exit status and `show` are its stable interface.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from edge_agent.errors import ServiceError

UNIT = "edge-agent.service"
CALL_TIMEOUT_S = 150.0
"""Longer than the unit's own TimeoutStartSec and TimeoutStopSec, which end every start and stop."""


def is_managed() -> bool:
    """Whether systemd runs this machine (sd_booted(3)); in a chroot nothing can be asked."""
    return Path("/run/systemd/system").is_dir()


def properties(*names: str, unit: str = UNIT) -> dict[str, str]:
    """Properties of a unit by name, as `systemctl show` prints them; an unknown unit has
    `LoadState=not-found`. ServiceError where systemd cannot be asked."""
    text = _systemctl("show", unit, "--property=" + ",".join(names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def enable_now(unit: str = UNIT) -> None:
    """Start the unit at every boot, and now; returns when it has said that it is ready."""
    _systemctl("enable", unit)
    _systemctl("restart", unit)


def restart(unit: str = UNIT) -> None:
    _systemctl("restart", unit)


def journal(lines: int = 15, unit: str = UNIT) -> list[str]:
    """What the unit last said in the journal since it was last started, without times; empty where it cannot
    be read."""
    invocation = properties("InvocationID", unit=unit).get("InvocationID", "")
    match = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"_SYSTEMD_UNIT={unit}"
    command = ("journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", match)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CALL_TIMEOUT_S,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def start_unattended(unit: str) -> None:
    """Ask for the start of a unit and do not wait for it."""
    _systemctl("start", "--no-block", unit)


def _systemctl(*arguments: str) -> str:
    command = ("systemctl", "--no-ask-password", "--no-pager", *arguments)
    said = " ".join(("systemctl", *arguments))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CALL_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        hint = "edge-agent run works without systemd"
        raise ServiceError("this machine has no systemctl", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{said}: no answer in {CALL_TIMEOUT_S:g} s", hint="systemctl list-jobs") from None
    if done.returncode != 0:
        why = done.stderr.strip() or f"exit status {done.returncode}"
        raise ServiceError(f"{said}: {why}", hint=f"journalctl -u {UNIT} -n 50")
    return done.stdout
