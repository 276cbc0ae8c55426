"""`edge-agent update`: a good version is kept, every bad one is put back by itself, and neither Ctrl-C, a
lost session, apt, nor a power cut in the middle leaves a gateway that has to be seen to.

One service per suite lives through all of it in turn, under load; every test finds the first version running
and leaves it so, and in the end the receiver has every record.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import versions
from tests.packaging.operation import UNIT, Operation
from tests.rigs.gateway import Done, Gateway

HELPER = "edge-agent-update.service"
FOLDER = "/var/lib/edge-agent-update"
NEW = "9.1.0"


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Another version, and what may be wrong with it."""
    folder = tmp_path_factory.mktemp("versions")
    good = versions.build(folder, NEW)
    return {
        "good": good,
        "crashes at once": versions.build(folder, "9.2.0", versions.CRASHES_AT_ONCE),
        "crashes later": versions.build(folder, "9.3.0", versions.CRASHES_LATER),
        "never connects": versions.build(folder, "9.4.0", versions.NEVER_CONNECTS),
        "cannot be configured": versions.altered(
            good, "9.5.0", lambda tree: versions.fails(tree / "DEBIAN/postinst")
        ),
        "needs what is not there": versions.altered(
            good, "9.6.0", lambda tree: versions.depends(tree / "DEBIAN/control", "python3-flying (>= 2)")
        ),
    }


@pytest.fixture(scope="module")
def it(gw: Gateway, debs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    for deb in debs.values():
        gw.copy_in(deb, f"/root/{deb.name}")
    with Operation(gw, tmp_path_factory.mktemp("update")) as it:
        it.begin()
        yield it


@pytest.fixture
def old(it: Operation) -> str:
    """The version that runs before and after each test."""
    return running(it)


def running(it: Operation) -> str:
    it.gw.wait(it.status, "a status")
    return str(it.status()["agent"]["version"])


def update(gw: Gateway, *arguments: str, watch: str = "5s") -> tuple[Done, dict[str, Any]]:
    done = gw.run("edge-agent", "update", *arguments, "--watch", watch, "--json", check=False)
    return done, json.loads(done.out)


def told(gw: Gateway) -> dict[str, Any]:
    return dict(json.loads(gw.enter("edge-agent", "update", "--status", "--json", check=False).out))


def state(gw: Gateway, name: str = "edge-agent") -> str:
    return gw.enter("dpkg-query", "-W", "-f", "${Version} ${Status}", name).out


def test_a_good_version_is_kept_and_one_can_go_back_to_the_old_one(gw, it, old, debs, deb) -> None:
    done, result = update(gw, f"/root/{debs['good'].name}")
    assert done.code == 0, done.err
    assert (result["phase"], result["old"], result["new"]) == ("kept", old, NEW)
    assert running(it) == NEW and state(gw) == f"{NEW} install ok installed"
    # What it was compared with: a status whose words nobody understood would compare nothing.
    before = result["before"]
    assert before["devices"] == ["a", "b"] and before["kernels"] == "native"
    assert before["active"] and before["connected"] and before["made"] and before["acked"]
    it.reads_again()
    assert_same_package(gw, deb, result["rollback"])
    done, result = update(gw, "--rollback")
    assert (done.code, result["phase"], result["new"], result["rollback"]) == (0, "kept", old, NEW)
    assert running(it) == old


def assert_same_package(gw: Gateway, deb: Path, version: str) -> None:
    """The package that was made of what was installed: its files, their modes and owners, its scripts."""
    gw.copy_in(deb, "/root/first.deb")
    made = gw.enter("sh", "-c", f"echo {FOLDER}/{version}-*.deb").out.strip()
    script = """
    look() { mkdir "/tmp/$1"; dpkg-deb -R "$2" "/tmp/$1/tree"; cd "/tmp/$1/tree"
             find . -printf '%p %y %m %u %g %l\\n' | sort >../list
             sort -o DEBIAN/control DEBIAN/control; cd /; }  # dpkg orders fields its own way
    rm -rf /tmp/one /tmp/other; look one "$1"; look other "$2"
    diff -r --no-dereference /tmp/one /tmp/other
    """
    same = gw.enter("sh", "-c", script, "same", "/root/first.deb", made, check=False)
    assert same.out == "" and same.code == 0, same.out + same.err


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("cannot be configured", "could not be installed"),
        ("crashes at once", "ended and was restarted by systemd"),
        ("crashes later", "ended and was restarted by systemd"),
        ("never connects", "the uplink was connected before and has not been since"),
    ],
)
def test_a_bad_version_is_put_back_by_itself(gw, it, old, debs, fault: str, why: str) -> None:
    file = debs[fault].name
    done, result = update(gw, f"/root/{file}", watch="8s")
    assert done.code == 1 and result["phase"] == "put_back", done.err
    assert why in result["reasons"][0]
    assert running(it) == old and state(gw) == f"{old} install ok installed"
    assert "ended: put_back" in gw.journal(HELPER) and why in gw.journal(HELPER)
    assert told(gw)["phase"] == "put_back"
    it.reads_again()


