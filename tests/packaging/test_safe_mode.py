"""A configuration that cannot be run, on an installed gateway: the last good one runs, and everybody is told.

The first test waits the minute that proves a configuration, so one suite is enough; the others go on from
there, each from a service that runs the proven one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.packaging.operation import FILE, UNIT, Operation
from tests.rigs.gateway import Gateway

GOOD = "/var/lib/edge-agent/good/current/agent.toml"
STARTS = "/var/lib/edge-agent/starts.json"


@pytest.fixture(scope="module")
def suite() -> str:
    return "bookworm"


@pytest.fixture(scope="module")
def it(gw: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    with Operation(gw, tmp_path_factory.mktemp("safe")) as it:
        it.begin()
        yield it


def configured(gw: Gateway, text: str) -> None:
    gw.write(FILE, text, owner="root:edge-agent", mode=0o640)


def problems(it: Operation) -> list[str]:
    return list(it.status().get("agent", {}).get("problems", []))


def test_a_configuration_is_good_after_a_minute_of_health_and_not_before(gw, it) -> None:
    assert not gw.exists(GOOD)
    assert '"crashes": 1' in gw.read(STARTS)
    gw.wait(lambda: gw.exists(GOOD), "a last good configuration", timeout_s=100)
    assert gw.read(GOOD) == gw.read(FILE)
    assert not gw.exists(STARTS)
    assert it.status()["agent"]["uptime_s"] >= 60
    assert it.has_said("this configuration is now the last good one")


def test_a_typo_is_said_with_line_and_reason_and_the_last_good_one_runs(gw, it) -> None:
    sound = gw.read(FILE)
    wrong = sound.replace("baud = 115200", 'baud = "fast"')
    line = wrong.splitlines().index('baud = "fast"') + 1
    configured(gw, wrong)
    gw.run("systemctl", "restart", UNIT)
    it.reads_again()
    (problem,) = problems(it)
    assert problem.startswith(f"safe mode: agent.toml:{line}: bus.line.baud ")
    assert it.status()["agent"]["state"] == "degraded"
    assert it.status()["agent"]["config"] == GOOD
    assert gw.properties(UNIT, "StatusText")["StatusText"].startswith(f"safe mode: agent.toml:{line}")
    said = gw.journal(UNIT, "-p", "err")
    assert f"{FILE}:{line}: bus.line.baud" in said and f"degraded: {problem}" in said
    configured(gw, sound)
    gw.run("systemctl", "restart", UNIT)
    it.reads_again()
    assert not problems(it)


def test_after_three_crashes_the_last_good_one_runs_until_the_file_is_changed(gw, it, tmp_path) -> None:
    sound = gw.read(FILE)
    # Its folder is a file: sound to look at, and never to be run.
    configured(gw, sound.replace("/var/lib/edge-agent/spool", "/etc/hostname"))
    gw.run("systemctl", "stop", UNIT)
    listening = listen(gw)
    gw.run("systemctl", "start", UNIT, check=False)
    it.reads_again()
    restarts = gw.properties(UNIT, "NRestarts", "Result")
    assert restarts == {"NRestarts": "3", "Result": "success"}
    (problem,) = problems(it)
    assert problem.startswith("safe mode: the configuration failed 3 times in a row")
    health = json.loads(listening.communicate(timeout=60)[0])
    assert (health["state"], health["problems"]) == ("degraded", [problem])

    # It goes on to run when it is ended itself, here as the watchdog does it,
    gw.enter("kill", f"-{signal.SIGABRT.value}", str(gw.main_pid(UNIT)))
    it.reads_again()
    said = gw.journal(UNIT)
    assert "Fatal Python error: Aborted" in said
    assert said.count("(most recent call first)") >= 5, "one for each thread"
    assert problems(it)[0].startswith("safe mode: the configuration failed 4 times")
    # and is left when the file is another.
    configured(gw, sound + "# mended\n")
    gw.enter("kill", f"-{signal.SIGKILL.value}", str(gw.main_pid(UNIT)))
    it.reads_again()
    assert not problems(it) and it.status()["agent"]["config"] == FILE


def test_without_its_file_nothing_runs_and_it_says_what_to_do(gw, it) -> None:
    gw.enter("mv", FILE, f"{FILE}.away")
    done = gw.run("systemctl", "restart", UNIT, check=False)
    assert done.code == 1
    assert gw.properties(UNIT, "ActiveState", "ExecMainStatus", "NRestarts") == {
        "ActiveState": "failed",
        "ExecMainStatus": "2",
        "NRestarts": "0",
    }
    assert "sudo edge-agent init" in gw.journal(UNIT)


def listen(gw: Gateway) -> subprocess.Popen[bytes]:
    """Ends with the next health message at the broker, which comes seconds after a connection."""
    command = ("mosquitto_sub", "-p", "1883", "-t", "ea1/+/+/up/health", "-C", "1", "-W", "60", "-V", "5")
    return gw.popen_outside(*command, stdout=subprocess.PIPE, env=dict(os.environ))
