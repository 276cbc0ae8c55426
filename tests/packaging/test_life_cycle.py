"""The package from the first installation to the last trace of it, by apt and dpkg alone.

One gateway per suite goes through it in this order: upgraded under load, upgraded to what stores differently
and back, the power cut in the middle of upgrades, removed and installed again, purged.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import versions
from tests.packaging.operation import FILE, UNIT, Operation
from tests.rigs import gateway, roots
from tests.rigs.gateway import Gateway

# Packages are built first, and their kernels where nobody has yet.
pytestmark = [pytest.mark.needs("cc"), pytest.mark.timeout(600)]

OLD, NEW, NEWER = "9.0.0", "9.1.0", "9.2.0"
PROGRAM = "/usr/lib/edge-agent"
STATE = ("/etc/edge-agent", "/var/lib/edge-agent")
SYSTEM = ("/etc", "/usr", "/var", "/opt", "/srv", "/home", "/root")
LOGS = re.compile(
    r"/var/(log|cache|tmp|lib/(apt|dpkg|systemd/(catalog|random-seed|timers)))(/|$)|/root/|/usr/local/lib/stop_at"
    r"|/etc/g?shadow-$|/etc/(passwd|group)-$"
)
"""The system's own books: of what was installed, and the accounts as they were before the last change of one,
which the tools for them keep. And what this test brings."""
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("versions")
    return {
        OLD: versions.build(folder, OLD),
        NEW: versions.build(folder, NEW),
        NEWER: versions.build(folder, NEWER, *versions.NEWER_SPOOL),
    }


@pytest.fixture(scope="module")
def gw(suite: str, debs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What the package depends on is there, the package is not."""
    library = tmp_path_factory.mktemp("preload") / "stop_at.so"
    source = Path(__file__).with_name("stop_at.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    with gateway.boot(roots.unpacked(suite)) as gw:
        gw.run("apt-get", "install", "-q", "-y", *roots.DEPENDS)
        gw.copy_in(library, "/usr/local/lib/stop_at.so")
        for deb in debs.values():
            gw.copy_in(deb, f"/root/{deb.name}")
        yield gw


@pytest.fixture(scope="module")
def before(gw: Gateway) -> tuple[dict[str, str], dict[str, str]]:
    """Files and accounts of the system without the package."""
    return listing(gw, *SYSTEM), accounts(gw)


@pytest.fixture(scope="module")
def it(gw: Gateway, before: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    apt(gw, OLD)
    with Operation(gw, tmp_path_factory.mktemp("life")) as it:
        it.begin()
        yield it


def file_of(version: str) -> str:
    return f"/root/edge-agent_{version}_{versions.architecture()}.deb"


def apt(gw: Gateway, version: str) -> None:
    """As an unattended upgrade does: nobody is there to be asked."""
    gw.run("apt-get", "install", "-q", "-y", "--allow-downgrades", file_of(version))


def listing(gw: Gateway, *folders: str) -> dict[str, str]:
    return {path: what for path, what in gw.files(*folders).items() if not LOGS.match(path)}


def accounts(gw: Gateway) -> dict[str, str]:
    return {path: gw.read(path) for path in ACCOUNTS}


def running(it: Operation) -> str:
    it.gw.wait(it.status, "a status")
    return str(it.status()["agent"]["version"])


def test_an_upgrade_under_load_loses_nothing_and_asks_nothing(gw, it) -> None:
    """With an edited configuration, and a terminal that is not there."""
    gw.enter("sh", "-c", f"echo '# by hand' >>{FILE}")
    edited, state = gw.read(FILE), listing(gw, *STATE)
    pid = gw.main_pid(UNIT)
    apt(gw, NEW)
    it.was_restarted()
    it.reads_again()
    assert running(it) == NEW and gw.main_pid(UNIT) != pid
    assert gw.read(FILE) == edited
    after = listing(gw, *STATE)
    assert {path: after.get(path) for path in state if "/spool/" not in path} == {
        path: what for path, what in state.items() if "/spool/" not in path
    }
    assert gw.files(PROGRAM).keys() >= {PROGRAM, f"{PROGRAM}/{NEW}/zz-complete"}
    assert not gw.exists(f"{PROGRAM}/{OLD}"), "nothing is left of the old version"
    verdict = it.finish()
    print(f"\n{verdict.figures()}")
    assert not (faults := verdict.faults()), faults[:5]
    assert not verdict.losses
    assert it.receiver.of_kind("end")[-1]["missing"] == 0
    it.receiver.start()
    gw.run("systemctl", "start", UNIT)


def test_what_a_newer_version_stored_is_set_aside_and_declared_by_an_older_one(gw, it) -> None:
    it.reads_again()
    apt(gw, NEWER)
    it.reads_again()
    it.broker.stop()
    gw.wait(lambda: sum(it.status()["spool"]["unacked"].values()) > 50, "a backlog in the newer format")
    apt(gw, NEW)
    assert running(it) == NEW
    aside = [path for path in gw.files("/var/lib/edge-agent/spool/quarantine") if path.endswith(".seg")]
    assert aside
    it.broker.start()
    it.reads_again()
    gw.run("systemctl", "stop", UNIT)
    end = it.receiver.finish()
    assert (end["missing"], end["undecodable"]) == (0, 0), "what is not there is declared"
    assert end["gaps"]
    it.receiver.start()
    gw.run("systemctl", "start", UNIT)
    it.reads_again()


# --- interrupted --------------------------------------------------------------------------------


CUTS = {
    "half of the program is new": f"rename:{PROGRAM}/{{new}}/edge_agent/errors.py",
    "half of the old one is gone": f"unlink:{PROGRAM}/{{old}}/edge_agent/errors.py",
}
"""`test_interrupted_unpack` tries each change of a name; here a system boots with what is left."""


def stopping(version: str, old: str, point: str) -> list[str]:
    """dpkg, which stops itself before that call."""
    where = point.format(new=version, old=old)
    return ["env", "LD_PRELOAD=/usr/local/lib/stop_at.so", f"STOP_AT={where}", "dpkg", "-i", file_of(version)]


@pytest.mark.parametrize("point", CUTS.values(), ids=CUTS.keys())
def test_a_power_cut_while_dpkg_works_leaves_the_old_or_the_new_one_running(gw, it, point: str) -> None:
    old = running(it)
    new = NEW if old == OLD else OLD
    stopped = gw.popen(*stopping(new, old, point), stdout=subprocess.DEVNULL)
    stat = f"/proc/{stopped.pid}/stat"
    deadline = time.monotonic() + 30
    while Path(stat).read_text().rpartition(")")[2].split()[0] != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Path(stat).read_text().rpartition(")")[2].split()[0] == "T", "dpkg has come to the point"
    # nsenter stops with its child, and would not let go of it when the power is cut.
    stopped.kill()
    stopped.wait()
    gw.power_cut()
    gw.boot_again()
    it.reads_again()
    assert running(it) in (old, new)
    gw.run("dpkg", "-i", file_of(new))
    assert running(it) == new
    assert gw.run("dpkg", "--audit").out == ""


# --- the end ------------------------------------------------------------------------------------


def test_a_removal_keeps_state_and_an_installation_goes_on_with_it(gw, it) -> None:
    gw.run("systemctl", "stop", UNIT)
    kept, known = listing(gw, *STATE), accounts(gw)
    version = NEW
    gw.run("apt-get", "remove", "-q", "-y", "edge-agent")
    assert listing(gw, *STATE) == kept and accounts(gw) == known
    left = [path for path in listing(gw, *SYSTEM) if "edge-agent" in path and not path.startswith(STATE)]
    # Whether it was enabled, by the link and by Debian's own book of it.
    enabled = ("/etc/systemd/", "/var/lib/systemd/deb-systemd-helper-enabled/")
    assert [path for path in left if not path.startswith(enabled)] == []
    apt(gw, version)
    gw.run("systemctl", "enable", "--now", UNIT)
    it.reads_again()
    gw.run("systemctl", "stop", UNIT)
    end = it.receiver.finish()
    assert (end["missing"], end["undecodable"]) == (0, 0)


def test_a_purge_leaves_nothing_but_the_systems_own_logs(gw, it, before) -> None:
    gw.run("systemctl", "start", UNIT)
    gw.run("edge-agent", "update", file_of(NEW), "--force", "--watch", "8s")
    assert gw.exists("/var/lib/edge-agent-update/result.json")
    files, known = before
    gw.run("apt-get", "purge", "-q", "-y", "edge-agent")
    after = listing(gw, *SYSTEM)
    assert {path: what for path, what in after.items() if files.get(path) != what} == {}
    assert files.keys() - after.keys() == set()
    assert accounts(gw) == known
    assert gw.run("systemctl", "--failed", "--quiet").out == ""
    assert "edge-agent" not in gw.run("systemctl", "list-unit-files", "edge-agent*", check=False).out
    assert "edge-agent" not in gw.enter("sh", "-c", "ls /run").out


def test_the_listing_would_show_a_file_that_is_left(gw, before) -> None:
    files, _ = before
    gw.write("/etc/left/behind", "")
    assert {"/etc/left", "/etc/left/behind"} <= listing(gw, *SYSTEM).keys() - files.keys()
