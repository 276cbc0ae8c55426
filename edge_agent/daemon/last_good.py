"""The files of safe mode in the state folder: how often the agent crashed, and its last good configuration.

    starts.json                 `Memory`; not there: nothing to remember
    good/current -> IDENTITY    replaced by one rename
    good/IDENTITY/agent.toml    the configuration, and the site's own profiles that it uses
    good/IDENTITY/profiles/VENDOR/FAMILY.toml

Invariants: what is found has been written whole (the identity is the hash of the content); a disk that is
full, read-only or damaged makes nothing known, is logged, and never keeps the agent from starting.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.daemon.safe_mode import Circumstances, Memory

log = logging.getLogger(__name__)

_STARTS = "starts.json"
_CONFIG = "agent.toml"
_MOST = 1 << 20
"""More than any configuration with its profiles; so much is read of a file that somebody else put there."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A configuration as it was read, and the site's own profiles that it uses, by id."""

    config: bytes
    profiles: Mapping[str, bytes]

    @property
    def identity(self) -> str:
        """Depends on every byte."""
        digest = hashlib.sha256()
        for name, text in (("", self.config), *sorted(self.profiles.items())):
            digest.update(f"{name}:{len(text)}:".encode() + text)
        return digest.hexdigest()[:32]


class StateFolder:
    """One per agent, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._good = path / "good"

    # --- starts ---------------------------------------------------------------------------------

    def memory(self) -> Memory | None:
        """None when there is none, or none that can be read."""
        try:
            raw = json.loads(_read(self._path / _STARTS))
            here = Circumstances(str(raw["boot"]), str(raw["version"]))
            return Memory(str(raw["identity"]), here, int(raw["crashes"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s cannot be read, earlier crashes are not known: %s", self._path / _STARTS, error)
            return None

    def remember(self, memory: Memory | None) -> None:
        """On the disk when it returns, where the disk takes it. None is forgotten by removing the file, for
        which a full disk has room."""
        try:
            if memory is None:
                (self._path / _STARTS).unlink(missing_ok=True)
                return
            here = memory.circumstances
            raw = {"identity": memory.identity, "boot": here.boot, "version": here.version}
            _replace(self._path / _STARTS, json.dumps({**raw, "crashes": memory.crashes}).encode())
        except OSError as error:
            log.warning("%s cannot be written, crashes are not counted: %s", self._path / _STARTS, error)

    # --- the last good configuration ------------------------------------------------------------

    def good_identity(self) -> str | None:
        """Without looking at its content."""
        try:
            return str((self._good / "current").readlink())
        except OSError:
            return None

    @property
    def good_config(self) -> Path:
        return self._good / "current" / _CONFIG

    def good(self) -> Texts | None:
        """None when there is none, or it is not what was written."""
        identity = self.good_identity()
        if identity is None:
            return None
        try:
            texts = _texts(self._good / identity)
        except OSError as error:
            log.warning("the last good configuration cannot be read: %s", error)
            return None
        if texts.identity != identity:
            log.warning("the last good configuration in %s is damaged", self._good)
            return None
        return texts

    def keep(self, texts: Texts) -> None:
        """Make these the last good configuration; the one before stays until they are on the disk."""
        try:
            self._write(texts)
            self._remove_others(texts.identity)
        except OSError as error:
            log.warning("the last good configuration cannot be stored in %s: %s", self._good, error)

    def _write(self, texts: Texts) -> None:
        folder = self._good / texts.identity
        for profile_id, text in texts.profiles.items():
            _replace(folder / "profiles" / f"{profile_id}.toml", text)
        _replace(folder / _CONFIG, texts.config)
        for made, _, _ in os.walk(folder):
            _sync_dir(Path(made))
        link = self._good / ".current"
        link.unlink(missing_ok=True)
        link.symlink_to(texts.identity)
        link.replace(self._good / "current")
        _sync_dir(self._good)

    def _remove_others(self, identity: str) -> None:
        for entry in self._good.iterdir():
            if entry.name not in ("current", identity):
                _remove(entry)


def _remove(folder: Path) -> None:
    """shutil's would load half a megabyte into the daemon."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            Path(place, name).unlink()
        for name in folders:
            Path(place, name).rmdir()
    folder.rmdir()


def _texts(folder: Path) -> Texts:
    files = sorted((folder / "profiles").glob("*/*.toml"))
    profiles = {f"{file.parent.name}/{file.stem}": _read(file) for file in files}
    return Texts(_read(folder / _CONFIG), profiles)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST)


def _replace(path: Path, data: bytes) -> None:
    """Either the old or the new content stands under the name, after a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_dir(path.parent)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
