"""The only door to dpkg and apt: what a package file holds, what is installed, and installing.

Nothing is ever asked: stdin is closed and the answers are given beforehand. Children write to a file and not
to a pipe, so that a daemon a maintainer script leaves behind holds up nobody. Foreign text (fields of a
package file, output of dpkg) is bounded.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_agent.errors import UpdateError

NAME = "edge-agent"
LOCK = Path("/var/lib/dpkg/lock-frontend")
QUERY_S = 60.0
INSTALL_S = 900.0
"""For a slow card, and for a maintainer script that hangs: it is killed then."""
MAX_OUTPUT = 64 * 1024
MAX_LIST = 4 << 20
"""Of files and their sums, which grow with the program and must be whole."""
MAX_UNPACKED = 256 << 20

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+:~-]{0,99}", re.ASCII)
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "HOME": "/root",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """What dpkg's database says of the package."""

    version: str
    status: str
    """`installed`, or where dpkg was stopped: `half-installed`, `unpacked`, `half-configured`, ..."""
    is_sound: bool
    """Installed and configured, and dpkg does not ask for a reinstallation."""

    @property
    def is_present(self) -> bool:
        return self.status not in ("not-installed", "config-files")


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    status: int
    output: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    def words(self) -> str:
        """Its last line that says something."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines
        return (errors[-1] if errors else f"exit status {self.status}")[:300]


# --- a package file -----------------------------------------------------------------------------


def described(path: Path) -> tuple[str, str, str]:
    """Name, version and architecture of a package file; UpdateError when it is none."""
    texts = [_field(path, field) for field in ("Package", "Version", "Architecture")]
    name, version, architecture = texts
    if not _VERSION.fullmatch(version):
        raise UpdateError(f"its version {version[:40]!r} is none", hint="get the file again")
    return name, version, architecture


def _field(path: Path, field: str) -> str:
    done = run("dpkg-deb", "--field", str(path), field)
    if not done.ok:
        raise UpdateError(f"is no Debian package: {done.words()}", hint="get the file again")
    return done.output.strip()


def unpacked_bytes(path: Path) -> int:
    """The size of what it holds, by reading all of it: a package cut short, or a small one that would fill
    the disk, is found before dpkg has touched anything."""
    total = 0
    for part in ("--ctrl-tarfile", "--fsys-tarfile"):
        with tempfile.TemporaryFile() as said:
            total += _measured(part, path, MAX_UNPACKED - total, said)
    return total


def _measured(part: str, path: Path, most: int, said: IO[bytes]) -> int:
    size = 0
    command = ("dpkg-deb", part, str(path))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=_ENVIRONMENT
    ) as child:
        assert child.stdout is not None, "it is a pipe"
        while chunk := child.stdout.read(1 << 20):
            size += len(chunk)
            if size > most:
                child.kill()
                hint = "this is no package of ours"
                raise UpdateError(f"unpacks to more than {MAX_UNPACKED >> 20} MiB", hint=hint)
    if child.returncode != 0:
        said.seek(0)
        words = Done(child.returncode, said.read(MAX_OUTPUT).decode(errors="replace")).words()
        what = "is no Debian package" if part == "--ctrl-tarfile" else "is damaged"
        raise UpdateError(f"{what}: {words}", hint="get the file again")
    return size


def control_file(path: Path, name: str) -> str:
    """A file of the package's control part; empty where there is none."""
    done = run("dpkg-deb", "--info", str(path), name, most=MAX_LIST)
    return done.output if done.ok else ""


def unmet(path: Path) -> str:
    """Why apt would not install it with what is installed now; empty when it would. Without sources, so that
    a dependency counts only when it is there: the gateway may have no network."""
    settings = (
        *("-o", "Debug::NoLocking=1"),
        *("-o", "Dir::Etc::SourceList=/dev/null", "-o", "Dir::Etc::SourceParts=/dev/null"),
        *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    )
    options = ("--simulate", "--reinstall", "--allow-downgrades", "--no-remove", "--no-install-recommends")
    done = run("apt-get", "-q", *settings, *options, "install", str(path))
    if done.ok:
        return ""
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    named = [line.partition(" : ")[2] or line for line in lines if "Depends:" in line or "Conflicts:" in line]
    return "; ".join(named)[:500] or done.words()


def architecture() -> str:
    return run("dpkg", "--print-architecture").output.strip()


# --- what is installed --------------------------------------------------------------------------


def installed(name: str = NAME) -> Installed:
    shown = "${Version}\t${db:Status-Status}\t${db:Status-Eflag}"
    done = run("dpkg-query", "--show", f"--showformat={shown}", name)
    if not done.ok:
        return Installed("", "not-installed", False)
    version, status, flag = (*done.output.split("\t"), "", "", "")[:3]
    return Installed(version, status, status == "installed" and flag == "ok")


def installed_control(file: str, name: str = NAME) -> str:
    """A control file of the installed package as dpkg keeps it; empty where there is none."""
    done = run("dpkg-query", "--control-show", name, file, most=MAX_LIST)
    return done.output if done.ok else ""


def listed_files(name: str = NAME) -> list[str]:
    """Every path of the installed package, folders before what is in them."""
    done = run("dpkg-query", "--listfiles", name, most=MAX_LIST)
    return [line for line in done.output.splitlines() if line.startswith("/") and line != "/."]


# --- installing ---------------------------------------------------------------------------------


def install(path: Path) -> Done:
    """While the lock is held. A downgrade is an ordinary case here, whatever dpkg.cfg says of it."""
    answers = ("--force-confdef", "--force-confold", "--force-downgrade")
    return run("dpkg", *answers, "--install", str(path), timeout_s=INSTALL_S, locked=True)


def is_interrupted() -> bool:
    """Whether packages, of whatever name, were left between unpacking and configuring."""
    return bool(run("dpkg", "--audit").output.strip())


def configure_pending() -> Done:
    """What an interrupted dpkg left to do: a dependency of ours may be among it."""
    answers = ("--force-confdef", "--force-confold")
    return run("dpkg", *answers, "--configure", "--pending", timeout_s=INSTALL_S, locked=True)


@contextmanager
def locked() -> Iterator[bool]:
    """dpkg's front-end lock, as apt takes it, so that nobody comes between; False when another has it."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def lock_holder() -> str:
    """Who has it: `apt-get (process 4711)`; empty when nobody, or nobody we can see."""
    with suppress(OSError, IndexError):
        inode = str(LOCK.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[5].rpartition(":")[2] == inode and words[4].isdecimal():
                command = Path("/proc", words[4], "comm").read_text().strip()
                return f"{command} (process {words[4]})"
    return ""


def run(*command: str, timeout_s: float = QUERY_S, locked: bool = False, most: int = MAX_OUTPUT) -> Done:
    """Its output is cut after `most` bytes."""
    environment = {**_ENVIRONMENT, **({"DPKG_FRONTEND_LOCKED": "1"} if locked else {})}
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise UpdateError(
                f"cannot run {command[0]}: {error.strerror}", hint="this command needs Debian's dpkg and apt"
            ) from error
        late = not _ends(child, timeout_s)
        output.seek(0)
        said = output.read(most).decode(errors="replace")
    if late:
        return Done(
            -signal.SIGKILL, f"{said}\nerror: {command[0]} did not end in {timeout_s:g} s and was killed"
        )
    return Done(child.returncode, said)


def _ends(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False
    return True
