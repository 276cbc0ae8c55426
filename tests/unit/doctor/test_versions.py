from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.findings import State
from edge_agent.doctor.servers import Server
from edge_agent.doctor.servers import judge as judge_server
from edge_agent.doctor.versions import Versions, judge

GOOD = Versions(
    program="1.0.0",
    place="/usr/lib/edge-agent/1.0.0/edge_agent",
    python=(3, 11, 2),
    libraries={"msgpack": "1.0.3"},
    architecture="arm64",
    system="Debian GNU/Linux 12 (bookworm)",
    system_id="debian",
    system_version="12",
    linux="6.1.0",
)


def found(versions):
    return {one.subject: one for one in judge(versions)}


def test_a_system_as_it_is_tested_is_ok():
    assert {one.state for one in judge(GOOD)} == {State.OK}


@pytest.mark.parametrize(
    ("python", "state"), [((3, 10, 99), State.FAULT), ((3, 11, 0), State.OK), ((3, 12, 0), State.OK)]
)
def test_the_least_python(python, state):
    assert found(replace(GOOD, python=python))["Python"].state is state


def test_a_library_that_cannot_be_loaded_is_a_fault():
    one = found(replace(GOOD, missing={"msgpack": "No module named 'msgpack'"}))["Python"]
    assert one.state is State.FAULT
    assert "msgpack" in one.seen


def test_kernels_that_are_not_trusted_are_a_warning_that_says_why():
    one = found(replace(GOOD, kernel_error="x.so is damaged"))["kernels"]
    assert one.state is State.WARNING
    assert "x.so is damaged" in one.seen
    assert "--reinstall ./edge-agent_1.0.0_" in one.remedy


@pytest.mark.parametrize(
    ("name", "version", "state"),
    [
        ("debian", "11", State.NOTE),
        ("debian", "12", State.OK),
        ("debian", "13", State.OK),
        ("debian", "14", State.NOTE),
        ("raspbian", "12", State.NOTE),
        ("", "", State.NOTE),
    ],
)
def test_what_is_not_tested_is_named_as_untested(name, version, state):
    assert found(replace(GOOD, system_id=name, system_version=version))["system"].state is state


# --- device servers -------------------------------------------------------------------------------

SERVER = Server(bus="line2", link="tcp 10.0.0.5:502", took_ms=3)


@pytest.mark.parametrize(
    ("server", "state"),
    [
        (SERVER, State.OK),
        (replace(SERVER, agent_has_it=True, error="refused"), State.OK),
        (replace(SERVER, is_offline=True), State.SKIPPED),
        (replace(SERVER, agent_may_have_it=True, error="refused"), State.SKIPPED),
        (replace(SERVER, error="refused", hint="is it on?"), State.FAULT),
        (replace(SERVER, error="you may not read /k", reason="local"), State.SKIPPED),
    ],
)
def test_a_server_is_judged_by_one_connection(server, state):
    assert judge_server(server).state is state


def test_the_address_is_not_said_twice():
    assert (
        judge_server(replace(SERVER, error="10.0.0.5:502: Connection refused")).seen == "Connection refused"
    )
