"""Judges the service: is the unit there, enabled, running, restarted, overridden. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, plural

CHECK = "service"
OFTEN = 5
"""Restarts that are no accident any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What systemd says of the agent's unit."""

    name: str = "edge-agent.service"
    no_systemd: bool = False
    error: str = ""
    """Why systemd could not be asked."""
    load_state: str = "not-found"
    file_state: str = ""
    active_state: str = "inactive"
    sub_state: str = ""
    result: str = ""
    exit_status: int = 0
    restarts: int = 0
    last_exit: str = ""
    """How its process ended last, in systemd's words; empty where that is not known."""
    pid: int = 0
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()
    needs_reload: bool = False
    user: str = ""
    groups: tuple[str, ...] = ()
    device_policy: str = ""
    device_allow: tuple[str, ...] = ()
    """`char-188 rw`, as systemd shows them."""
    credentials: tuple[str, ...] = ()
    """Files and folders of root's that are handed to the service: it may read what is there."""
    hides_home: bool = False
    hides_tmp: bool = False
    watchdog: bool = False

    @property
    def is_known(self) -> bool:
        return self.load_state not in ("", "not-found")

    @property
    def is_active(self) -> bool:
        return self.active_state in ("active", "reloading", "activating") and self.sub_state != "auto-restart"


# systemd.exec(5) and systemd.service(5), `Result=`.
_RESULTS = {
    "exit-code": "it ended with status {status}",
    "signal": "it was ended by signal {status}",
    "core-dump": "it crashed with signal {status}",
    "watchdog": "it gave no sign of life in time and was ended by the watchdog",
    "timeout": "it did not start or stop in time",
    "oom-kill": "it was ended because memory ran out",
    "start-limit-hit": "it was started too often and is not tried any more",
    "resources": "systemd had not the means to start it",
    "protocol": "it did not say that it was ready",
    "exec-condition": "a condition of its unit was not met",
}
_EXEC_STATUS = {
    2: "its configuration is wrong",
    203: "its program cannot be run",
    217: "its user does not exist",
    226: "its sandbox cannot be set up",
    243: "a credential of its unit cannot be read",
}
_JOURNAL = "$ sudo journalctl -u edge-agent -n 50 --no-pager"


def judge(unit: Unit, *, is_configured: bool | None) -> Iterator[Finding]:
    """`is_configured`: None where that may not be looked at."""
    about = Subject(CHECK, unit.name)
    if unit.no_systemd:
        yield about.skipped(
            "systemd does not run this machine (a container?): nothing starts the agent by itself"
        )
        return
    if unit.error:
        yield about.skipped(unit.error, AS_ROOT)
        return
    if not unit.is_known:
        yield about.note("there is no unit: edge-agent was not installed by its package")
        return
    if unit.load_state == "masked" or unit.file_state.startswith("masked"):
        yield about.fault("is masked: nothing can start it", f"$ sudo systemctl unmask {unit.name}")
        return
    if unit.load_state != "loaded":
        yield about.fault(f"cannot be loaded: {unit.load_state}", f"$ systemd-analyze verify {unit.name}")
        return
    yield _enabled(unit, is_configured=is_configured)
    yield _running(unit, is_configured=is_configured)
    yield from _restarts(unit)
    yield from _overridden(unit)


def _enabled(unit: Unit, *, is_configured: bool | None) -> Finding:
    about = Subject(CHECK, "start at boot")
    if unit.file_state in ("enabled", "static", "alias", "generated"):
        return about.ok(unit.file_state)
    if is_configured is None:
        return about.note(unit.file_state or "disabled")
    if not is_configured:
        return about.ok("not yet: edge-agent init enables it")
    return about.warning(f"it is {unit.file_state or 'disabled'}", f"$ sudo systemctl enable {unit.name}")


def _running(unit: Unit, *, is_configured: bool | None) -> Finding:
    about = Subject(CHECK, unit.name)
    if unit.is_active:
        watchdog = ", watched by systemd" if unit.watchdog else ""
        return about.ok(f"{unit.active_state} ({unit.sub_state}), pid {unit.pid}{watchdog}")
    if unit.active_state == "failed" or unit.sub_state == "auto-restart":
        again = f"$ sudo systemctl restart {unit.name}"
        return about.fault(f"{_state(unit)}: {_why(unit)}", _JOURNAL, again)
    if is_configured is None:
        return about.note(_state(unit))
    if not is_configured:
        return about.ok("does not run: there is no configuration yet")
    return about.warning(_state(unit), f"$ sudo systemctl start {unit.name}")


def _state(unit: Unit) -> str:
    if unit.sub_state == "auto-restart":
        return "does not run just now; systemd starts it again"
    return "has failed" if unit.active_state == "failed" else "does not run"


def _why(unit: Unit) -> str:
    if unit.result == "exit-code" and unit.exit_status in _EXEC_STATUS:
        return f"{_EXEC_STATUS[unit.exit_status]} (status {unit.exit_status})"
    words = _RESULTS.get(unit.result, f"result {unit.result or 'unknown'}")
    return words.format(status=unit.exit_status)


def _restarts(unit: Unit) -> Iterator[Finding]:
    if not unit.restarts:
        return
    about = Subject(CHECK, "restarts")
    last = f"; it ended last with {unit.last_exit}" if unit.last_exit else ""
    seen = f"systemd has started it again {plural(unit.restarts, 'time')}{last}"
    if unit.restarts >= OFTEN:
        yield about.warning(seen, _JOURNAL)
    else:
        yield about.note(seen, _JOURNAL)


def _overridden(unit: Unit) -> Iterator[Finding]:
    about = Subject(CHECK, "unit files")
    if unit.needs_reload:
        yield about.warning("were changed since systemd read them", "$ sudo systemctl daemon-reload")
    own = [unit.fragment] if unit.fragment.startswith(("/etc/", "/run/")) else []
    changed = (*own, *unit.drop_ins)
    if changed:
        yield about.note(f"changed by {', '.join(changed)}", f"$ systemctl cat {unit.name}")
