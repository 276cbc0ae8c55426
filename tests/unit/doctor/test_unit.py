from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.findings import State
from edge_agent.doctor.probes import units
from edge_agent.doctor.unit import OFTEN, Unit, judge

RUNS = Unit(
    load_state="loaded",
    file_state="enabled",
    active_state="active",
    sub_state="running",
    result="success",
    pid=7,
)


def found(unit, is_configured=True):
    return {one.subject: one for one in judge(unit, is_configured=is_configured)}


def states(unit, is_configured=True):
    return [one.state for one in judge(unit, is_configured=is_configured)]


def test_a_service_that_runs_and_is_enabled_is_ok():
    assert states(RUNS) == [State.OK, State.OK]


@pytest.mark.parametrize(
    ("unit", "state"),
    [
        (Unit(no_systemd=True), State.SKIPPED),
        (Unit(error="systemctl show: Access denied"), State.SKIPPED),
        (Unit(), State.NOTE),
        (Unit(load_state="masked"), State.FAULT),
        (Unit(load_state="loaded", file_state="masked-runtime"), State.FAULT),
        (Unit(load_state="bad-setting"), State.FAULT),
    ],
)
def test_without_a_usable_unit_there_is_one_finding(unit, state):
    assert states(unit) == [state]


def test_disabled_and_stopped_is_fine_before_init_and_not_after():
    unit = replace(RUNS, file_state="disabled", active_state="inactive", sub_state="dead", pid=0)
    assert states(unit, is_configured=False) == [State.OK, State.OK]
    assert states(unit, is_configured=None) == [State.NOTE, State.NOTE]
    assert states(unit) == [State.WARNING, State.WARNING]
    assert [one.remedy for one in judge(unit, is_configured=True)] == [
        "$ sudo systemctl enable edge-agent.service",
        "$ sudo systemctl start edge-agent.service",
    ]


@pytest.mark.parametrize(
    ("result", "status", "words"),
    [
        ("exit-code", 2, "its configuration is wrong"),
        ("exit-code", 1, "ended with status 1"),
        ("exit-code", 203, "cannot be run"),
        ("signal", 9, "signal 9"),
        ("watchdog", 6, "watchdog"),
        ("oom-kill", 9, "memory"),
        ("start-limit-hit", 0, "too often"),
        ("something-new", 0, "something-new"),
    ],
)
def test_why_it_failed_is_said_in_words(result, status, words):
    unit = replace(RUNS, active_state="failed", sub_state="failed", result=result, exit_status=status)
    one = found(unit)[unit.name]
    assert one.state is State.FAULT
    assert words in one.seen
    assert "journalctl -u edge-agent" in one.remedy


def test_between_two_tries_it_does_not_run():
    unit = replace(
        RUNS, active_state="activating", sub_state="auto-restart", result="exit-code", exit_status=1
    )
    assert found(unit)[unit.name].state is State.FAULT
    starting = replace(RUNS, active_state="activating", sub_state="start")
    assert found(starting)[unit.name].state is State.OK


@pytest.mark.parametrize(
    ("count", "state"), [(0, None), (1, State.NOTE), (OFTEN - 1, State.NOTE), (OFTEN, State.WARNING)]
)
def test_many_restarts_are_a_warning(count, state):
    one = found(replace(RUNS, restarts=count)).get("restarts")
    assert (one.state if one else None) is state


def test_how_it_ended_last_is_told_where_it_is_known():
    seen = found(replace(RUNS, restarts=1, last_exit="code=killed, status=9/KILL"))["restarts"].seen
    assert seen.endswith("1 time; it ended last with code=killed, status=9/KILL")
    assert found(replace(RUNS, restarts=1))["restarts"].seen.endswith("1 time")


def test_changed_unit_files_are_listed():
    unit = replace(RUNS, needs_reload=True, drop_ins=("/etc/systemd/system/edge-agent.service.d/a.conf",))
    notes = [one for one in judge(unit, is_configured=True) if one.subject == "unit files"]
    assert [one.state for one in notes] == [State.WARNING, State.NOTE]
    assert "a.conf" in notes[1].seen
    assert found(replace(RUNS, fragment="/usr/lib/systemd/system/edge-agent.service")) == found(RUNS)
    assert "unit files" in found(replace(RUNS, fragment="/etc/systemd/system/edge-agent.service"))


# --- what systemctl prints ------------------------------------------------------------------------

SHOWN = {
    "LoadState": ("loaded",),
    "ActiveState": ("active",),
    "SubState": ("running",),
    "MainPID": ("123",),
    "NRestarts": ("4",),
    "ExecMainStatus": ("0",),
    "User": ("edge-agent",),
    "SupplementaryGroups": ("dialout video",),
    "DevicePolicy": ("closed",),
    "DeviceAllow": ("char-rtc r", "char-188 rw"),
    "DropInPaths": ("/etc/a.conf /run/b.conf",),
    "NeedDaemonReload": ("no",),
    "ProtectHome": ("yes",),
    "PrivateTmp": ("no",),
    "WatchdogUSec": ("30s",),
}


def test_properties_become_a_unit():
    unit = units.parse(SHOWN, "")
    assert unit.is_known and unit.is_active and unit.watchdog
    assert (unit.pid, unit.restarts, unit.groups) == (123, 4, ("dialout", "video"))
    assert unit.device_allow == ("char-rtc r", "char-188 rw")
    assert unit.drop_ins == ("/etc/a.conf", "/run/b.conf")
    assert (unit.hides_home, unit.hides_tmp, unit.needs_reload) == (True, False, False)


def test_properties_that_are_missing_or_not_set_are_no_error():
    unit = units.parse({"LoadState": ("not-found",), "MainPID": ("[not set]",)}, "")
    assert not unit.is_known and unit.pid == 0 and unit.device_allow == ()


def test_credentials_are_read_from_the_text_and_forgotten_by_an_empty_line():
    text = "LoadCredential=keys:/etc/edge-agent/keys\nSetCredential=keys:none\n"
    assert units.parse(SHOWN, text).credentials == ("/etc/edge-agent/keys",)
    assert units.parse(SHOWN, f"{text}LoadCredential=\nLoadCredential=a:/x\n").credentials == ("/x",)
    assert units.parse(SHOWN, "#LoadCredential=a:/x\nLoadCredential=from.the.host\n").credentials == ()


@pytest.mark.parametrize("file_state", ["disabled", "enabled-runtime", "linked", "indirect"])
def test_what_the_next_boot_does_not_start_is_said(file_state):
    """`enabled-runtime` is a link in /run, and `linked` none in any target: systemctl(1), is-enabled."""
    found = {one.subject: one for one in judge(replace(RUNS, file_state=file_state), is_configured=True)}
    one = found["start at boot"]
    assert one.state is State.WARNING and "systemctl enable" in one.remedy
