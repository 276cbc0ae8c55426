"""`edge-agent update`: a good version is kept, every bad one is put back by itself, and neither Ctrl-C, a
lost session, apt, nor a power cut in the middle leaves a gateway that has to be seen to.

One service lives through all of it in turn, under load; every test finds one of two good versions running
and leaves one so, and in the end the receiver has every record. `test_life_cycle` updates on every suite.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import versions
from tests.packaging.operation import UNIT, Operation
from tests.rigs.gateway import Done, Gateway

# Packages are built first, and their kernels where nobody has yet.
pytestmark = pytest.mark.timeout(600)

HELPER = "edge-agent-update.service"
FOLDER = "/var/lib/edge-agent-update"
NEW = "9.1.0"
GOOD_S, BAD_S = "8s", "7s"
"""How long to watch: long enough on a busy machine for what must be kept."""


@pytest.fixture(scope="module", params=["bookworm"])
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def debs(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is installed at first, another version, and what may be wrong with one."""
    folder = tmp_path_factory.mktemp("versions")
    good = versions.build(folder, NEW)
    return {
        "first": deb,
        "good": good,
        "crashes at once": versions.build(folder, "9.2.0", versions.CRASHES_AT_ONCE),
        "crashes later": versions.build(folder, "9.3.0", versions.CRASHES_LATER),
        "never connects": versions.build(folder, "9.4.0", versions.NEVER_CONNECTS),
        # Not by the builder, which runs the program to write its manual.
        "starts nothing": versions.altered(versions.build(folder, "9.7.0"), "9.7.0", versions.starts_nothing),
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
    """The version that runs before the test."""
    return running(it)


def running(it: Operation) -> str:
    it.gw.wait(it.status, "a status")
    return str(it.status()["agent"]["version"])


def other(old: str, debs: dict[str, Path]) -> tuple[str, str]:
    """File and version of the good one that does not run."""
    deb = debs["first" if old == NEW else "good"]
    return f"/root/{deb.name}", deb.name.split("_")[1]


def update(gw: Gateway, *arguments: str, watch: str = GOOD_S) -> tuple[Done, dict[str, Any]]:
    done = gw.run("edge-agent", "update", *arguments, "--watch", watch, "--json", check=False)
    return done, json.loads(done.out)


def told(gw: Gateway) -> dict[str, Any]:
    """Empty where the program was taken away under the question: dpkg is at work."""
    said = gw.enter("edge-agent", "update", "--status", "--json", check=False).out
    return dict(json.loads(said)) if said else {}


def is_in(gw: Gateway, phase: str) -> bool:
    return told(gw).get("phase") == phase


def ordered(gw: Gateway, file: str) -> None:
    """And nobody follows it."""
    gw.enter("systemd-run", "--quiet", "--collect", "edge-agent", "update", file, "--watch", GOOD_S)


def state(gw: Gateway, name: str = "edge-agent") -> str:
    return gw.enter("dpkg-query", "-W", "-f", "${Version} ${Status}", name).out


def test_a_good_version_is_kept_and_one_can_go_back_to_the_old_one(gw, it, old, debs) -> None:
    done, result = update(gw, f"/root/{debs['good'].name}")
    assert done.code == 0, done.err
    assert (result["phase"], result["old"], result["new"]) == ("kept", old, NEW)
    assert running(it) == NEW and state(gw) == f"{NEW} install ok installed"
    # What it was compared with: a status whose words nobody understood would compare nothing.
    before = result["before"]
    assert before["devices"] == ["a", "b"] and before["kernels"] == "native"
    assert before["active"] and before["connected"] and before["made"] and before["acked"]
    it.reads_again()
    assert_same_package(gw, debs["first"], result["rollback"])
    done, result = update(gw, "--rollback")
    assert (done.code, result["phase"], result["new"], result["rollback"]) == (0, "kept", old, NEW)
    assert running(it) == old


def assert_same_package(gw: Gateway, deb: Path, version: str) -> None:
    """The package that was made of what was installed: its files, their modes and owners, its scripts."""
    made = gw.enter("sh", "-c", f"echo {FOLDER}/{version}-*.deb").out.strip()
    script = """
    look() { mkdir "/tmp/$1"; dpkg-deb -R "$2" "/tmp/$1/tree"; cd "/tmp/$1/tree"
             find . -printf '%p %y %m %u %g %l\\n' | sort >../list
             sort -o DEBIAN/control DEBIAN/control; cd /; }  # dpkg orders fields its own way
    rm -rf /tmp/one /tmp/other; look one "$1"; look other "$2"
    diff -r --no-dereference /tmp/one /tmp/other
    """
    same = gw.enter("sh", "-c", script, "same", f"/root/{deb.name}", made, check=False)
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
    done, result = update(gw, f"/root/{file}", watch=BAD_S)
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
    first = gw.run("edge-agent", "update", f"/root/{debs['first'].name}")
    assert first.out.endswith("(--force installs it again)\n")
    nobody = gw.run("edge-agent", "update", "/root/short.deb", user="nobody", check=False)
    assert nobody.code == 1 and "only root" in nobody.err
    assert (gw.main_pid(UNIT), gw.files(FOLDER)) == (pid, before)


def test_a_terminal_that_goes_away_does_not_stop_it_and_apt_is_waited_for(gw, it, old, debs) -> None:
    file, new = other(old, debs)
    gw.write("/root/hold", HOLD)
    gw.enter("systemd-run", "--quiet", "--unit=holder", "python3", "/root/hold")
    gw.wait(lambda: gw.exists("/run/held"), "the lock")
    terminal = ("systemd-run", "--quiet", "--unit=terminal", "-pKillSignal=SIGINT", "--setenv=LC_ALL=C.UTF-8")
    gw.enter(*terminal, "edge-agent", "update", file, "--watch", GOOD_S)
    gw.wait(lambda: told(gw).get("waiting_for"), "the lock is noticed")
    assert is_in(gw, "staged") and "python3 (process" in told(gw)["waiting_for"][0]
    second = gw.run("edge-agent", "update", file, check=False)
    assert second.code == 1 and "another update is under way" in second.err
    gw.enter("systemctl", "stop", "terminal")
    assert "The update goes on by itself" in gw.journal("terminal")
    gw.enter("systemctl", "stop", "holder")
    gw.wait(lambda: is_in(gw, "kept"), "the update is kept")
    assert running(it) == new


HOLD = """
import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("/run/held", "w")
time.sleep(60)
"""


def test_a_power_cut_while_dpkg_unpacks_is_resumed_at_the_next_boot(gw, it, old, debs) -> None:
    file, new = other(old, debs)
    ordered(gw, file)
    gw.wait(lambda: is_in(gw, "installing") or gw.exists(f"/usr/lib/edge-agent/{new}"), "installing")
    gw.power_cut()
    gw.boot_again()
    gw.wait(lambda: is_in(gw, "kept"), "the update is kept")
    assert running(it) == new and state(gw) == f"{new} install ok installed"
    assert not gw.exists(f"{FOLDER}/update.json")
    assert f"update from {old} to {new}: installing" in gw.journal(HELPER, "-b", "0"), "it was resumed"
    it.reads_again()


def test_a_power_cut_while_a_version_is_watched_that_starts_nothing_at_all_is_resumed_and_put_back(
    gw, it, old, debs
) -> None:
    """Not its own helper either: that of the old one goes on."""
    ordered(gw, f"/root/{debs['starts nothing'].name}")
    watches = ("grep", "-q", '"phase": "watching"', f"{FOLDER}/update.json")
    gw.wait(lambda: gw.enter(*watches, check=False).code == 0, "watching")
    gw.power_cut()
    gw.boot_again()
    gw.wait(lambda: is_in(gw, "put_back"), "put back")
    assert running(it) == old and state(gw) == f"{old} install ok installed"
    assert f"update from {old} to 9.7.0: watching" in gw.journal(HELPER, "-b", "0"), "it was resumed"
    assert "SyntaxError" in gw.journal(UNIT, "-b", "0"), "what was installed at this boot starts nothing"
    assert not gw.exists(f"{FOLDER}/update.json") and not gw.exists(f"{FOLDER}/program")
    it.reads_again()


def test_after_all_of_it_the_receiver_misses_nothing(gw, it) -> None:
    gw.run("systemctl", "stop", UNIT)
    gw.wait(lambda: it.receiver.of_kind("stop"), "a record of the stop")
    end = it.receiver.finish()
    assert (end["missing"], end["undecodable"]) == (0, 0)
    assert {gap["reason"] for gap in it.receiver.of_kind("gap")} <= {"interrupted", "stopped"}
