"""The installed service on a kernel of its own: a real driver of a USB adapter that comes late, is pulled out
and put back; limits that the kernel enforces; a clock that begins in 1970; a reboot. `make vm`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.broker import Broker
from tests.e2e.plant import CONFIG, SCRIPT
from tests.e2e.rig import Object, Rig
from tests.rigs import vm, vm_roots
from tests.rigs.vm import ADAPTER_SERIAL, Machine

pytestmark = [pytest.mark.vm, pytest.mark.soak, pytest.mark.needs("vm"), pytest.mark.timeout(900)]

PORT = f"/dev/serial/by-serial/{ADAPTER_SERIAL}"
OPEN = f"import os; os.open('{PORT}', os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)"
EAT = "x = b'x' * (400 << 20); print('eaten')"
BREED = "import threading, time; [threading.Thread(target=time.sleep, args=(9,)).start() for _ in range(400)]"
LATE_S = 180.0
"""Everything is ten times slower in there, and twice that where somebody else works beside it."""
DAY_S = 86400


class ForwardedBroker(Broker):
    """The one in there; only its address is of use."""

    def __exit__(self, *_: object) -> None:
        pass


class VmRig(Rig):
    """Simulator and receiver are here; the agent and its broker are in there."""

    def __init__(self, folder: Path, deb: Path) -> None:
        super().__init__(folder, scripts={"line": SCRIPT}, config=CONFIG)
        places = {"{line}": PORT, "{url}": "mqtt://127.0.0.1:1883", "{spool}": "/var/lib/edge-agent/spool"}
        config = CONFIG
        for place, value in places.items():
            config = config.replace(place, value)
        root = vm_roots.unpacked()
        disk = vm.disk(root, folder, deb, {"/etc/edge-agent/agent.toml": config})
        self.lines["line"].start()
        self.machine = Machine(folder, disk, serial=self.lines["line"].path, kernels=root / "boot")
        self.broker = ForwardedBroker(folder, port=self.machine.broker)

    def __enter__(self) -> VmRig:
        self.machine.boot(clock="1970-01-01T00:01:00")
        self.start_receiver()
        return self

    def __exit__(self, *of: Any) -> None:
        self.machine.power_cut()
        super().__exit__(*of)

    def service(self, *names: str) -> dict[str, str]:
        said = self.machine.run("systemctl", "show", "edge-agent", f"--property={','.join(names)}").out
        return dict(line.split("=", 1) for line in said.splitlines())

    def status(self) -> Object:
        return json.loads(self.machine.run("edge-agent", "status", "--json").out)

    def late(self, condition: Callable[[], Any], what: str) -> Any:
        return self.wait(condition, LATE_S, what)

    def quality(self) -> str:
        """Of the last value that the receiver has of one point."""
        values = [item for item in self.of_kind("sample") if item["point"] == "n0"]
        return values[-1]["quality"] if values else ""


@pytest.fixture(scope="module")
def rig(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmRig]:
    """Each test goes on where the one before it ended."""
    with VmRig(tmp_path_factory.mktemp("vm"), deb) as rig:
        yield rig


def test_it_starts_in_1970_without_adapter_and_driver_and_says_so(rig) -> None:
    assert rig.machine.run("cat", "/sys/class/rtc/rtc0/date").out == "1970-01-01\n"
    # systemd takes its own birthday for the least that can be true.
    assert int(rig.machine.run("date", "+%s").out) < time.time() - DAY_S
    assert "ftdi_sio" not in rig.machine.run("cat", "/proc/modules").out
    assert rig.service("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    status = rig.status()
    assert status["agent"]["clock_synchronised"] is False
    assert status["agent"]["kernels"] == "native"
    [bus] = status["buses"]
    assert bus["state"] == "missing" and bus["hint"]


def test_an_adapter_is_read_whose_driver_is_loaded_after_the_service(rig) -> None:
    before = rig.service("MainPID")
    rig.machine.plug()
    rig.late(lambda: rig.quality() == "good", "good values")
    assert "ftdi_sio" in rig.machine.run("cat", "/proc/modules").out
    assert rig.service("MainPID") == before


def test_udev_names_the_adapter_by_its_serial_makes_it_quick_and_keeps_others_off(rig) -> None:
    device = rig.machine.run("readlink", "-f", PORT).out.strip()
    assert device.startswith("/dev/ttyUSB")
    timer = f"/sys/class/tty/{Path(device).name}/device/latency_timer"
    assert rig.machine.run("cat", timer).out == "1\n"
    chip = rig.machine.run("sh", "-c", f"grep -l {ADAPTER_SERIAL} /sys/bus/usb/devices/*/serial").out.strip()
    properties = rig.machine.run("udevadm", "info", "--query=property", str(Path(chip).parent)).out
    assert "ID_MM_DEVICE_IGNORE=1" in properties.splitlines()


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (("DevicePolicy=closed",), "Operation not permitted"),
        (("DevicePolicy=closed", "DeviceAllow=char-188 rw"), ""),
    ],
    ids=["none", "ttyUSB"],
)
def test_the_kernel_enforces_which_devices_may_be_opened(rig, rules, error) -> None:
    done = rig.machine.run(*in_a_unit(rules), "python3", "-c", OPEN, check=False)
    assert error in done.err and bool(done.code) == bool(error)


def test_a_pulled_adapter_makes_its_points_bad_and_comes_back_by_itself(rig) -> None:
    before = rig.service("MainPID", "NRestarts")
    rig.machine.unplug()
    rig.late(lambda: rig.quality() == "port_down", "bad values")
    assert not rig.machine.run("ls", "/dev").out.count("ttyUSB")
    rig.machine.plug()
    rig.late(lambda: rig.quality() == "good", "good values")
    assert rig.service("MainPID", "NRestarts") == before
    journal = rig.machine.run("journalctl", "-u", "edge-agent", "-o", "cat").out
    assert journal.count(" is open") == 2


def test_a_clock_that_is_set_at_last_is_declared_and_nothing_is_lost(rig) -> None:
    now = time.time()
    rig.machine.run("date", "-s", f"@{now:.0f}")
    jump = rig.late(lambda: rig.of_kind("clock_set"), "the jump")
    print(jump)
    rig.late(lambda: rig.of_kind("sample")[-1]["t"] > now - 1, "samples of today")


@pytest.mark.parametrize(
    ("limit", "program", "error"),
    [("MemoryMax", EAT, "oom-kill"), ("TasksMax", BREED, "can't start new thread")],
    ids=["memory", "tasks"],
)
def test_the_kernel_enforces_the_limits_of_the_unit(rig, limit, program, error) -> None:
    value = rig.service(limit)[limit]
    allowed = rig.machine.run(*in_a_unit(()), "python3", "-c", program, check=False)
    assert allowed.code == 0, allowed.err
    refused = rig.machine.run(*in_a_unit((f"{limit}={value}",)), "python3", "-c", program, check=False)
    assert refused.code and error in refused.err


def test_after_a_reboot_the_service_is_back_and_declares_the_pause(rig) -> None:
    epochs = {item["epoch"] for item in rig.of_kind("start")}
    rig.machine.reboot()
    rig.machine.plug()
    rig.late(lambda: {item["epoch"] for item in rig.of_kind("start")} - epochs, "another start")
    rig.late(lambda: rig.quality() == "good", "good values")
    assert "stopped" in {gap["reason"] for gap in rig.of_kind("gap")}
    rig.machine.run("systemctl", "stop", "edge-agent")
    assert rig.finish()["missing"] == 0


def in_a_unit(rules: tuple[str, ...]) -> tuple[str, ...]:
    settings = [f"--property={rule}" for rule in rules]
    return ("systemd-run", "--wait", "--pipe", "--collect", *settings, "--")
