"""From a fresh Debian to records at the receiver: what is installed does nothing until it is configured, then
all by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.first_run import METER, VALUES, FirstRun
from tests.rigs import roots

ENTRIES = {
    "/etc/edge-agent": "d 750 root:edge-agent",
    "/etc/edge-agent/agent.toml": "f 640 root:edge-agent",
    "/etc/edge-agent/keys": "d 700 root:root",
    "/etc/edge-agent/profiles": "d 750 root:edge-agent",
    "/var/lib/edge-agent": "d 750 edge-agent:edge-agent",
    "/run/edge-agent": "d 750 edge-agent:edge-agent",
}


@pytest.fixture(scope="module")
def run(suite: str, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstRun]:
    with FirstRun(roots.unpacked(suite), deb, tmp_path_factory.mktemp("first-run")) as run:
        yield run


def test_installed_it_is_not_enabled_and_reads_and_sends_nothing(run) -> None:
    found = run.unconfigured
    assert found.unit == {"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}
    assert (found.requests, found.clients) == (0, 0)


def test_the_system_is_as_well_as_before(run) -> None:
    assert (run.unconfigured.state, run.unconfigured.failed) == ("running", "")
    assert run.gw.run("systemctl", "is-system-running").out == "running\n"


def test_init_finds_the_device_and_shows_its_values(run) -> None:
    assert f"unit {METER} answers at 19200 8N1" in run.init.out
    assert "eastron/sdm630" in run.init.out
    assert "sdm630_1.v_l1" in run.init.out
    assert run.init.err == ""


def test_records_of_the_device_are_at_the_receiver(run, record_property) -> None:
    record_property("figures", json.dumps(run.course.as_json()))
    kinds = {item["kind"] for item in run.receiver.objects}
    assert {"start", "birth"} <= kinds
    assert kinds & set(VALUES)
    assert {item["device"] for kind in VALUES for item in run.receiver.of_kind(kind)} == {"sdm630_1"}


def test_the_service_is_enabled_and_runs_as_its_own_user(run) -> None:
    expected = {
        "UnitFileState": "enabled",
        "ActiveState": "active",
        "User": "edge-agent",
        "WatchdogUSec": "30s",
        "NRestarts": "0",
    }
    assert run.gw.properties("edge-agent", *expected) == expected


def test_it_runs_on_native_kernels_and_in_its_own_folders(run) -> None:
    status = json.loads(run.gw.run("edge-agent", "status", "--json").out)
    assert status["agent"]["kernels"] == "native"
    assert status["agent"]["problems"] == []
    entries = run.gw.files(*ENTRIES)
    assert {path: entries[path].strip() for path in ENTRIES} == ENTRIES


def test_status_is_for_root_and_for_the_group_edge_agent_only(run) -> None:
    run.gw.run("sh", "-c", "useradd technician; useradd -G edge-agent member")
    for user in ("root", "member"):
        assert "sdm630_1" in run.gw.run("edge-agent", "status", user=user).out
    refused = run.gw.run("edge-agent", "status", user="technician", check=False)
    assert refused.code != 0 and "ermission" in refused.err and "hint" in refused.err


def test_the_journal_is_free_of_complaints(run) -> None:
    said = run.gw.journal("edge-agent", "-p", "warning")
    assert said == ""


def test_dpkg_and_the_unit_file_have_nothing_to_say_against_it(run) -> None:
    assert run.gw.run("dpkg", "--verify", "edge-agent").out == ""
    assert run.gw.run("dpkg", "--audit").out == ""
    # A minimal system has no man to look for the manual with.
    verified = run.gw.run("systemd-analyze", "verify", "--man=no", "edge-agent.service", check=False)
    assert (verified.code, verified.out, verified.err) == (0, "", "")
