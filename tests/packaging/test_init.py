"""`edge-agent init` on an installed gateway: typed at a terminal, while the service runs, and when it
does not start. How it goes with `--yes` is in test_first_run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from edge_agent.profiles import default_library
from edge_agent.simulator import SimulatedLine
from edge_agent.simulator.catalogue import device_of
from tests.contract.dialogue import Dialogue
from tests.rigs.gateway import Gateway
from tests.rigs.outside import URL, Broker

CONFIG = "/etc/edge-agent/agent.toml"
SECRET = "/etc/edge-agent/keys/mqtt-password"
PASSWORD = "Geheim ü 1"
DROP_IN = "/run/systemd/system/edge-agent.service.d/broken.conf"
YES = (
    "edge-agent", "init", "--yes", "--port", "/dev/ttyUSB0", "--baud", "19200", "--format", "8N1",
    "--units", "1", "--device", "meter=1:eastron/sdm630", "--site", "plant-b", "--broker", URL,
)  # fmt: skip


@pytest.fixture(scope="module")
def line(gw: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedLine]:
    meter = device_of(default_library().get("eastron/sdm630"), "meter", 1)
    with SimulatedLine([meter], baud=19200, link=tmp_path_factory.mktemp("line") / "tty") as line:
        gw.plug(os.path.realpath(line.path))
        yield line


@pytest.fixture(scope="module")
def broker(gw: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """It lets nobody in but `gateway` with the password."""
    folder = tmp_path_factory.mktemp("broker")
    passwords = folder / "passwords"
    passwords.write_text(f"gateway:{PASSWORD}\n")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
    options = ["allow_anonymous false", f"password_file {passwords}"]
    with Broker(gw, folder, options=options) as broker:
        yield broker


@pytest.fixture(scope="module")
def typed(gw: Gateway, line: SimulatedLine, broker: Broker) -> str:
    """What stood on the screen of who set this gateway up."""
    with Dialogue(gw.entering(("edge-agent", "init"))) as person:
        person.answer("Port", "")
        person.answer("Search the line", "1-3")
        person.answer("Take these", "n")
        person.answer("Profile of unit 1", "")
        person.answer("Name of unit 1", "meter")
        person.answer("Site", "plant-a")
        person.answer("Agent id", "")
        person.answer("Broker", "127.0.0.1")
        person.answer("User name", "gateway")
        person.answer("Password", PASSWORD)
        person.answer("Write", "")
        assert person.end() == 0, person.transcript
    return person.transcript


def agrees(gw: Gateway) -> str:
    """The configuration, and that the service runs."""
    assert gw.properties("edge-agent", "ActiveState") == {"ActiveState": "active"}
    return gw.read(CONFIG)


def test_the_port_is_offered_and_the_values_are_shown(typed) -> None:
    assert "  1  /dev/ttyUSB0\n" in typed
    assert "  meter answers\n" in typed
    assert "meter.v_l1 " in typed


def test_the_typed_password_lets_the_service_in_and_stays_roots(gw, typed) -> None:
    assert "It lets us in" in typed
    status = gw.run("edge-agent", "status").out
    assert "connected" in status
    assert gw.read(SECRET) == PASSWORD + "\n"
    assert gw.files("/etc/edge-agent/keys")[SECRET].strip() == "f 600 root:root"
    assert PASSWORD not in typed + gw.read(CONFIG) + gw.journal("edge-agent")
    assert gw.run("cat", SECRET, user="edge-agent", check=False).code != 0


def test_a_port_of_the_running_agent_is_refused_and_nothing_changes(gw, typed) -> None:
    before = agrees(gw)
    refused = gw.run(*YES, "--force", check=False)
    assert refused.code == 1
    assert "systemctl stop edge-agent" in refused.err
    assert agrees(gw) == before
    assert not [path for path in gw.files("/etc/edge-agent") if path.startswith(f"{CONFIG}.")]


def test_a_second_run_does_not_touch_what_is_there(gw, typed) -> None:
    before = agrees(gw)
    assert "--force" in gw.run(*YES, check=False).err
    assert agrees(gw) == before


def test_who_may_not_write_is_told_so_before_any_question(gw, typed) -> None:
    refused = gw.run(*YES, "--config", "/etc/other.toml", user="nobody", check=False)
    assert refused.code == 1 and "sudo" in refused.err
    assert refused.out == ""


def test_a_service_that_does_not_start_says_its_own_reason(gw, typed) -> None:
    gw.run("systemctl", "stop", "edge-agent")
    gw.write(DROP_IN, "[Service]\nExecStartPre=/bin/sh -c 'echo the disk is on fire >&2; exit 1'\n")
    gw.run("systemctl", "daemon-reload")
    failed = gw.run(*YES, "--force", check=False)
    gw.run("rm", DROP_IN)
    gw.run("systemctl", "daemon-reload")
    assert failed.code == 1
    assert "does not start" in failed.out and "the disk is on fire" in failed.out
    # The broker wants a password that nobody gave: a warning, and written all the same.
    assert "warning" in failed.out
    assert 'site = "plant-b"' in gw.read(CONFIG)
    (kept,) = [path for path in gw.files("/etc/edge-agent") if path.startswith(f"{CONFIG}.")]
    assert 'site = "plant-a"' in gw.read(kept)


def test_after_it_the_service_starts_with_what_was_written(gw, typed) -> None:
    gw.run("systemctl", "restart", "edge-agent")
    gw.wait(lambda: "plant-b/" in gw.run("edge-agent", "status", check=False).out, "the new site")
