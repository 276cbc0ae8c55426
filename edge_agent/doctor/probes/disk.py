"""Looks at the file system below the spool, and at the spool without touching it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_agent.doctor.access import READ, WRITE, Look, User, allows
from edge_agent.doctor.disk import Disk, SpoolState, Wear
from edge_agent.doctor.probes import files
from edge_agent.spool.files import OsFiles
from edge_agent.spool.survey import Survey

_MOST_FILES = 5000


@dataclass(frozen=True, slots=True)
class Mount:
    place: str
    kind: str
    source: str
    options: str


def look(spool: str, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Disk:
    place = _nearest(Path(spool).absolute())
    space = os.statvfs(place)
    mounts = list(_mounts(proc))
    mount = _of(mounts, Path(os.path.realpath(place)))
    block = _block(sys, place.stat().st_dev)
    return Disk(
        spool=spool,
        place=str(place),
        kind=mount.kind if mount else "unknown",
        source=mount.source if mount else "",
        is_read_only=bool(space.f_flag & os.ST_RDONLY),
        upper_kind=_upper_kind(mounts, mount),
        free_bytes=space.f_bavail * space.f_frsize,
        inodes=space.f_files,
        free_inodes=space.f_favail,
        is_sd_card=_text(block / "device" / "type") == "SD",
        wear=_wear(block / "device"),
    )


def _nearest(path: Path) -> Path:
    """It, or the nearest folder above it that can be seen."""
    return next(one for one in (path, *path.parents) if _is_folder(one))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _mounts(proc: Path) -> Iterator[Mount]:
    """proc_pid_mountinfo(5); later mounts cover earlier ones."""
    for line in _text(proc / "self" / "mountinfo").splitlines():
        before, dash, after = line.partition(" - ")
        if dash:
            kind, source, *options = after.split(" ")
            yield Mount(_unescaped(before.split(" ")[4]), kind, _unescaped(source), " ".join(options))


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _of(mounts: list[Mount], path: Path) -> Mount | None:
    above = {str(path), *map(str, path.parents)}
    covering = [one for one in mounts if one.place in above]
    longest = max((len(one.place) for one in covering), default=0)
    return next((one for one in reversed(covering) if len(one.place) == longest), None)


def _upper_kind(mounts: list[Mount], mount: Mount | None) -> str:
    """The kind of the file system below an overlay's upper folder, where that can be seen from here."""
    if mount is None or mount.kind != "overlay":
        return ""
    upper = next((one for one in mount.options.split(",") if one.startswith("upperdir=")), "")
    below = (
        _of([one for one in mounts if one is not mount], Path(upper.removeprefix("upperdir=")))
        if upper
        else None
    )
    return below.kind if below else ""


def _block(sys: Path, number: int) -> Path:
    """The whole disk of a partition."""
    place = Path(os.path.realpath(sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"))
    return place.parent if (place / "partition").exists() else place


def _wear(device: Path) -> Wear | None:
    life, reserve = _text(device / "life_time").split(), _text(device / "pre_eol_info").split()
    try:
        used = max((int(one, 16) for one in life), default=0)
        left = int(reserve[0], 16) if reserve else 0
    except ValueError:
        return None
    return Wear(life_used=used, reserve=left) if used or left else None


def spool(path: str, user: User) -> SpoolState:
    seen = files.look(path)
    if seen.hidden_by or seen.is_missing:
        return SpoolState(look=seen)
    try:
        return _survey(SpoolState(look=seen), Path(path), user)
    except PermissionError as error:
        return SpoolState(look=Look(path=path, hidden_by=str(error.filename or path)))


def _survey(empty: SpoolState, root: Path, user: User) -> SpoolState:
    survey = Survey(OsFiles(), root)
    states = survey.acknowledged()
    survey.births()
    survey.state_files()
    used, foreign = _counted(root, user)
    return SpoolState(
        look=empty.look,
        used_bytes=used,
        foreign=foreign,
        unsent=sum(part.last - part.first + 1 for state in states.values() for part in state.unacked()),
        damage=tuple(f"{one.path.relative_to(root)}: {one.what}" for one in survey.damage),
        quarantined=survey.quarantined(),
        undeclared=survey.undeclared(),
    )


def _counted(root: Path, user: User) -> tuple[int, tuple[str, ...]]:
    """Bytes of all files, and what the user may not write."""
    used, foreign = 0, []
    for one in islice(_entries(root), _MOST_FILES):
        # A running agent removes files while they are counted.
        with contextlib.suppress(FileNotFoundError):
            node = files.node(one)
            used += one.stat().st_blocks * 512 if one.is_file() else 0
            if not allows(user, node, READ | WRITE):
                foreign.append(str(one))
    return used, tuple(foreign)


def _entries(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=_raise):
        yield from (Path(folder, name) for name in (*folders, *names))


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
