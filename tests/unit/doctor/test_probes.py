"""Probes on folders that look like the system's; against the system itself: tests/contract/test_doctor.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.bus.ports import by_id
from edge_agent.clock import FakeClock
from edge_agent.doctor.access import User
from edge_agent.doctor.ports import Kind
from edge_agent.doctor.probes import disk, files, ports, timekeeping, users, versions
from edge_agent.doctor.unit import Unit


class System:
    """Folders like /dev, /sys, /proc and udev's, with one adapter: /dev/null, which is everywhere."""

    def __init__(self, folder: Path) -> None:
        self.running: set[str] = set()
        self.places = ports.Places(
            dev=folder / "dev",
            sys=folder / "sys",
            proc=folder / "proc",
            udev=folder / "udev",
            runs=self._runs,
        )
        self.adapter = folder / "sys/devices/usb1/1-1/1-1:1.0/ttyUSB0"
        self.write(self.adapter / "latency_timer", "16\n")
        self.write(folder / "sys/devices/usb1/1-1/idVendor", "0403\n")
        self.write(folder / "sys/devices/usb1/1-1/power/control", "on\n")
        self.link(self.adapter / "driver", folder / "sys/bus/usb-serial/drivers/ftdi_sio")
        self.link(folder / "sys/dev/char/1:3/device", self.adapter)
        self.link(folder / "sys/dev/char/1:3/subsystem", folder / "sys/class/tty")
        self.write(
            folder / "proc/devices", "Character devices:\n  1 mem\n  4 /dev/vc/0\n\nBlock devices:\n  1 ram\n"
        )
        self.write(folder / "proc/cmdline", "quiet console=ttyS0,115200 console=tty1\n")
        self.write(folder / "sys/class/tty/console/active", "tty0 ttyS0\n")

    def _runs(self, *names):
        return tuple(name for name in names if name in self.running)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, path: Path, target: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def look(self, path: str = "/dev/null", **more):
        return ports.look("line1", path, places=self.places, **more)


@pytest.fixture
def system(tmp_path):
    return System(tmp_path)


def test_an_adapter_is_known_by_its_driver_and_timer(system):
    port = system.look()
    assert (port.kind, port.driver, port.latency_ms, port.major) == (Kind.TTY, "ftdi_sio", 16, 1)
    assert port.driver_names == {"mem"}
    assert not (port.autosuspend or port.consoles or port.getty or port.modem_manager)


def test_the_driver_above_the_kernels_own_layers_is_the_one_meant(system, tmp_path):
    uart = tmp_path / "sys/devices/pnp0/00:00/00:00:0/00:00:0.0"
    for place, name in ((uart, "port"), (uart.parent, "ctrl"), (uart.parent.parent, "serial")):
        system.link(place / "driver", tmp_path / f"sys/bus/drivers/{name}")
    (tmp_path / "sys/dev/char/1:3/device").unlink()
    system.link(tmp_path / "sys/dev/char/1:3/device", uart)
    assert system.look().driver == "serial"


def test_what_is_no_terminal_is_told_from_one(system, tmp_path):
    (tmp_path / "sys/dev/char/1:3/subsystem").unlink()
    system.link(tmp_path / "sys/dev/char/1:3/subsystem", tmp_path / "sys/class/mem")
    assert system.look().kind is Kind.OTHER
    assert system.look(str(tmp_path / "proc/devices")).kind is Kind.OTHER


@pytest.mark.parametrize(("name", "kind"), [("ttyS", Kind.TTY), ("mem", Kind.OTHER), ("", Kind.NO_DRIVER)])
def test_where_sys_shows_nothing_the_number_tells(system, tmp_path, name, kind):
    (tmp_path / "sys/dev/char/1:3/subsystem").unlink()
    system.write(tmp_path / "proc/devices", f"Character devices:\n  1 {name}\n 11 x\n" if name else "")
    assert system.look().kind is kind


def test_the_console_is_found_on_the_command_line_and_among_the_active_ones(system, tmp_path):
    assert ports._consoles(system.places, "ttyS0") == ("kernel command line", "active console")
    assert ports._consoles(system.places, "ttyS1") == ()
    system.write(tmp_path / "proc/cmdline", "console=serial0,115200")
    system.link(tmp_path / "dev/serial0", tmp_path / "dev/ttyAMA0")
    assert ports._consoles(system.places, "ttyAMA0") == ("kernel command line",)


@pytest.mark.parametrize(
    ("said", "runs", "asks"),
    [
        ("E:ID_BUS=usb\n", True, True),
        ("E:ID_BUS=usb\n", False, False),
        ("E:ID_BUS=usb\nE:ID_MM_DEVICE_IGNORE=1\n", True, False),
        ("E:ID_BUS=usb\nE:ID_MM_PORT_IGNORE=1\n", True, False),
        ("", True, False),
    ],
)
def test_modem_manager_asks_what_nobody_keeps_it_off(system, tmp_path, said, runs, asks):
    system.write(tmp_path / "udev/c1:3", said)
    system.running = {"ModemManager.service"} if runs else set()
    assert system.look().modem_manager is asks


def test_a_login_prompt_is_found_by_its_unit(system):
    system.running = {"serial-getty@null.service"}
    assert system.look().getty == "serial-getty@null.service"


def test_power_saving_is_of_the_usb_device_above(system, tmp_path):
    system.write(tmp_path / "sys/devices/usb1/1-1/power/control", "auto\n")
    assert system.look().autosuspend


