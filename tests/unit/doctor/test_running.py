from __future__ import annotations

import copy
from typing import Any

import pytest

from edge_agent.doctor.findings import State
from edge_agent.doctor.running import Answer, judge

DEVICE = {"name": "meter", "unit_id": 1, "state": "up", "why": ""}
SNAPSHOT: dict[str, Any] = {
    "agent": {
        "site": "plant",
        "id": "hall",
        "version": "1.0",
        "state": "ok",
        "problems": [],
        "uptime_s": 90,
        "kernels": "native",
        "config_hash": "aa",
    },
    "buses": [
        {
            "name": "line1",
            "link": "/dev/ttyUSB0 19200 8N1",
            "state": "open",
            "message": "",
            "hint": "",
            "load": 0.1,
            "hints": [],
            "devices": [DEVICE],
        },
    ],
    "spool": {"memory_only": False, "problem": "", "unacked": {"sample": 3}},
    "uplink": {
        "state": "connected",
        "since_s": 80,
        "protocol": "5",
        "backlog": 0,
        "set_aside": 0,
        "error": "",
        "hint": "",
    },
}


def changed(*path_and_value):
    *path, last, value = path_and_value
    snapshot = copy.deepcopy(SNAPSHOT)
    place: Any = snapshot
    for key in path:
        place = place[key]
    place[last] = value
    return found(snapshot)


def found(snapshot=SNAPSHOT, config_hash="aa"):
    answer = Answer(socket="/run/s", snapshot=snapshot)
    return {one.subject: one for one in judge(answer, config_hash=config_hash)}


def test_an_agent_without_trouble_is_ok():
    assert {one.state for one in found().values()} == {State.OK}


def test_no_agent_is_skipped_one_that_may_not_be_asked_too_and_one_of_another_version_is_a_warning():
    def state(**more):
        (one,) = judge(Answer(socket="/run/s", **more), config_hash="")
        return one.state

    assert state() is State.SKIPPED
    assert state(is_there=True, is_forbidden=True) is State.SKIPPED
    assert state(is_there=True, error="the agent is edge-agent 0.9, this command 1.0") is State.WARNING


def test_a_configuration_that_was_changed_since_is_a_warning():
    assert found(config_hash="bb")["status"].state is State.WARNING
    assert found(config_hash="")["status"].state is State.OK


def test_every_problem_of_the_agent_is_a_warning_safe_mode_too():
    one = changed("agent", "problems", ["safe mode: it crashed 3 times"])["problem"]
    assert (one.state, one.seen) == (State.WARNING, "safe mode: it crashed 3 times")


def test_a_closed_port_is_a_fault_with_the_agents_own_hint_and_its_devices_are_not_told_again():
    bus = {**SNAPSHOT["buses"][0], "state": "missing", "message": "not there", "hint": "plug it in"}
    bus["devices"] = [{**DEVICE, "state": "down"}]
    got = changed("buses", [bus])
    assert (got["bus line1"].state, got["bus line1"].remedy) == (State.FAULT, "plug it in")
    assert "device meter" not in got


def test_a_silent_device_is_a_fault_unless_a_hint_says_it_better():
    silent = {**DEVICE, "state": "down", "why": "no reply"}
    bus = {**SNAPSHOT["buses"][0], "devices": [silent, {**DEVICE, "name": "press", "unit_id": 2}]}
    assert changed("buses", [bus])["device meter"].state is State.FAULT
    hint = {"rule": "one_silent", "unit": 1, "seen": "nothing heard", "seconds": 34, "do": "check its power"}
    got = changed("buses", [{**bus, "hints": [hint]}])
    assert "device meter" not in got
    assert (got["line line1"].state, got["line line1"].remedy) == (State.FAULT, "check its power")
    every = {**hint, "rule": "all_silent", "unit": None}
    assert "device meter" not in changed("buses", [{**bus, "hints": [every]}])
    other = {**hint, "unit": 7}
    assert "device meter" in changed("buses", [{**bus, "hints": [other]}])


@pytest.mark.parametrize(
    ("key", "value", "state"),
    [("memory_only", True, State.FAULT), ("problem", "slow disk", State.WARNING)],
)
def test_trouble_of_the_spool(key, value, state):
    assert changed("spool", key, value)["spool"].state is state


def test_trouble_of_the_uplink():
    one = changed("uplink", {**SNAPSHOT["uplink"], "state": "waiting", "error": "refused", "backlog": 7})[
        "uplink"
    ]
    assert (one.state, one.seen) == (State.FAULT, "not connected: refused, backlog 7 records")
    assert changed("uplink", "set_aside", 1)["uplink"].state is State.WARNING
