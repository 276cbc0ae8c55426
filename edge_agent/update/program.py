"""The helper's own copy of the program: it does not depend on what it installs.

A new version may not start at all, not even as the helper that would put the old one back after a power cut.
So the unit runs a copy of the version that ordered the update, in the updater's folder and in the layout of
/usr: the launcher finds the program by where it lies itself. A new package brings its own unit in the middle
of an update, so where the copy is may not change from one version to the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_agent.errors import UpdateError
from edge_agent.update.store import PROGRAM, Store, sync_folder, trouble

LAUNCHER = Path("bin/edge-agent")
MARK = "zz-complete"
"""Without it the launcher does not take a folder."""
_BLOCK = 4096


def running() -> Path:
    """The folder of the version that runs this; UpdateError where it is not that of a package."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / MARK).is_file() or not (_root(folder) / LAUNCHER).is_file():
        raise UpdateError(f"{folder} is not the installed program", hint="use /usr/bin/edge-agent")
    return folder


def size(folder: Path) -> int:
    """What a copy takes on a disk."""
    try:
        return sum(-(-path.stat().st_size // _BLOCK) * _BLOCK for path in _files(folder))
    except OSError as error:
        raise trouble(folder, error) from error


def keep(store: Store, folder: Path) -> None:
    """Copy it; whole and durable before it has its name. There is none yet: `Store.clear` was before this."""
    unfinished = store.folder / f"{PROGRAM}.new"
    try:
        _copy(folder, unfinished)
        for above, _, files in os.walk(unfinished, topdown=False):
            for name in files:
                _sync_file(Path(above, name))
            sync_folder(Path(above))
        unfinished.rename(store.folder / PROGRAM)
        sync_folder(store.folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise trouble(unfinished, error) from error


def _root(folder: Path) -> Path:
    """/usr of /usr/lib/edge-agent/VERSION."""
    return folder.parents[2] if len(folder.parents) > 2 else folder


def _files(folder: Path) -> Iterator[Path]:
    """Of the launcher and the program, the mark last. Not what Python compiled of them: of a file that was
    half written it looks at the first bytes only, and stops at it."""
    yield _root(folder) / LAUNCHER
    found = (
        Path(above, name)
        for above, _, files in os.walk(folder)
        if Path(above).name != "__pycache__"
        for name in files
    )
    yield from sorted(found, key=lambda path: (path == folder / MARK, path))


def _copy(folder: Path, target: Path) -> None:
    for source in _files(folder):
        copied = target / source.relative_to(_root(folder))
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copied)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
