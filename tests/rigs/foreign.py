"""A system of another architecture, its programs run by qemu's user-mode emulation. Needs root.

    with foreign.System(foreign_roots.unpacked("armhf"), share=tmp_path) as system:
        system.install(deb)                              # dpkg -i; maintainer scripts are emulated too
        system.run("edge-agent", "--version").out
        process = system.popen("edge-agent", "run", ...) # `share` has the same path inside
        process.send_signal(signal.SIGTERM)

Files are an overlay over the root; network, devices and kernel are this machine's. Linux starts foreign
programs by binfmt_misc, which each user namespace has for itself since Linux 6.7: the machine's own table is
not touched, and nothing is left when the keeper, process 1 of the system, has ended. Its input ends with the
test's process, also after a SIGKILL.

What it cannot show: speed, memory (both are the emulator's), systemd, and what a real kernel of that
architecture does. System calls are translated one by one: a wrong width or structure shows, a wrong
alignment does not.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.rigs.gateway import Done

_PROGRAMS = {
    "qemu-arm-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
}
_FORMATS = "/usr/lib/binfmt.d"
"""Where qemu-user-static says how to recognise a program of each architecture."""
# A second exec, after the test has written the map of users: only then is this process root in here.
_KEEPER = r"""
echo unmapped
read -r _
exec sh -euc '
root=$1 lower=$2 place=$3 share=$4 formats=$5
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
for name in aarch64 arm; do
  grep -h ^: "$formats/qemu-$name.conf" >/proc/sys/fs/binfmt_misc/register
done
mkdir "$place/upper" "$place/work" "$root"
mount -t overlay overlay -o "userxattr,lowerdir=$lower,upperdir=$place/upper,workdir=$place/work" "$root"
mkdir -p "$root/dev" "$root/proc" "$root$share"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$share" "$root$share"
echo ready
read -r _ || true
kill -KILL -1 2>/dev/null || true
umount -l "$root"
rm -rf --one-file-system "$place"
' keeper "$@"
"""
_ALL_IDS = f"0 0 {2**32 - 1}"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_COMMAND_S = 110.0
_INSTALL_S = 350.0
"""Python compiles the whole program under emulation, which takes minutes beside other tests."""
_END_S = 30.0
_number = itertools.count()


@functools.cache
def why_not() -> str:
    """Why no foreign system can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "foreign systems need root"
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            return f"{program} of {package} is missing: `make deps` installs it"
    with tempfile.TemporaryDirectory() as folder:
        try:
            System(Path(folder), share=Path(folder)).close()
        except OSError as error:
            return f"a private binfmt_misc is not allowed here: {error}"
    return ""


class System:
    """`root` is not written to; `share`: a folder of this machine that has the same path inside. `folder`:
    its own place on this machine, removed at its end."""

    def __init__(self, root: Path, *, share: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"edge-agent-foreign-{next(_number)}-"))
        self._root = self.folder / "root"
        spaces = ["--user", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        keeper = [*map(str, (self._root, root, self.folder, share)), _FORMATS]
        self._unshare = subprocess.Popen(
            ["unshare", *spaces, "sh", "-euc", _KEEPER, "keeper", *keeper],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self._await("unmapped")
            for kind in "ug":
                Path(f"/proc/{self._unshare.pid}/{kind}id_map").write_text(_ALL_IDS)
            self._tell()
            self._await("ready")
            self._keeper = child_of(self._unshare.pid)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all that runs in here; may be called twice."""
        if self._unshare.poll() is None:
            self._unshare.communicate(timeout=_END_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, check: bool = True, timeout_s: float = _COMMAND_S, **env: str) -> Done:
        done = subprocess.run(
            self._entering(command, env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout_s,
        )  # fmt: skip
        result = Done(command, done.returncode, done.stdout, done.stderr)
        return result.checked() if check else result

    def popen(self, *command: str, **options: Any) -> Inside:
        return Inside(self._entering(command, {}), **options)

    def install(self, deb: Path, *, check: bool = True) -> Done:
        shutil.copy(deb, self.path(f"/{deb.name}"))
        return self.run("dpkg", "-i", f"/{deb.name}", check=check, timeout_s=_INSTALL_S)

    def path(self, inside: str) -> Path:
        """A file in there, as this machine reaches it: the overlay is mounted only in the keeper's sight."""
        return Path(f"/proc/{self._keeper}/root{self._root}{inside}")

    def _entering(self, command: Sequence[str], env: dict[str, str]) -> list[str]:
        enter = ["nsenter", "-t", str(self._keeper), "--user", "--mount", "--pid", "chroot", str(self._root)]
        settings = [_PATH, "LC_ALL=C.UTF-8", *(f"{name}={value}" for name, value in env.items())]
        return [*enter, "env", "-i", *settings, *command]

    def _tell(self) -> None:
        assert self._unshare.stdin is not None
        self._unshare.stdin.write("\n")
        self._unshare.stdin.flush()

    def _await(self, word: str) -> None:
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline().strip() != word:
            _, said = self._unshare.communicate(timeout=_END_S)
            raise OSError(said.strip())


class Inside(subprocess.Popen[bytes]):
    """A program in a System. What runs by this object's number is nsenter, which waits for it."""

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(child_of(self.pid), number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
