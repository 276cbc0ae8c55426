"""Writing what was answered, all of it or nothing. Shell.

The configuration is written beside its place under another name, flushed to the disk, given its owner and
mode, and then renamed: at every moment there is the old file, or the whole new one, or none where there was
none. What is there already is only replaced by who says so, and a copy of it is kept.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_agent.errors import EdgeAgentError

GROUP = "edge-agent"
"""Of the service; its members may read the configuration and no one else."""
CONFIG_MODE = 0o640
SECRET_MODE = 0o600
_KEYS_MODE = 0o700
SUPERSEDED = 16
"""Copies of old configurations with one date; more of them in a second is no person's doing."""


class Exists(EdgeAgentError):
    """There is a configuration already."""

    def __init__(self, path: Path) -> None:
        hint = "edit it and `edge-agent check` it; or begin anew with --force, which keeps a copy"
        super().__init__(f"{path} exists already; it was not changed\n    hint: {hint}")


def password_path(config: Path) -> Path:
    """Where the broker's password is kept: the service manager hands it to the service, whose user cannot
    read this folder."""
    return config.parent / "keys" / "mqtt-password"


def refuse_if_unwritable(config: Path, *, force: bool) -> None:
    """Raises before anything is asked: the file is there, or could not be written."""
    try:
        there = config.lstat()
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise _refused(config, error) from error
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise EdgeAgentError(f"{config} is not a regular file\n    hint: name another one with --config FILE")
    if there is not None and not force:
        raise Exists(config)
    folder = _nearest(config.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(folder, _why_not(folder))


def _why_not(folder: Path) -> OSError:
    """Root is refused nothing but what is mounted read-only."""
    code = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
    return OSError(code, os.strerror(code))


def _nearest(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def write(config: Path, text: str, *, date: str, password: str = "") -> Path | None:
    """Put `text` in place of `config`, and the password beside it; the copy of what was there, or None.
    `date` names the copy, such as `2026-11-29T12-30-00`."""
    try:
        config.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _clear_away(config)
        with contextlib.ExitStack() as undone:
            secret = _prepared_secret(config, password, undone) if password else None
            prepared = undone.enter_context(_prepared(config, text, CONFIG_MODE, _group_id()))
            kept = _kept(config, date)
            if secret is not None:
                secret.replace(password_path(config))
                _flush_folder(password_path(config).parent)
            prepared.replace(config)
        _flush_folder(config.parent)
    except OSError as error:
        raise _refused(config, error) from error
    return kept


def _prepared_secret(config: Path, password: str, undone: contextlib.ExitStack) -> Path:
    path = password_path(config)
    path.parent.mkdir(mode=_KEYS_MODE, exist_ok=True)
    _clear_away(path)
    return undone.enter_context(_prepared(path, password + "\n", SECRET_MODE, None))


def _clear_away(path: Path) -> None:
    """What a run that was killed had prepared and not yet renamed."""
    prefix = _prefix(path)
    for left in path.parent.iterdir():
        if left.name.startswith(prefix):
            left.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """No editor's: `.agent.toml.swp` holds what somebody has not saved yet."""
    return f".{path.name}.init-"


@contextlib.contextmanager
def _prepared(path: Path, text: str, mode: int, group: int | None) -> Iterator[Path]:
    """A whole and flushed file beside `path`; gone at the end, unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            if group is not None:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _group_id() -> int | None:
    """Of the service's group, where it is there and we may give files away."""
    if os.geteuid() != 0:
        return None
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def _kept(config: Path, date: str) -> Path | None:
    """A hard link to what is there, under the name of its last day."""
    if not config.exists():
        return None
    for number in range(SUPERSEDED):
        copy = config.with_name(f"{config.name}.{date}" + (f".{number}" if number else ""))
        try:
            os.link(config, copy)
        except FileExistsError:
            continue
        return copy
    raise FileExistsError(17, "too many copies of this second", str(config))


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> EdgeAgentError:
    hint = "run it with sudo" if isinstance(error, PermissionError) else "is the disk full or read-only?"
    return EdgeAgentError(f"{path} cannot be written: {error.strerror or error}\n    hint: {hint}")
