"""A gateway for tests: a fresh Debian under a real systemd, in a container of its own. Needs root.

    root = roots.unpacked("bookworm")              # or "trixie": fresh, minimal, without network
    with gateway.boot(root) as gw:                 # PID 1 is systemd; about half a second
        gw.install(deb)                            # apt-get install /root/x.deb
        gw.write("/etc/edge-agent/agent.toml", text, owner="root:edge-agent", mode=0o640)
        gw.plug(os.path.realpath(line.path))       # the pty of a SimulatedLine becomes /dev/ttyUSB0
        gw.run("systemctl", "enable", "--now", "edge-agent")
        gw.wait(lambda: "polling" in gw.journal("edge-agent"), "polling")
        gw.power_cut()
        gw.boot_again()                            # the same disk, the same adapter

boot(root, *layers)           a running Gateway; `layers`: folders over the root, see `layer`
layer(root, target, prepare)  the folder `target` with what `prepare(gw)` left in a gateway: to boot an
                              installed package many times without installing it each time
run(*command)                 what root, or `user=`, of the gateway may, by systemd-run: .code .out .err;
                              AssertionError with all it said unless it ends with 0, or check=False
enter(*command)               faster, but with all that root of this machine may, outside every cgroup:
                              to look and to prepare, never to show that something is allowed
popen(*command)               as enter, and not waited for
popen_outside(*command)       a program of this machine at the gateway's 127.0.0.1; `outside` has a broker
                              and a receiver ready made
install(*debs)                unattended, without network
copy_in(file, target), write(target, text)     with owner= and mode=
read(path), exists(path), files(*folders)      text; whether; a listing to compare
path(path)                    where it is for this machine, while it runs
journal(unit, *options)       the messages only, of all boots; "-b": of this one, "-b", "-1": the one before
properties(unit, *names)      systemctl show
main_pid(unit), host_pid(n)   inside, 0 where it does not run; the number it has on this machine
wait(condition, what)         until it is true; its value. Otherwise the journal is in the error
plug(pty), unplug()           /dev/ttyUSB0, or name=, root:dialout 0660. Another pty: another device file
power_cut(), stop(), boot_again(), close()     close is the end of `with`; nothing is left of a gateway,
                              also when the test's process is killed (see `enclosure`)

A power cut here is one for processes. The disk is memory of this machine: what was written stays, synced or
not. What a power cut does to files is the business of `disks`.

What is not as on a machine: no udev; the kernel and the clock are this machine's; a pty knows no parity and
no modem lines; MemoryMax, TasksMax and CPUQuota are accepted and not enforced. DevicePolicy always allows a
pty, so DeviceAllow is tried with a node without a driver: enter("mknod", "-m", "666", "/dev/ttyUSB7", "c",
"188", "7"); who may open it gets ENXIO, who may not EPERM.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from tests.rigs.container import PATH, Container
from tests.rigs.enclosure import why_not

__all__ = ["Done", "Gateway", "boot", "layer", "why_not"]

_COMMAND_S = 120.0
_DIALOUT = 20
"""Debian's static number of the group."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    def checked(self) -> Self:
        if self.code:
            raise AssertionError(f"{' '.join(self.command)}: exit status {self.code}\n{self.out}{self.err}")
        return self


def boot(root: Path, *layers: Path) -> Gateway:
    """A gateway from a root, and from `layers` over it, the topmost first; running when this returns."""
    gw = Gateway([*layers, root])
    try:
        gw.boot_again()
    except BaseException:
        gw.close()
        raise
    return gw


def layer(root: Path, target: Path, prepare: Callable[[Gateway], object]) -> Path:
    """What `prepare` changed in a gateway that was then shut down, in the folder `target`, for `boot`."""
    with boot(root) as gw:
        prepare(gw)
        gw.stop()
        gw.save(target)
    return target


