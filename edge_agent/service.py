"""The only door to the service manager from outside the service: what systemd knows of the agent's unit, and
what it is asked to do with it.

For commands of a person (init, doctor, update), never for the daemon, which speaks to systemd by
`daemon.systemd`. Everything goes through systemctl(1): its exit status and `show` are its stable interface.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge_agent.errors import ServiceError

UNIT = "edge-agent.service"
CALL_TIMEOUT_S = 150.0
"""Longer than the unit's own TimeoutStartSec and TimeoutStopSec, which end every start and stop."""
_PROCESS_EXITED = "98e322203f7a4ed290d09fe03c09fe15"
"""SD_MESSAGE_UNIT_PROCESS_EXIT of sd-messages(3)."""
ASK_TIMEOUT_S = 10.0
"""What asking takes at most; a manager that does not answer within it hangs."""


def is_managed() -> bool:
    """Whether systemd runs this machine (sd_booted(3)); in a chroot nothing can be asked."""
    return Path("/run/systemd/system").is_dir()


def properties(*names: str, unit: str = UNIT) -> dict[str, str]:
    """Properties of a unit by name, as `systemctl show` prints them; an unknown unit has
    `LoadState=not-found`. ServiceError where systemd cannot be asked."""
    text = _systemctl("show", unit, "--property=" + ",".join(names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def shown(*names: str, unit: str = UNIT) -> dict[str, tuple[str, ...]]:
    """Like `properties`, but with all lines of those that have several, such as DeviceAllow."""
    found: dict[str, tuple[str, ...]] = {}
    text = _systemctl("show", unit, "--property=" + ",".join(names), timeout_s=ASK_TIMEOUT_S)
    for name, _, value in (line.partition("=") for line in text.splitlines()):
        found[name] = (*found.get(name, ()), value)
    return found


def version() -> str:
    """Of systemd, as it names itself: `252.39-1~deb12u1`."""
    return _systemctl("show", "--property=Version", "--value", timeout_s=ASK_TIMEOUT_S).strip()


def last_exit(unit: str = UNIT) -> str:
    """How its main process ended last, in systemd's words (`code=killed, status=9/KILL`); empty where the
    journal does not say, or may not be read."""
    said = _journalctl(f"UNIT={unit}", f"MESSAGE_ID={_PROCESS_EXITED}", lines=1, timeout_s=ASK_TIMEOUT_S)
    return said[-1].rpartition("process exited, ")[2] if said else ""


def text(unit: str = UNIT) -> str:
    """The unit's files as systemd read them, drop-ins last: for what `show` does not print."""
    return _systemctl("cat", unit, timeout_s=ASK_TIMEOUT_S)


def enable_now(unit: str = UNIT) -> None:
    """Start the unit at every boot, and now; returns when it has said that it is ready."""
    _systemctl("enable", unit)
    _systemctl("restart", unit)


def restart_unattended(unit: str = UNIT) -> None:
    """Ask for it and do not wait: whoever watches the unit sees what comes of it."""
    _systemctl("restart", "--no-block", unit)


def journal(lines: int = 15, unit: str = UNIT) -> list[str]:
    """What the unit last said in the journal since it was last started, without times; empty where it cannot
    be read."""
    invocation = properties("InvocationID", unit=unit).get("InvocationID", "")
    match = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"_SYSTEMD_UNIT={unit}"
    return _journalctl(match, lines=lines, timeout_s=CALL_TIMEOUT_S)


def start_unattended(unit: str) -> None:
    """Ask for the start of a unit and do not wait for it."""
    _systemctl("start", "--no-block", unit)


def _journalctl(*matches: str, lines: int, timeout_s: float) -> list[str]:
    """The newest messages; empty where the journal cannot be read."""
    command = ("journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", *matches)
    try:
        done = _run(command, timeout_s)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _systemctl(*arguments: str, timeout_s: float = CALL_TIMEOUT_S) -> str:
    command = ("systemctl", "--no-ask-password", "--no-pager", *arguments)
    said = " ".join(("systemctl", *arguments))
    try:
        done = _run(command, timeout_s)
    except FileNotFoundError:
        hint = "edge-agent run works without systemd"
        raise ServiceError("this machine has no systemctl", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{said}: no answer in {timeout_s:g} s", hint="systemctl list-jobs") from None
    if done.returncode != 0:
        why = done.stderr.strip() or f"exit status {done.returncode}"
        raise ServiceError(f"{said}: {why}", hint=f"journalctl -u {UNIT} -n 50")
    return done.stdout


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
