"""`edge-agent doctor` on an installed gateway: before init, as root and as nobody, with the service at work
and in trouble, under the systemd of both releases. What it says is to be typed is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.certificates import Authority
from tests.packaging.conftest import Installed
from tests.packaging.operation import FILE, UNIT, Operation
from tests.rigs.gateway import Gateway

Found = list[dict[str, Any]]
DROP_IN = f"/etc/systemd/system/{UNIT}.d"


def doctor(gw: Gateway, *options: str, user: str = "") -> tuple[int, Found]:
    done = gw.run("edge-agent", "doctor", "--json", *options, user=user, check=False)
    assert done.code in (0, 1) and not done.err, done
    found = json.loads(done.out)
    unchecked = [one for one in found if "could not be checked" in one["seen"]]
    assert not unchecked
    return done.code, found


def of(found: Found, check: str, words: str = "") -> Found:
    return [one for one in found if one["check"] == check and words in f"{one['subject']}: {one['seen']}"]


def state(found: Found, check: str, subject: str) -> str:
    (one,) = [one for one in found if (one["check"], one["subject"]) == (check, subject)]
    return str(one["state"])


def faults(found: Found) -> list[str]:
    return [f"{one['check']}: {one['subject']}: {one['seen']}" for one in found if one["state"] == "fault"]


def typed(gw: Gateway, remedy: str) -> None:
    """As a technician does, who is root already."""
    for line in remedy.splitlines():
        if line.startswith("$ "):
            gw.run("sh", "-c", line.removeprefix("$ ").replace("sudo ", ""))


@pytest.fixture(scope="module")
def it(installed: Installed, suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    with installed(suite) as gw, Operation(gw, tmp_path_factory.mktemp("plant")) as operation:
        yield operation


@pytest.mark.timeout(400)
def test_its_life(it: Operation, tmp_path: Path) -> None:
    """One gateway from its installation on: each step changes one thing, and the doctor finds it."""
    gw = it.gw
    _before_init(gw)
    _a_port_without_configuration(it)
    it.start_receiving()
    it.configure()
    _configured_and_not_started(gw)
    it.enable()
    it.reads_again()
    _at_work(gw)
    _as_nobody(gw)
    _a_key_that_systemd_hands_over(gw)
    _a_certificate_that_will_not_last(gw, tmp_path)
    _unplugged(it)
    _a_driver_the_sandbox_forbids(gw)
    _overridden_and_restarted(gw)
    _wrong_configuration(it)


def _before_init(gw: Gateway) -> None:
    for user in ("", "nobody"):
        code, found = doctor(gw, user=user)
        assert code == 0, faults(found)
        assert {one["check"] for one in found} >= {"configuration", "service", "ports", "clock", "disk"}
        assert state(found, "versions", "kernels") == state(found, "versions", "system") == "ok"
    (one,) = of(doctor(gw)[1], "configuration")
    assert (one["state"], one["remedy"]) == ("note", "$ sudo edge-agent init")


def _a_port_without_configuration(it: Operation) -> None:
    it.plug()
    _, found = doctor(it.gw)
    assert of(found, "ports", "/dev/ttyUSB0")


def _configured_and_not_started(gw: Gateway) -> None:
    code, found = doctor(gw)
    assert code == 0, faults(found)
    assert state(found, "service", UNIT) == state(found, "service", "start at boot") == "warning"
    assert state(found, "configuration", f"rights of {FILE}") == "ok"
    assert state(found, "ports", "line: permission") == state(found, "ports", "line: use") == "ok"
    gw.enter("chown", "root:root", FILE)
    (one,) = of(doctor(gw)[1], "configuration", f"rights of {FILE}")
    assert one["state"] == "fault"
    typed(gw, one["remedy"])
    assert state(doctor(gw)[1], "configuration", f"rights of {FILE}") == "ok"


def _at_work(gw: Gateway) -> None:
    # What is silent in this plant from time to time is no fault of the gateway.
    _, found = doctor(gw)
    assert [one for one in faults(found) if not one.startswith("agent: ")] == []
    assert state(found, "service", UNIT) == state(found, "agent", "uplink") == "ok"
    assert of(found, "ports", "in use by the agent")
    assert state(found, "broker", "mqtt://127.0.0.1:1883") == "ok"
    assert state(found, "disk", "/var/lib/edge-agent/spool") == "ok"
    assert gw.properties(UNIT, "NRestarts")["NRestarts"] == "0"


def _as_nobody(gw: Gateway) -> None:
    code, found = doctor(gw, user="nobody")
    assert code == 0, faults(found)
    assert of(found, "configuration")[0]["state"] == "skipped"
    assert of(found, "agent", "you may not ask it")[0]["state"] == "skipped"
    assert "sudo edge-agent doctor" in gw.run("edge-agent", "doctor", user="nobody", check=False).out


def _a_key_that_systemd_hands_over(gw: Gateway) -> None:
    """The service may not read it where it is, and need not."""
    key, other = "/etc/edge-agent/keys/password", "/etc/edge-agent/password"
    for path in (key, other):
        gw.write(path, "s3cret\n", mode=0o600)
        login = f'username = "a"\npassword_file = "{path}"\n'
        gw.write("/root/other.toml", gw.read(FILE).replace("[uplink]\n", f"[uplink]\n{login}"))
        _, found = doctor(gw, "--config", "/root/other.toml", "--offline")
        (one,) = of(found, "certificates", path)
        assert one["state"] == ("ok" if path == key else "fault"), one
        assert "s3cret" not in json.dumps(found)


def _a_certificate_that_will_not_last(gw: Gateway, folder: Path) -> None:
    """Read by the cryptography of the release."""
    authority = Authority(folder)
    gw.copy_in(authority.ca, "/etc/edge-agent/ca.pem")
    text = gw.read(FILE).replace(
        '"mqtt://127.0.0.1:1883"', '"mqtts://127.0.0.1"\nca = "/etc/edge-agent/ca.pem"'
    )
    gw.write("/root/other.toml", text)
    _, found = doctor(gw, "--config", "/root/other.toml", "--offline")
    assert state(found, "certificates", "validity of uplink ca") == "warning"


def _unplugged(it: Operation) -> None:
    it.gw.unplug()
    code, found = doctor(it.gw)
    assert code == 1
    assert of(found, "ports", "is not there")[0]["state"] == "fault"
    it.plug()


def _a_driver_the_sandbox_forbids(gw: Gateway) -> None:
    """Any UART of this machine will do: it is not opened."""
    gw.enter("mknod", "-m", "660", "/dev/ttyS0", "c", "4", "64")
    gw.enter("chgrp", "dialout", "/dev/ttyS0")
    gw.write("/root/other.toml", gw.read(FILE).replace("/dev/ttyUSB0", "/dev/ttyS0"))
    gw.write(f"{DROP_IN}/other.conf", "[Service]\nDeviceAllow=\nDeviceAllow=char-188 rw\n")
    gw.run("systemctl", "daemon-reload")

    def judged() -> dict[str, Any]:
        _, found = doctor(gw, "--config", "/root/other.toml", "--offline")
        (one,) = of(found, "ports", "line: sandbox")
        return one

    assert judged()["state"] == "fault"
    # Behind the other one by its name, as systemd reads them.
    typed(gw, judged()["remedy"])
    assert judged()["state"] == "ok"
    gw.run("rm", "-r", DROP_IN)
    gw.run("systemctl", "daemon-reload")


def _overridden_and_restarted(gw: Gateway) -> None:
    gw.write(f"{DROP_IN}/own.conf", "[Service]\nNice=1\n")
    assert of(doctor(gw)[1], "service", "were changed since")[0]["state"] == "warning"
    gw.run("systemctl", "daemon-reload")
    pid = gw.main_pid(UNIT)
    gw.enter("kill", "-9", str(pid))
    gw.wait(lambda: gw.main_pid(UNIT) not in (0, pid), "the next run")
    _, found = doctor(gw)
    assert f"{DROP_IN}/own.conf" in of(found, "service", "unit files")[0]["seen"]
    (one,) = of(found, "service", "restarts: ")
    assert (one["state"], "status=9/KILL" in one["seen"]) == ("note", True)


def _wrong_configuration(it: Operation) -> None:
    gw = it.gw
    gw.run("systemctl", "stop", UNIT)
    gw.write(FILE, "nonsense = 1\n", owner="root:edge-agent", mode=0o640)
    code, found = doctor(gw)
    assert code == 1
    (one,) = of(found, "configuration", f"{FILE}: ")[:1]
    assert (one["state"], f"$ sudo edge-agent check {FILE}" in one["remedy"]) == ("fault", True)
