"""What systemd knows: of the agent's unit, and which other units run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agent import service
from edge_agent.doctor.unit import Unit
from edge_agent.errors import ServiceError

_PROPERTIES = (
    "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus",
    "NRestarts", "MainPID", "FragmentPath", "DropInPaths", "NeedDaemonReload", "User", "SupplementaryGroups",
    "DevicePolicy", "DeviceAllow", "LoadCredential", "StateDirectory", "ProtectHome", "PrivateTmp",
    "WatchdogUSec",
)  # fmt: skip
_KILLED = ("2", "3", "killed", "dumped")
"""CLD_KILLED and CLD_DUMPED, as `show` prints ExecMainCode."""


def of_the_agent() -> Unit:
    if not service.is_managed():
        return Unit(no_systemd=True)
    try:
        return parse(service.shown(*_PROPERTIES))
    except ServiceError as error:
        return Unit(error=str(error).partition("\n")[0])


def parse(shown: Mapping[str, Sequence[str]]) -> Unit:
    """What `systemctl show` said, by property."""

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
        exit_by_signal=one("ExecMainCode") in _KILLED,
        restarts=_number(one("NRestarts")),
        pid=_number(one("MainPID")),
        fragment=one("FragmentPath"),
        drop_ins=words("DropInPaths"),
        needs_reload=one("NeedDaemonReload") == "yes",
        user=one("User"),
        groups=words("SupplementaryGroups"),
        device_policy=one("DevicePolicy"),
        device_allow=tuple(rule for rule in shown.get("DeviceAllow", ()) if rule),
        credentials=tuple(path for rule in shown.get("LoadCredential", ()) if (path := _path(rule))),
        state_directories=words("StateDirectory"),
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


def _path(rule: str) -> str:
    """Of `keys:/etc/edge-agent/keys`."""
    return rule[rule.index("/") :] if "/" in rule else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