class Gateway(Container):
    """One gateway; see the module."""

    def __init__(self, lower: Sequence[Path]) -> None:
        super().__init__(lower)
        self._plugged: dict[str, str] = {}

    # --- commands ---------------------------------------------------------------------------------

    def run(
        self,
        *command: str,
        user: str = "",
        check: bool = True,
        input: str | None = None,
        timeout_s: float = _COMMAND_S,
    ) -> Done:
        who = (f"--uid={user}",) if user else ()
        settings = (f"--setenv={PATH}", "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8")
        unit = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", *settings, *who, "--")
        return self.enter(*unit, *command, check=check, input=input, timeout_s=timeout_s)

    def enter(
        self, *command: str, check: bool = True, input: str | None = None, timeout_s: float = _COMMAND_S
    ) -> Done:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(
            self.entering(command), capture_output=True, text=True, timeout=timeout_s, **given
        )
        result = Done(command, done.returncode, done.stdout, done.stderr)
        return result.checked() if check else result

    def install(self, *debs: Path) -> Done:
        """As a person would with files in /root, but unattended."""
        inside = [f"/root/{deb.name}" for deb in debs]
        for deb, target in zip(debs, inside, strict=True):
            self.copy_in(deb, target)
        return self.run("apt-get", "install", "-q", "-y", *inside)

    # --- files ------------------------------------------------------------------------------------

    def copy_in(self, source: Path, target: str, *, owner: str = "root:root", mode: int = 0o644) -> None:
        with source.open("rb") as file:
            self._take(file, target, owner, mode)

    def write(self, target: str, text: str, *, owner: str = "root:root", mode: int = 0o644) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.seek(0)
            self._take(file, target, owner, mode)

    def _take(self, file: IO[bytes], target: str, owner: str, mode: int) -> None:
        script = 'mkdir -p "${1%/*}"; umask 077; cat >"$1"; chown "$2" "$1"; chmod "$3" "$1"'
        command = ("sh", "-ec", script, "take", target, owner, f"{mode:o}")
        subprocess.run(self.entering(command), stdin=file, check=True)

    def path(self, path: str) -> Path:
        """Where a file of the running gateway is for this machine. An absolute link in it leads astray."""
        return Path(f"/proc/{self._leader}/root{path}")

    def read(self, path: str) -> str:
        return self.enter("cat", path).out

    def exists(self, path: str) -> bool:
        return self.enter("test", "-e", path, check=False).code == 0

    def files(self, *folders: str) -> dict[str, str]:
        """Path to type, mode, owner and link target of all there is in the folders."""
        found = self.enter("find", *folders, "-xdev", "-printf", r"%p\t%y %m %u:%g %l\n").out
        return dict(line.split("\t", 1) for line in found.splitlines())

    # --- what systemd knows -------------------------------------------------------------------------

    def journal(self, unit: str = "", *options: str) -> str:
        of_unit = ("-u", unit) if unit else ()
        return self.enter("journalctl", "-q", "--no-pager", "-o", "cat", *of_unit, *options).out

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        text = self.enter("systemctl", "show", unit, "--property=" + ",".join(names)).out
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def main_pid(self, unit: str) -> int:
        return int(self.properties(unit, "MainPID")["MainPID"])

    def host_pid(self, pid: int) -> int:
        """The number a process of the gateway has on this machine, for signals that are to come at once."""
        here = Path(f"/proc/{self._leader}/ns/pid").readlink()
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid"))
                if numbers.split()[-1] == str(pid) and (status.with_name("ns") / "pid").readlink() == here:
                    return int(status.parent.name)
        raise ProcessLookupError(f"there is no process {pid} in the gateway")

    def wait(self, condition: Callable[[], Any], what: str = "condition", timeout_s: float = 60.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                if found := condition():
                    return found
            time.sleep(0.1)
        said = self.journal()[-6000:] if self.running else "(it is off)"
        raise AssertionError(f"{what} did not come true in {timeout_s} s\n{said}")

    # --- the adapter --------------------------------------------------------------------------------

    def plug(self, pty: str, name: str = "ttyUSB0") -> None:
        """`pty`: the slave of a pseudo-terminal of this machine, /dev/pts/N."""
        self._plugged[name] = pty
        if self.running:
            self._link(name, pty)

    def unplug(self, name: str = "ttyUSB0") -> None:
        del self._plugged[name]
        if self.running:
            self.enter("rm", "-f", f"/dev/{name}")

    def _at_power_on(self) -> None:
        for name, pty in self._plugged.items():
            self._link(name, pty)

    def _link(self, name: str, pty: str) -> None:
        os.chown(pty, 0, _DIALOUT)
        Path(pty).chmod(0o660)
        # Under another name and then renamed: whoever opens it finds a whole link or none.
        target = f"/dev/hostpts/{Path(pty).name}"
        script = 'ln -sfn "$1" "$2.new"; mv -T "$2.new" "$2"'
        self.enter("sh", "-ec", script, "plug", target, f"/dev/{name}")
