"""That a gateway is what it says: a system of its own under systemd whose rules are enforced, whose power can
be cut, and of which nothing is left."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rigs import gateway, roots
from tests.rigs.enclosure import Enclosure
from tests.rigs.gateway import Gateway
from tests.rigs.outside import Broker

pytestmark = pytest.mark.needs("gateway")


@pytest.fixture(scope="module", params=roots.SUITES)
def gw(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    with gateway.boot(roots.unpacked(request.param)) as gw:
        yield gw


@pytest.fixture(scope="module")
def bookworm() -> Path:
    return roots.unpacked("bookworm")


@pytest.fixture
def ptys() -> Iterator[list[str]]:
    """Two adapters."""
    pairs = [pty.openpty() for _ in range(2)]
    yield [os.ttyname(slave) for _, slave in pairs]
    for fd in (fd for pair in pairs for fd in pair):
        os.close(fd)


def test_it_is_a_fresh_system_under_systemd_with_nothing_failed(gw) -> None:
    assert gw.read("/proc/1/comm") == "systemd\n"
    assert gw.run("systemctl", "is-system-running").out == "running\n"
    assert gw.read("/etc/hostname") == "gateway\n"
    for name in roots.DEPENDS:
        assert gw.run("dpkg", "-s", name, check=False).code == 1, name


def test_it_has_no_network_but_its_own_loopback(gw) -> None:
    devices = [line.split(":")[0].strip() for line in gw.read("/proc/net/dev").splitlines()[2:]]
    assert devices == ["lo"]


def test_what_our_package_needs_installs_without_network(gw) -> None:
    gw.run("apt-get", "install", "-q", "-y", *roots.DEPENDS)
    gw.run("python3", "-c", "import serial, msgpack, systemd.journal, cryptography")


def test_a_command_says_what_it_printed_and_how_it_ended(gw) -> None:
    done = gw.run("sh", "-c", "cat; echo wrong >&2; exit 3", check=False, input="given\n")
    assert (done.code, done.out, done.err) == (3, "given\n", "wrong\n")
    with pytest.raises(AssertionError, match="exit status 3\nsaid"):
        gw.run("sh", "-c", "echo said; exit 3")
    assert gw.run("id", "-un", user="nobody").out == "nobody\n"


def test_run_may_what_the_gateways_root_may_and_enter_more(gw) -> None:
    """Setting the clock (CAP_SYS_TIME, bit 25) is what no container may."""

    def may_set_clock(status: str) -> bool:
        effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
        return bool(int(effective.split()[1], 16) >> 25 & 1)

    assert not may_set_clock(gw.run("cat", "/proc/self/status").out)
    assert may_set_clock(gw.enter("cat", "/proc/self/status").out)


OPEN = "import os; os.open('/dev/ttyUSB7', os.O_RDWR | os.O_NOCTTY)"
SEND = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9)); exit('sent')"
CONNECT = "import socket; socket.socket().connect(('127.0.0.1', 1883))"


@pytest.mark.parametrize(
    ("rules", "program", "error"),
    [
        ((), OPEN, "No such device or address"),
        (("DevicePolicy=closed",), OPEN, "Operation not permitted"),
        (("DevicePolicy=closed", "DeviceAllow=char-188 rw"), OPEN, "No such device or address"),
        ((), SEND, "sent"),
        (("IPAddressDeny=any",), SEND, "Operation not permitted"),
    ],
)
def test_rules_for_devices_and_addresses_are_enforced(gw, rules, program: str, error: str) -> None:
    """Without the filter by bpf and the capabilities given to nspawn they are not, and nobody is told."""
    gw.enter("sh", "-c", "test -e /dev/ttyUSB7 || mknod -m 666 /dev/ttyUSB7 c 188 7")
    unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    done = gw.run(*unit, *(f"-p{rule}" for rule in rules), "python3", "-c", program, check=False)
    assert error in done.err


def test_files_have_the_owner_and_mode_they_are_given(gw, tmp_path) -> None:
    gw.write("/etc/new/key", "secret", owner="root:dialout", mode=0o640)
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    gw.copy_in(tmp_path / "tool", "/usr/local/bin/tool", mode=0o755)
    assert gw.read("/etc/new/key") == "secret"
    assert gw.exists("/etc/new/key") and not gw.exists("/etc/new/lock")
    assert gw.files("/etc/new")["/etc/new/key"].split() == ["f", "640", "root:dialout"]
    gw.run("/usr/local/bin/tool")


def test_a_plugged_adapter_is_for_its_group_and_another_one_is_another_file(gw, ptys) -> None:
    for device in ptys:
        gw.plug(device)
        assert gw.enter("readlink", "/dev/ttyUSB0").out.strip() == f"/dev/hostpts/{Path(device).name}"
        assert gw.enter("stat", "-Lc", "%a %U:%G", "/dev/ttyUSB0").out == "660 root:dialout\n"
        assert "Permission denied" in gw.run("sh", "-c", ": </dev/ttyUSB0", user="nobody", check=False).err
    gw.unplug()
    assert not gw.exists("/dev/ttyUSB0")


def test_a_power_cut_ends_all_inside_and_nothing_outside(bookworm, tmp_path, ptys) -> None:
    with gateway.boot(bookworm) as gw, Broker(gw, tmp_path) as broker:
        gw.plug(ptys[0])
        gw.write("/root/kept", "x")
        gw.write("/run/gone", "x")
        gw.run("systemd-run", "--unit=lives", "sleep", "inf")
        assert gw.main_pid("lives.service") > 0
        gw.power_cut()
        assert not gw.running and broker.running
        gw.boot_again()
        assert gw.read("/root/kept") == "x"
        assert not gw.exists("/run/gone")
        assert gw.main_pid("lives.service") == 0
        assert gw.exists("/dev/ttyUSB0")
        gw.run("python3", "-c", CONNECT)
        assert "Started lives.service" in gw.journal("", "-b", "-1")
        assert "lives.service" not in gw.journal("", "-b")


def test_an_orderly_stop_lets_services_end(bookworm) -> None:
    with gateway.boot(bookworm) as gw:
        unit = [
            "systemd-run",
            "--unit=said",
            "--service-type=exec",
            "-pExecStop=/usr/bin/touch /root/stopped",
        ]
        gw.run(*unit, "sleep", "inf")
        gw.stop()
        # Its number would be that of our own process group.
        with pytest.raises(AssertionError, match="it is off"):
            gw.power_cut()
        gw.boot_again()
        assert gw.exists("/root/stopped")


def test_gateways_do_not_see_each_other(bookworm, tmp_path) -> None:
    with gateway.boot(bookworm) as one, gateway.boot(bookworm) as two:
        one.write("/root/mine", "x")
        assert not two.exists("/root/mine")
        # The same port for both: each has its own.
        with Broker(one, tmp_path / "one"), Broker(two, tmp_path / "two"):
            one.power_cut()
            assert two.run("systemctl", "is-system-running").out == "running\n"


def test_a_layer_holds_what_was_made_and_what_was_removed(bookworm, tmp_path) -> None:
    def prepare(gw: Gateway) -> None:
        gw.write("/root/made", "x")
        gw.run("rm", "-r", "/usr/share/common-licenses")

    layer = gateway.layer(bookworm, tmp_path / "layer", prepare)
    for _ in range(2):
        with gateway.boot(bookworm, layer) as gw:
            assert gw.read("/root/made") == "x"
            assert not gw.exists("/usr/share/common-licenses")
            gw.run("rm", "/root/made")
    assert (bookworm / "usr/share/common-licenses").exists()
    assert not (bookworm / "root/made").exists()


def test_what_is_waited_for_in_vain_shows_the_journal(gw) -> None:
    gw.run("systemd-cat", "echo", "the last words")
    with pytest.raises(AssertionError, match=r"(?s)a miracle did not come true.*the last words"):
        gw.wait(lambda: False, "a miracle", timeout_s=0.3)


# --- what is left ---------------------------------------------------------------------------------

LIVES = """
import sys, time
from tests.rigs import gateway, roots
from tests.rigs.outside import Broker
from pathlib import Path
gw = gateway.boot(roots.unpacked("bookworm"))
Broker(gw, Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(600)
"""


def traces(pid: int) -> list[str]:
    """Whatever a gateway of a process has on this machine: cgroups, mounts, folders, processes."""
    name = f"edge-agent-{pid}-"
    groups = [
        place for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") for place in Path(top).glob(f"{name}*")
    ]
    folders = list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"{name}*"))
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    processes = [command for command in commands if name.encode() in command]
    return [*map(str, groups), *map(str, folders), *mounts, *map(repr, processes)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_it_when_its_process_is_killed(tmp_path, number) -> None:
    command = [sys.executable, "-c", LIVES, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert traces(process.pid)
        process.send_signal(number)
    deadline = time.monotonic() + 60
    while traces(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not traces(process.pid)


def test_nothing_is_left_of_a_closed_one(bookworm, tmp_path) -> None:
    before = traces(os.getpid())
    with gateway.boot(bookworm) as gw, Broker(gw, tmp_path):
        assert set(traces(os.getpid())) > set(before)
    assert traces(os.getpid()) == before


def test_nothing_is_left_of_one_that_cannot_boot(tmp_path) -> None:
    before = traces(os.getpid())
    with pytest.raises(RuntimeError, match="did not boot"):
        gateway.boot(tmp_path)
    assert traces(os.getpid()) == before


def test_nothing_is_left_where_no_walls_are_allowed(tmp_path, monkeypatch) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = traces(os.getpid())
    with pytest.raises(OSError, match="no walls"):
        Enclosure([tmp_path])
    assert traces(os.getpid()) == before
