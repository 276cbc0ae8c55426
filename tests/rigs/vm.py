"""A gateway with a kernel of its own: Debian in qemu, without hardware acceleration, with a USB adapter that
can be pulled out. Needs root to make its disk.

    disk = vm.disk(vm_roots.unpacked(), folder, deb, files={"/etc/edge-agent/agent.toml": text})
    with vm.Machine(folder, disk, serial=line.path) as machine:
        machine.boot(clock="1970-01-01")      # half a minute; the adapter is not plugged in
        machine.plug(); machine.unplug()      # an FTDI chip whose wire is the pty `serial`
        machine.run("systemctl", "is-active", "edge-agent").out
        machine.reboot(); machine.power_cut(); machine.boot()

What `gateway` cannot show: drivers and udev, DeviceAllow with a driver that comes late, limits of memory and
of tasks, a clock that is wrong. It reaches nothing; its port 1883 is `machine.broker` on the host's loopback.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.contract.broker import free_port
from tests.rigs.gateway import Done

_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs", "mmdebstrap": "mmdebstrap"}
ADAPTER_SERIAL = "FT4711"
_DISK = "1800M"
_BOOT_S = 180.0
_END_S = 60.0
# root, place, package, files: all that is in the folder `files` is put over the root.
_MAKE_DISK = r"""
root=$1 place=$2 deb=$3 size=$4
mkdir -p "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$place/upper,workdir=$place/work" "$place/root"
cp "$deb" "$place/root/edge-agent.deb"
chroot "$place/root" dpkg -i /edge-agent.deb
cp -r "$place/files/." "$place/root/"
chroot "$place/root" chown -R root:edge-agent /etc/edge-agent/agent.toml
chroot "$place/root" systemctl -q enable edge-agent mosquitto systemd-networkd
mke2fs -q -F -t ext4 -d "$place/root" "$place/disk" "$size"
"""
_SYSTEM_FILES = {
    "/etc/systemd/network/10-all.network": "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\n",
    "/etc/mosquitto/conf.d/all.conf": "listener 1883\nallow_anonymous true\nmax_queued_messages 0\n",
}


@functools.cache
def why_not() -> str:
    """Why there is no machine here; empty where there is."""
    if os.geteuid() != 0:
        return "the disk of a virtual machine is made by root"
    for program, package in _PROGRAMS.items():
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin"):
            return f"{program} of {package} is missing: `make vm` installs it"
    return ""


def disk(root: Path, folder: Path, deb: Path, files: Mapping[str, str]) -> Path:
    """A disk with the system, the package installed and enabled, and `files` (path to text)."""
    for path, text in (_SYSTEM_FILES | dict(files)).items():
        target = folder / "files" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _MAKE_DISK, "disk"]
    done = subprocess.run([*command, *map(str, (root, folder, deb)), _DISK], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return folder / "disk"


class Machine:
    """Off until `boot`. `serial`: a terminal of this machine, the far end of the adapter's wire."""

    def __init__(self, folder: Path, disk: Path, *, serial: str, kernels: Path) -> None:
        self.console = folder / "console"
        self.broker = free_port()
        self._folder = folder
        self._disk = disk
        self._serial = serial
        self._kernels = kernels
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: _Channel | None = None
        self._agent: _Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.power_cut()

    def boot(self, *, clock: str = "utc") -> None:
        """Returns when systemd says running, or degraded. `clock`: what its hardware clock says."""
        assert self._qemu is None, "it is running"
        with self.console.open("ab") as console:
            self._qemu = subprocess.Popen(
                self._command(clock), stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        self._monitor = _Channel(self._folder / "monitor", self._qemu)
        self._monitor.reply()
        self._monitor.ask("qmp_capabilities")
        self._agent = _Channel(self._folder / "agent", self._qemu)
        self._await_boot()

    def run(self, *command: str, check: bool = True, timeout_s: float = 120.0) -> Done:
        """A command of its root, by the guest agent."""
        assert self._agent is not None
        arguments = {"path": command[0], "arg": command[1:], "capture-output": True}
        pid = self._agent.ask("guest-exec", arguments)["pid"]
        deadline = time.monotonic() + timeout_s
        while not (state := self._agent.ask("guest-exec-status", {"pid": pid}))["exited"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"{' '.join(command)} takes longer than {timeout_s} s")
            time.sleep(0.05)
        out, err = (base64.b64decode(state.get(key, "")).decode() for key in ("out-data", "err-data"))
        result = Done(command, state.get("exitcode", -state.get("signal", 0)), out, err)
        return result.checked() if check else result

    def plug(self) -> None:
        """Put the adapter in."""
        assert self._monitor is not None
        device = {"driver": "usb-serial", "id": "adapter", "chardev": "wire", "bus": "usb.0"}
        self._monitor.ask("device_add", device | {"serial": ADAPTER_SERIAL})

    def unplug(self) -> None:
        assert self._monitor is not None
        self._monitor.ask("device_del", {"id": "adapter"})
        self._monitor.until("DEVICE_DELETED")

    def reboot(self) -> None:
        """In order, as by `systemctl reboot`; the adapter is out afterwards."""
        assert self._qemu is not None
        self.run("systemd-run", "--on-active=1s", "systemctl", "reboot")
        self._qemu.wait(_END_S)
        self._off()
        self.boot()

    def power_cut(self) -> None:
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._off()

    def _off(self) -> None:
        for channel in (self._monitor, self._agent):
            if channel is not None:
                channel.close()
        self._qemu = self._monitor = self._agent = None

    def _await_boot(self) -> None:
        assert self._agent is not None
        self._agent.wait_for_guest(time.monotonic() + _BOOT_S)
        deadline = time.monotonic() + _BOOT_S
        while self.run("systemctl", "is-system-running", check=False).out.strip() not in (
            "running",
            "degraded",
        ):
            assert time.monotonic() < deadline, self.console.read_text(errors="replace")[-3000:]
            time.sleep(0.5)

    def _command(self, clock: str) -> list[str]:
        [kernel] = self._kernels.glob("vmlinuz-*")
        [initrd] = self._kernels.glob("initrd.img-*")
        append = "root=/dev/vda rw console=ttyS0 quiet mitigations=off"
        agent = f"socket,id=agent,path={self._folder / 'agent'},server=on,wait=off"
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.broker}-:1883"
        return [
            # Nothing else ends it when the test's process is killed.
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
            "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-rtc", f"base={clock}",
            "-kernel", str(kernel), "-initrd", str(initrd), "-append", append,
            "-drive", f"file={self._disk},if=virtio,format=raw,cache=unsafe",
            "-netdev", network, "-device", "virtio-net,netdev=net",
            "-device", "qemu-xhci,id=usb", "-chardev", f"serial,id=wire,path={self._serial}",
            "-device", "virtio-serial", "-chardev", agent,
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-qmp", f"unix:{self._folder / 'monitor'},server=on,wait=off",
        ]  # fmt: skip


class _Channel:
    """Questions and answers in JSON, a line each, over a socket of qemu's."""

    def __init__(self, path: Path, qemu: subprocess.Popen[bytes]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                if qemu.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._socket.settimeout(60)
        self._lines = self._socket.makefile("rb")
        self._events: list[str] = []

    def ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        question = {"execute": command} | ({"arguments": arguments} if arguments else {})
        self._socket.sendall(json.dumps(question).encode() + b"\n")
        while "event" in (answer := self.reply()):
            self._events.append(answer["event"])
        if "error" in answer:
            raise AssertionError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def reply(self) -> Any:
        return json.loads(self._lines.readline())

    def until(self, event: str) -> None:
        while event not in self._events:
            self._events.append(self.reply().get("event", ""))
        self._events.clear()

    def wait_for_guest(self, deadline: float) -> None:
        """The guest's end answers only when its agent runs; what was asked before is answered then."""
        self._socket.settimeout(max(1.0, deadline - time.monotonic()))
        self.ask("guest-ping")
        self._socket.settimeout(60)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.close()
            self._socket.close()
