"""Everything that can be refused before anything is touched, and the copies an update needs.

FILE is opened once and copied to a folder of root's; only the copy is looked at and installed, so whoever may
write to FILE, or to the folders above it, changes nothing any more.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import InputError, Problem, UpdateError
from edge_agent.update import packages, program
from edge_agent.update.machine import Package
from edge_agent.update.repack import repack
from edge_agent.update.store import Store, sync_folder, trouble

MAX_FILE = 64 << 20
SPARE = 8 << 20
"""Left free on every disk that is written to."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Staged:
    """What may be installed, and what can be put back."""

    new: Package
    old: Package


def stage(store: Store, file: Path, *, force: bool) -> Staged | None:
    """Check and copy; None when FILE is the version that is installed. InputError when FILE is not what can
    be installed here, UpdateError when this machine is not ready for it. The store is locked."""
    ours = program.running()
    store.clear(keep=_kept(store))
    copied = _copy(store, file)
    try:
        new, unpacked = _examine(copied, file)
        now = _installed()
        if new.version == now.version and not force:
            return None
        _check_room(store, unpacked, program.size(ours))
        missing = packages.unmet(copied)
        if missing:
            raise _refused(file, f"needs what is not installed: {missing}", hint=_BUNDLE)
        old = _old(store, now)
        program.keep(store, ours)
        copied.replace(store.path(new))
        sync_folder(store.folder)
        return Staged(new, old)
    finally:
        copied.unlink(missing_ok=True)


_BUNDLE = "sudo apt install ./FILE gets it over the network, the bundle without one"


def _kept(store: Store) -> list[Package]:
    last = store.earlier()
    return [one for one in (last.installed, last.previous) if one] if last else []


# --- the new one --------------------------------------------------------------------------------


def _copy(store: Store, file: Path) -> Path:
    # apt takes a file for a package by the end of its name.
    target = store.folder / "incoming.deb"
    source = _open(file)
    try:
        _check_free({store.folder: os.fstat(source).st_size})
        with target.open("wb") as writing:
            left = MAX_FILE
            while chunk := os.read(source, min(_CHUNK, left)):
                writing.write(chunk)
                left -= len(chunk)
            writing.flush()
            os.fsync(writing.fileno())
    except OSError as error:
        target.unlink(missing_ok=True)
        raise trouble(target, error) from error
    finally:
        os.close(source)
    return target


def _open(file: Path) -> int:
    """A descriptor of a regular file of a possible size."""
    try:
        # Not to wait for the writer of a FIFO.
        source = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(file, error.strerror or str(error), hint="is the name right?") from error
    state = os.fstat(source)
    if stat.S_ISREG(state.st_mode) and state.st_size <= MAX_FILE:
        return source
    os.close(source)
    if not stat.S_ISREG(state.st_mode):
        raise _refused(file, "is no file", hint="name a .deb")
    raise _refused(file, f"has more than {MAX_FILE >> 20} MiB", hint="this is no package of ours")


def _examine(copied: Path, file: Path) -> tuple[Package, int]:
    """What the copy is, and how large unpacked."""
    try:
        # First: to tell a field dpkg-deb unpacks the whole control part into /tmp.
        unpacked = packages.unpacked_bytes(copied)
        name, version, architecture = packages.described(copied)
        if name != packages.NAME:
            raise UpdateError(f"is the package {name[:60]}", hint=f"name one of {packages.NAME}")
        ours = packages.architecture()
        if architecture not in (ours, "all"):
            raise UpdateError(
                f"is for {architecture[:20]}, this machine is {ours}",
                hint=f"get edge-agent_{version}_{ours}.deb",
            )
    except UpdateError as error:
        message = str(error).partition("\n")[0]
        raise _refused(file, message, hint=error.hint) from error
    return Package(version=version, sha256=sha256(copied)), unpacked


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(file: Path, message: str, *, hint: str) -> InputError:
    return InputError([Problem(file=str(file), line=0, key="", message=message, hint=hint)])


# --- what is there now --------------------------------------------------------------------------


def _installed() -> packages.Installed:
    now = packages.installed()
    if not now.is_present:
        raise UpdateError("no package edge-agent is installed", hint="sudo apt install ./FILE")
    if not now.is_sound:
        raise UpdateError(
            f"the installed package is {now.status}", hint="sudo dpkg --configure -a, then again"
        )
    return now


def _old(store: Store, now: packages.Installed) -> Package:
    """A package file of what is installed: that of the last update if it is the same, else made again."""
    for kept in _kept(store):
        if kept.version == now.version and _is_installed(store, kept):
            return kept
    made = store.folder / "installed.deb"
    try:
        repack(store.folder, made)
        old = Package(version=now.version, sha256=sha256(made))
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(store.path(old))
    except OSError as error:
        raise trouble(made, error) from error
    finally:
        made.unlink(missing_ok=True)
    return old


def _is_installed(store: Store, kept: Package) -> bool:
    """Whether a kept file is whole and holds what is installed: a version may have been built twice."""
    path = store.path(kept)
    try:
        if sha256(path) != kept.sha256:
            return False
    except OSError:
        return False
    sums = packages.installed_control("md5sums")
    return bool(sums) and packages.control_file(path, "md5sums") == sums


# --- room ---------------------------------------------------------------------------------------


def _check_room(store: Store, unpacked: int, copy: int) -> None:
    """dpkg unpacks the new files beside the old ones; making the old package again takes it twice."""
    size = (store.folder / "incoming.deb").stat().st_size
    _check_free({store.folder: 2 * size + unpacked + copy, Path("/usr"): unpacked})


def _check_free(needs: dict[Path, int]) -> None:
    by_disk: dict[int, tuple[Path, int]] = {}
    for path, need in needs.items():
        disk = path.stat().st_dev
        by_disk[disk] = (path, need + by_disk.get(disk, (path, 0))[1])
    for path, need in by_disk.values():
        free = os.statvfs(path)
        left = free.f_bavail * free.f_frsize
        if left < need + SPARE:
            raise UpdateError(
                f"{path}: {left >> 20} MiB free, {(need + SPARE) >> 20} MiB needed",
                hint="make room: sudo apt clean, sudo journalctl --vacuum-size=50M",
            )


def checked(store: Store, package: Package) -> Path:
    """The file of a package after the comparison of its sum: a disk may have changed it since."""
    path = store.path(package)
    try:
        if sha256(path) == package.sha256:
            return path
    except OSError as error:
        raise trouble(path, error) from error
    raise UpdateError(f"{path} has changed on the disk", hint="is the disk failing?")
