"""What systemd knows: of the agent's unit, and which other units run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_agent import service
from edge_agent.doctor.unit import Unit
from edge_agent.errors import ServiceError

_PROPERTIES = (
    "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "ExecMainStatus",
    "NRestarts", "MainPID", "FragmentPath", "DropInPaths", "NeedDaemonReload", "User", "SupplementaryGroups",
    "DevicePolicy", "DeviceAllow", "ProtectHome", "PrivateTmp",
    "WatchdogUSec",
)  # fmt: skip


def of_the_agent() -> Unit:
    if not service.is_managed():
        return Unit(no_systemd=True)
    try:
        shown = service.shown(*_PROPERTIES)
        unit = parse(shown, "" if shown.get("LoadState") == ("not-found",) else service.text())
        return replace(unit, last_exit=service.last_exit()) if unit.restarts else unit
    except ServiceError as error:
        return Unit(error=str(error).partition("\n")[0])


def parse(shown: Mapping[str, Sequence[str]], text: str) -> Unit:
    """What `systemctl show` said, by property, and the text of the unit."""

    def one(name: str) -> str:
        return next(iter(shown.get(name, ())), "")

    def words(name: str) -> tuple[str, ...]:
        return tuple(one(name).split())

    return Unit(
        load_state=one("LoadState"),
        file_state=one("UnitFileState"),
        active_state=one("ActiveState"),
        sub_state=one("SubState"),
        result=one("Result"),
        exit_status=_number(one("ExecMainStatus")),
        restarts=_number(one("NRestarts")),
        pid=_number(one("MainPID")),
        fragment=one("FragmentPath"),
        drop_ins=words("DropInPaths"),
        needs_reload=one("NeedDaemonReload") == "yes",
        user=one("User"),
        groups=words("SupplementaryGroups"),
        device_policy=one("DevicePolicy"),
        device_allow=tuple(rule for rule in shown.get("DeviceAllow", ()) if rule),
        credentials=_credentials(text),
        hides_home=one("ProtectHome") in ("yes", "tmpfs"),
        hides_tmp=one("PrivateTmp") not in ("", "no"),
        watchdog=one("WatchdogUSec") not in ("", "0", "infinity"),
    )


def running(*units: str) -> tuple[str, ...]:
    """Which of these run. None where systemd cannot be asked."""
    if not service.is_managed():
        return ()
    return tuple(unit for unit in units if _runs(unit))


def _runs(unit: str) -> bool:
    try:
        return service.shown("ActiveState", unit=unit).get("ActiveState") == ("active",)
    except ServiceError:
        return False


def _credentials(text: str) -> tuple[str, ...]:
    """Paths of the lines `LoadCredential=NAME:PATH`, which `show` does not print before systemd 254. An empty
    one forgets those before it."""
    found: list[str] = []
    for line in text.splitlines():
        key, _, rule = line.partition("=")
        if key.strip() != "LoadCredential":
            continue
        if not rule.strip():
            found.clear()
        _, _, path = rule.strip().partition(":")
        if path.startswith("/"):
            found.append(path)
    return tuple(found)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