def test_what_cannot_be_installed_here_is_refused_and_nothing_is_touched(gw, it, old, debs, tmp_path) -> None:
    pid, before = gw.main_pid(UNIT), gw.files(FOLDER)
    needy = gw.run("edge-agent", "update", f"/root/{debs['needs what is not there'].name}", check=False)
    assert needy.code == 2 and "python3-flying (>= 2)" in needy.err and "hint: " in needy.err
    (tmp_path / "short.deb").write_bytes(debs["good"].read_bytes()[:-5000])
    gw.copy_in(tmp_path / "short.deb", "/root/short.deb")
    short = gw.run("edge-agent", "update", "/root/short.deb", check=False)
    assert short.code == 2 and "is damaged" in short.err
    assert gw.run("edge-agent", "update", "/root/first.deb").out.endswith("(--force installs it again)\n")
    nobody = gw.run("edge-agent", "update", "/root/short.deb", user="nobody", check=False)
    assert nobody.code == 1 and "only root" in nobody.err
    assert (gw.main_pid(UNIT), gw.files(FOLDER)) == (pid, before)


def test_a_terminal_that_goes_away_does_not_stop_it_and_apt_is_waited_for(gw, it, old, debs) -> None:
    lock = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, fcntl.LOCK_EX)"
    apt = gw.popen(
        "python3", "-c", f"{lock}; print('held', flush=True); time.sleep(60)", stdout=subprocess.PIPE
    )
    assert apt.stdout is not None and apt.stdout.readline() == b"held\n"
    command = ("edge-agent", "update", f"/root/{debs['good'].name}", "--watch", "5s")
    terminal = gw.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    gw.wait(lambda: told(gw).get("waiting_for"), "the lock is noticed")
    assert told(gw)["phase"] == "staged" and "python3 (process" in told(gw)["waiting_for"][0]
    second = gw.run("edge-agent", "update", "/root/first.deb", check=False)
    assert second.code == 1 and "another update is under way" in second.err
    terminal.send_signal(signal.SIGINT)
    _, said = terminal.communicate(timeout=20)
    assert terminal.returncode == 130 and b"goes on by itself" in said
    gw.enter("sh", "-c", "kill -9 $(pgrep -f lock-frontend)")
    apt.wait(10)
    gw.wait(lambda: told(gw)["phase"] == "kept", "the update is kept")
    assert running(it) == NEW
    assert update(gw, "--rollback")[1]["phase"] == "kept"


def test_a_power_cut_while_dpkg_unpacks_is_resumed_at_the_next_boot(gw, it, old, debs) -> None:
    gw.enter("systemctl", "reset-failed", HELPER, check=False)
    gw.popen("edge-agent", "update", f"/root/{debs['good'].name}", "--watch", "5s")
    gw.wait(lambda: told(gw)["phase"] == "installing", "installing")
    deadline = time.monotonic() + 20
    while not unfinished(gw) and time.monotonic() < deadline:
        time.sleep(0.005)
    gw.power_cut()
    gw.boot_again()
    gw.wait(lambda: told(gw)["phase"] == "kept", "the update is kept")
    assert running(it) == NEW and state(gw) == f"{NEW} install ok installed"
    assert told(gw)["attempts"] == 0 and not gw.exists(f"{FOLDER}/update.json")
    it.reads_again()


def unfinished(gw: Gateway) -> bool:
    return (
        "install ok installed"
        not in gw.enter("grep", "-A2", "^Package: edge-agent$", "/var/lib/dpkg/status").out
    )


def test_a_power_cut_while_a_bad_version_is_watched_is_resumed_and_put_back(gw, it, debs) -> None:
    gw.popen("edge-agent", "update", f"/root/{debs['never connects'].name}", "--watch", "5s")
    gw.wait(lambda: told(gw)["phase"] == "watching", "watching")
    gw.power_cut()
    gw.boot_again()
    gw.wait(lambda: told(gw)["phase"] == "put_back", "put back")
    assert running(it) == NEW and told(gw)["attempts"] == 0
    it.reads_again()


def test_after_all_of_it_the_receiver_misses_nothing(gw, it) -> None:
    gw.run("systemctl", "stop", UNIT)
    gw.wait(lambda: it.receiver.of_kind("stop"), "a record of the stop")
    end = it.receiver.finish()
    assert (end["missing"], end["undecodable"]) == (0, 0)
    assert {gap["reason"] for gap in it.receiver.of_kind("gap")} <= {"interrupted"}
