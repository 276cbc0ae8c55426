"""Fresh Debian systems as folders, made by mmdebstrap once a month and kept. Need root and the mirror.

    root = roots.unpacked("bookworm")           # or "trixie"; made now where it is not there yet

What is in one: a minimal Debian with systemd, dbus and python3, as a gateway has it that came from its maker.
None of the packages that ours depends on is installed, but apt has fetched them, with its lists: so
`apt-get install ./edge-agent.deb` there takes them without network, by apt's own rules and signatures.

Roots are never written to; `gateway.boot` lays an overlay over one. They are kept in $EDGE_AGENT_ROOTS or
~/.cache/edge-agent/roots, by what went in and by the month, so that a stale one goes by itself. `python -m
tests.rigs.roots [SUITE...]` makes them and prints where they are; `make roots` makes all that tests need.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITES = ("bookworm", "trixie")
DEPENDS = ("python3-serial", "python3-msgpack", "python3-systemd", "python3-cryptography")
_SYSTEM = "systemd,systemd-sysv,dbus,libpam-systemd,python3,procps,adduser"
# The cache is emptied first, so that it holds what is fetched last and not the system's own packages.
_HOOKS = (
    'echo gateway >"$1/etc/hostname"',
    'chroot "$1" apt-get clean',
    f'chroot "$1" apt-get install -qq -y --no-install-recommends --download-only {" ".join(DEPENDS)}',
)
_KEEP = "cleanup/apt/lists,cleanup/apt/cache"


_PRIVATE = ("unshare", "--mount", "--propagation", "private")
_ATTEMPTS = 3
"""A mirror is at times changed under whoever reads it."""
_KEPT_MONTHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a root is made of. `architecture`: Debian's name, empty for this machine's."""

    suite: str
    architecture: str = ""
    include: str = _SYSTEM
    hooks: tuple[str, ...] = _HOOKS

    @property
    def name(self) -> str:
        """The folder's: another recipe, or another month, is another folder."""
        made_of = repr((self.include, self.hooks, _KEEP))
        digest = hashlib.sha256(made_of.encode()).hexdigest()[:8]
        return f"{self.series}-{time.strftime('%Y%m')}-{digest}"

    @property
    def series(self) -> str:
        return "-".join(part for part in (self.suite, self.architecture) if part)

    def command(self, folder: Path) -> list[str]:
        architecture = [f"--arch={self.architecture}"] if self.architecture else []
        hooks = [f"--customize-hook={hook}" for hook in self.hooks]
        options = [
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--skip={_KEEP}",
            f"--include={self.include}",
        ]
        return ["mmdebstrap", *options, *architecture, *hooks, self.suite, str(folder)]


def unpacked(suite: str) -> Path:
    """The root of a suite for this machine, made where it is not there yet."""
    return made(Recipe(suite=suite))


def made(recipe: Recipe, within: Sequence[str] = _PRIVATE) -> Path:
    """The root of a recipe. Several processes may ask at once: one makes it, the others wait for it.

    `within`: the command that runs mmdebstrap. What that mounts is mounted in a namespace of its own, and
    gone with it."""
    place = _place()
    place.mkdir(parents=True, exist_ok=True)
    root = place / recipe.name
    if not root.exists():
        with _alone(place / f"{recipe.name}.lock") as lock:
            if not root.exists():
                _make(recipe, root, within, lock)
    return root


def _place() -> Path:
    where = os.environ.get("EDGE_AGENT_ROOTS")
    return Path(where) if where else Path.home() / ".cache" / "edge-agent" / "roots"


@contextmanager
def _alone(path: Path) -> Iterator[int]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _make(recipe: Recipe, root: Path, within: Sequence[str], lock: int) -> None:
    """Beside its place and then renamed: a root is whole or it is not there. Who makes it has the lock too:
    it goes on when the test's process is killed, and nobody else may begin in the same folder."""
    draft = root.with_name(root.name + ".new")
    command = [*within, *recipe.command(draft)]
    for _ in range(_ATTEMPTS):
        shutil.rmtree(draft, ignore_errors=True)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, pass_fds=[lock]
        )
        if done.returncode == 0:
            break
    else:
        shutil.rmtree(draft, ignore_errors=True)
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    draft.rename(root)
    _tidy(recipe, root.parent)


def _tidy(recipe: Recipe, place: Path) -> None:
    """Remove the older ones of the same series. Last month's stay: a test may run on one."""
    now = time.localtime()
    for path in place.iterdir():
        if found := re.fullmatch(rf"{recipe.series}-(\d{{4}})(\d\d)-[0-9a-f]{{8}}", path.name):
            age = (now.tm_year - int(found[1])) * 12 + now.tm_mon - int(found[2])
            if age >= _KEPT_MONTHS:
                shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SUITES:
        print(unpacked(wanted))
