"""The walls around one gateway: its own mounts, network and cgroups, of which nothing is left afterwards,
whatever ends the test. Needs root.

A child, the keeper, lives inside and holds them: a private mount namespace with an overlay in memory over a
root, a network namespace with only lo, a subtree of cgroup2 that nobody else has. Its input ends with the
test's process, also after a SIGKILL; then it kills all that is in the subtree and removes it. The mounts go
with the keeper itself.

What is inside the walls outlives a boot: a power cut of the system in there takes neither its disk nor the
broker beside it.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
_KEEPER = r"""
set -eu
name=$1 lower=$2 place=$3
group=/sys/fs/cgroup/$name
clean() {
  set +e
  cd /
  if [ -d "$group" ]; then
    echo 1 >"$group/cgroup.kill"
    tries=500
    while ! grep -q "populated 0" "$group/cgroup.events" && [ $tries -gt 0 ]; do
      tries=$((tries - 1)); sleep 0.02
    done
    find "$group" -depth -type d -exec rmdir {} +
  fi
  umount -l "$place" 2>/dev/null
  rm -rf --one-file-system "${place%/*}"
}
trap clean EXIT
trap "" INT TERM HUP
umount -l -R /sys/fs/cgroup || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "$group/outside"
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 disk "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$place/upper,workdir=$place/work" "$place/root"
ip link set lo up
echo ready
read -r _ || true
"""
# Joins a cgroup before it becomes the program, so that no child of it escapes.
_JOIN = 'mkdir -p "$1"; echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
_END_S = 60.0
_number = itertools.count()


@functools.cache
def why_not() -> str:
    """Why no gateway can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "containers need root"
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            return f"{program} of {package} is missing: `make deps` installs it"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Enclosure([Path(folder)]).close()
        except OSError as error:
            return f"containers are not allowed here: {error}"
    return ""


class Enclosure:
    """`lower`: the folders under the overlay, the topmost first; none of them is written to."""

    def __init__(self, lower: Sequence[Path]) -> None:
        # nspawn allows no underscore in a machine's name.
        self.name = f"edge-agent-{os.getpid()}-{next(_number)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        """For what the rig itself writes; outside the walls."""
        place = self.folder / "disk"
        place.mkdir()
        unshare = ["setsid", "unshare", "--mount", "--propagation", "private", "--net"]
        keeper = ["sh", "-c", _KEEPER, "keeper", self.name, ":".join(map(str, lower)), str(place)]
        self._keeper = subprocess.Popen(
            [*unshare, *keeper],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        self.root = place / "root"
        """The system's folder, as seen from inside."""
        if self._keeper.stdout.readline() != "ready\n":
            _, said = self._keeper.communicate(timeout=_END_S)
            # The keeper removes it, where there was one.
            shutil.rmtree(self.folder, ignore_errors=True)
            raise OSError(said.strip() or "no walls, and no word why")

    @property
    def network(self) -> Path:
        return Path(f"/proc/{self._keeper.pid}/ns/net")

    def inside(self, part: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """A program of this machine that sees the mounts and the network in here, in the cgroup `part`."""
        return self._popen(["-m", "-n"], f"/sys/fs/cgroup/{self.name}/{part}", command, **options)

    def outside(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """A program of this machine with its own files that only sees the network in here."""
        group = f"/proc/{self._keeper.pid}/root/sys/fs/cgroup/{self.name}/outside"
        return self._popen(["-n"], group, command, **options)

    def _popen(
        self, spaces: list[str], group: str, command: Sequence[str], **options: Any
    ) -> subprocess.Popen[Any]:
        enter = ["nsenter", "-t", str(self._keeper.pid), *spaces]
        return subprocess.Popen([*enter, "sh", "-ec", _JOIN, "join", group, *command], **options)

    def close(self) -> None:
        """Kill what is left in here, and remove all of it. May be called twice."""
        if self._keeper.poll() is None:
            self._keeper.communicate("\n", timeout=_END_S)
        for stream in (self._keeper.stdin, self._keeper.stdout, self._keeper.stderr):
            _close(stream)


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()
