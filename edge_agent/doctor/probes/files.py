"""Looks at paths: owner, group and mode of a file and of every folder on the way to it."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_agent.doctor.access import Look, Node


def look(path: str) -> Look:
    """Links are followed; the folders of a link count, and those of what it names."""
    seen: list[Node] = []
    place = Path(path).absolute()
    try:
        for one in _way(place):
            seen.append(node(one))
    except PermissionError as error:
        return Look(path=path, nodes=tuple(seen), hidden_by=str(error.filename or path))
    except (FileNotFoundError, NotADirectoryError):
        return Look(path=path, nodes=tuple(seen), is_missing=True)
    return Look(path=path, nodes=tuple(seen))


def node(path: Path) -> Node:
    """Of what stands behind a name. OSError where nothing does."""
    status = path.stat()
    owner = group = ""
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(status.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(status.st_gid).gr_name
    mode = stat.S_IMODE(status.st_mode)
    return Node(path=str(path), uid=status.st_uid, gid=status.st_gid, mode=mode, owner=owner, group=group)


def _way(place: Path) -> Iterator[Path]:
    """From the top; the file itself last."""
    yield from reversed(place.parents)
    real = Path(os.path.realpath(place))
    if real.parent != place.parent:
        yield from (one for one in reversed(real.parents) if one not in place.parents)
    yield place


def may_read(path: str) -> bool:
    """Whether whoever runs the doctor may."""
    return os.access(path, os.R_OK)