def test_a_link_that_leads_nowhere_names_where_and_what_is_there(system, tmp_path):
    there, gone = system.places.dev / "serial/by-id/usb-B", system.places.dev / "serial/by-id/usb-A"
    system.link(there, tmp_path / "dev/ttyUSB1")
    gone.symlink_to("../../ttyUSB0")
    port = system.look(str(gone))
    assert (port.real, port.link_to) == ("", "../../ttyUSB0")
    assert str(there) in port.others


def test_ports_are_present_by_their_best_names_once(system, tmp_path):
    system.link(system.places.dev / "serial/by-id/usb-B", tmp_path / "dev/ttyUSB1")
    system.write(tmp_path / "dev/ttyACM0", "")
    assert ports.present(system.places) == [
        str(system.places.dev / "serial/by-id/usb-B"), str(tmp_path / "dev/ttyACM0")
    ]  # fmt: skip
    assert by_id.present(tmp_path / "nowhere") == []


# --- paths ----------------------------------------------------------------------------------------


def test_a_path_is_seen_with_the_folders_above_it_and_those_of_what_a_link_names(tmp_path):
    real = tmp_path / "real" / "file"
    real.parent.mkdir()
    real.write_text("x")
    real.chmod(0o604)
    (tmp_path / "link").symlink_to(real)
    seen = files.look(str(tmp_path / "link"))
    assert str(real.parent) in {one.path for one in seen.nodes}
    assert seen.node.mode == 0o604
    assert files.look(str(tmp_path / "none")).is_missing
    assert files.look(str(real / "below-a-file")).is_missing


def test_the_user_is_the_units_then_the_sockets_then_whoever_asks(tmp_path):
    known = Unit(load_state="loaded", user="daemon", groups=("dialout", "no-such-group"))
    user = users.of_the_agent(known, tmp_path / "none")
    assert (user.name, user.is_service) == ("daemon", True)
    assert users.of_the_agent(Unit(load_state="loaded"), tmp_path).uid == 0
    assert users._anybody(os.geteuid()).uid == os.geteuid()
    assert users._anybody(4_000_000).name == "4000000"


# --- disk -----------------------------------------------------------------------------------------

MOUNTS = r"""21 1 8:1 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/run/up,workdir=/w
22 21 0:5 / /run rw - tmpfs tmpfs rw
23 21 8:2 / /var/lib/my\040data rw - ext4 /dev/sda2 rw
24 21 0:9 / /var/lib/my\040data rw - xfs /dev/sdb1 rw
"""


@pytest.fixture
def mounts(tmp_path):
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(MOUNTS)
    return list(disk._mounts(tmp_path))


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var", "overlay"), ("/run/x", "tmpfs"), ("/running", "overlay"), ("/var/lib/my data/spool", "xfs")],
)
def test_the_last_mount_of_the_longest_name_is_the_one_that_counts(mounts, path, kind):
    found = disk._of(mounts, Path(path))
    assert found is not None and found.kind == kind


def test_an_overlay_whose_upper_folder_is_in_memory_is_known(mounts):
    assert disk._upper_kind(mounts, disk._of(mounts, Path("/"))) == "tmpfs"
    assert disk._upper_kind(mounts, disk._of(mounts, Path("/run"))) == ""


@pytest.mark.parametrize(
    ("life", "reserve", "wear"),
    [
        ("0x01 0x03\n", "0x01\n", (3, 1)),
        ("0x0b 0x01\n", "0x03\n", (11, 3)),
        ("", "", None),
        ("0x00 0x00", "0x00", None),
        ("nonsense", "0x01", None),
    ],
)
def test_wear_is_the_worse_of_the_two_areas(tmp_path, life, reserve, wear):
    (tmp_path / "life_time").write_text(life)
    (tmp_path / "pre_eol_info").write_text(reserve)
    found = disk._wear(tmp_path)
    assert (found and (found.life_used, found.reserve)) == wear


def test_of_a_spool_that_is_not_there_the_nearest_folder_counts(tmp_path):
    assert disk.look(str(tmp_path / "a/b/c")).place == str(tmp_path)
    assert disk.spool(str(tmp_path / "a/b"), User(name="x", uid=0)).look.is_missing


# --- clocks, versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("1800000000\n", 1.8e9), ("", None), ("x", None)])
def test_a_hardware_clock_that_says_nothing_is_none(tmp_path, text, seconds):
    (tmp_path / "since_epoch").write_text(text)
    assert timekeeping.look(FakeClock(), tmp_path).rtc_s == seconds
    assert timekeeping.look(FakeClock(), tmp_path / "none").rtc_s is None


def test_versions_are_those_of_what_is_loaded(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('PRETTY_NAME="Debian 12"\nID=debian\nVERSION_ID="12"\n# x\n')
    found = versions.look("", tmp_path)
    assert all(found.libraries.values()) and not found.missing
    assert (found.system, found.system_id, found.system_version) == ("Debian 12", "debian", "12")
    assert versions.look("", tmp_path / "none").system == ""


def test_what_a_running_agent_removes_while_it_is_counted_is_not_missed(tmp_path, monkeypatch):
    (tmp_path / "stays").write_bytes(bytes(4096))
    there = list(disk._entries(tmp_path))
    monkeypatch.setattr(disk, "_entries", lambda root: iter([root / "removed", *there]))
    state = disk.spool(str(tmp_path), User(name="root", uid=0))
    assert state.used_bytes >= 4096 and state.foreign == ()
