"""A Debian root booted by systemd-nspawn inside its walls: its power, and the way in. For use: `gateway`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.rigs.enclosure import Enclosure

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NSPAWN = (
    "--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off",
    "--link-journal=no", "--bind=/dev/pts:/dev/hostpts",
    # The filter by bpf: without it DevicePolicy and IPAddressDeny are accepted and not enforced, in silence.
    "--system-call-filter=bpf", "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN",
)  # fmt: skip
_BOOT_S = 60.0
_END_S = 150.0


class Container:
    """Off until `boot_again`. `lower`: the folders its files come from, the topmost first."""

    def __init__(self, lower: Sequence[Path]) -> None:
        self._walls = Enclosure(lower)
        self._console = self._walls.folder / "console"
        self._nspawn: subprocess.Popen[Any] | None = None
        self._leader = 0
        self._boots = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._nspawn is not None

    def boot_again(self) -> None:
        """Returns when systemd says running, or degraded: then `systemctl --failed` says by what."""
        assert not self.running, "it is running"
        self._boots += 1
        place = ("-D", str(self._walls.root), "-M", self._walls.name)
        network = f"--network-namespace-path={self._walls.network}"
        with self._console.open("ab") as console:
            self._nspawn = self._walls.inside(
                f"boot{self._boots}",
                ["systemd-nspawn", *place, network, *_NSPAWN],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        self._leader = self._await(self._find_leader, "a first process")
        self._at_power_on()
        self._await(self._is_up, "systemd")

    def power_cut(self) -> None:
        """All of it is dead at once. What had been written to its disk stays, synced or not."""
        self._tell(signal.SIGKILL)
        self._off()

    def stop(self) -> None:
        # SIGRTMIN+4 asks systemd as PID 1 for poweroff.target.
        self._tell(signal.SIGRTMIN + 4)
        self._off()

    def close(self) -> None:
        self._walls.close()
        if self.running:
            self._off()

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command line by which a program of the gateway is run from here, with all that root of this
        machine may, outside its cgroups."""
        spaces = ("-m", "-u", "-i", "-n", "-p", "-C", "-r")
        return ["nsenter", "-t", str(self._leader), *spaces, "env", "-i", "-C", "/", PATH, *command]

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """As `entering`, and not waited for."""
        return subprocess.Popen(self.entering(command), **options)

    def popen_outside(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """A program of this machine in the network of the gateway; it outlives its power cuts and is killed
        by `close`."""
        return self._walls.outside(command, **options)

    def save(self, target: Path) -> None:
        """The files that differ from the lower ones, as a further layer to boot from; after `stop`."""
        assert not self.running, "it is running"
        target.mkdir(parents=True)
        # Overlay's own marks of what was removed are devices and extended attributes.
        tar = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
        upper = str(self._walls.root.parent / "upper")
        with self._walls.inside("save", [*tar, "-C", upper, "-c", "."], stdout=subprocess.PIPE) as pack:
            subprocess.run([*tar, "-C", str(target), "-xp"], stdin=pack.stdout, check=True)
        assert pack.returncode == 0

    def _tell(self, number: int) -> None:
        # Of one that is off the number is 0, and that means the test's own process group.
        assert self._leader > 0, "it is off"
        os.kill(self._leader, number)

    def _at_power_on(self) -> None:
        """What a kind of container does when there is a first process."""

    def _off(self) -> None:
        assert self._nspawn is not None
        try:
            self._nspawn.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway does not end:\n{self._said()}") from None
        self._nspawn, self._leader = None, 0

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return next((int(child) for child in children if _name_of(child) == "systemd"), 0)

    def _is_up(self) -> bool:
        asked = subprocess.run(
            self.entering(["systemctl", "is-system-running"]), capture_output=True, text=True
        )
        return asked.stdout.strip() in ("running", "degraded")

    def _await(self, condition: Callable[[], Any], what: str) -> Any:
        assert self._nspawn is not None
        deadline = time.monotonic() + _BOOT_S
        while time.monotonic() < deadline and self._nspawn.poll() is None:
            with contextlib.suppress(OSError):
                if found := condition():
                    return found
            time.sleep(0.02)
        raise RuntimeError(f"the gateway did not boot, waiting for {what}:\n{self._said()}")

    def _said(self) -> str:
        return self._console.read_text(errors="replace")[-4000:]


def _name_of(pid: str) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
