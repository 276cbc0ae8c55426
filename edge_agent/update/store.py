"""The updater's folder: the order and how far it is, how the last one ended, and package files.

    update.json     an update that is not over; its unit runs at every boot while this exists
    result.json     the last one that is
    *.deb           packages that one of the two names
    program/        the program that carries out the update: `program.py`
    lock            held by whoever checks, stages or carries out an update

Of root alone, so that what was verified is what is installed. Every JSON file is replaced whole: temporary
file, fsync, rename, fsync of the folder. Either version of the program may read what the other wrote, so
unknown keys are passed over.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edge_agent.errors import UpdateError
from edge_agent.update.health import Look
from edge_agent.update.machine import Package, Phase, Update

FOLDER = Path("/var/lib/edge-agent-update")
FORMAT = 1
PIECES = "repack."
"""What the folder begins with in which a package is made again."""
PROGRAM = "program"
"""The copy of the program while there is an update.json; with `.new` behind it what is not whole yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the last update ended."""

    update: Update
    ended_s: float
    """Unix time."""
    installed: Package
    """What is installed since, if nobody else installed something."""
    previous: Package | None
    """What `--rollback` would put in its place."""


class Damaged(UpdateError):
    """A file of the folder is not what was written there."""


class Store:
    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, or take it from whoever else may write there."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if not self.folder.is_dir() or self.folder.is_symlink():
                raise UpdateError(f"{self.folder} is no directory", hint="move it away")
            if os.geteuid() == 0:
                os.chown(self.folder, 0, 0)
            self.folder.chmod(0o700)
        except OSError as error:
            raise trouble(self.folder, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """UpdateError when another process holds it."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise trouble(self.folder / "lock", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise busy() from None
        finally:
            os.close(descriptor)

    def path(self, package: Package) -> Path:
        return self.folder / package.file

    # --- the update -----------------------------------------------------------------------------

    def load(self) -> Update | None:
        """The update that is not over; UpdateError when its file cannot be understood."""
        document = self._read("update.json")
        return None if document is None else _parsed(_update, document, self.folder / "update.json")

    def save(self, update: Update) -> None:
        """Survives a power cut from here on."""
        self._write("update.json", _plain(update))

    def last(self) -> Result | None:
        """How the last update ended; UpdateError when its file cannot be understood."""
        document = self._read("result.json")
        return None if document is None else _parsed(_result, document, self.folder / "result.json")

    def earlier(self) -> Result | None:
        """The same for who only wants its packages: that they are not known stops no update."""
        try:
            return self.last()
        except UpdateError:
            return None

    def finish(self, result: Result) -> None:
        """An update is over only when its result is durable."""
        document = {
            "update": _plain(result.update),
            "ended_s": result.ended_s,
            "installed": asdict(result.installed),
            "previous": asdict(result.previous) if result.previous else None,
        }
        self._write("result.json", document)
        try:
            (self.folder / "update.json").unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            raise trouble(self.folder, error) from error
        self.clear(keep=[result.installed, *([result.previous] if result.previous else [])])

    def give_up(self) -> None:
        """Set an order aside that cannot be understood, so that it is not tried at every boot."""
        (self.folder / "update.json").replace(self.folder / "update.json.damaged")
        sync_folder(self.folder)

    def clear(self, keep: list[Package]) -> None:
        """Remove package files, pieces of them and the copy of the program. No update is under way."""
        kept = {package.file for package in keep}
        for path in self.folder.iterdir():
            if path.suffix == ".deb" and path.name not in kept:
                with suppress(OSError):
                    path.unlink()
            elif path.name.startswith((PIECES, PROGRAM)):
                # Of a `repack` that was killed; what helped with an update that is over.
                shutil.rmtree(path, ignore_errors=True)

    # --- files ----------------------------------------------------------------------------------

    def _read(self, name: str) -> Mapping[str, Any] | None:
        path = self.folder / name
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(path, error) from error
        except (ValueError, RecursionError) as error:
            raise damaged(path, error) from error
        if not isinstance(document, dict):
            raise damaged(path, ValueError("not an object"))
        return document

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        path = self.folder / name
        temporary = path.with_name(name + ".new")
        try:
            with temporary.open("w") as file:
                json.dump({"format": FORMAT, **document}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(self.folder)
        except OSError as error:
            raise trouble(path, error) from error


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def busy() -> UpdateError:
    return UpdateError("another update is under way", hint="edge-agent update --status follows it")


def trouble(path: Path, error: OSError) -> UpdateError:
    return UpdateError(
        f"{path}: {error.strerror or error}", hint="as root; is the disk full, read-only or failing?"
    )


def damaged(path: Path, error: Exception) -> Damaged:
    return Damaged(
        f"{path} cannot be understood ({error})", hint="`edge-agent --version` says what is installed"
    )


# --- JSON ---------------------------------------------------------------------------------------


def _plain(update: Update) -> dict[str, Any]:
    return asdict(update)


def _parsed(parse: Any, document: Mapping[str, Any], path: Path) -> Any:
    try:
        return parse(document)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def _update(document: Mapping[str, Any]) -> Update:
    return Update(
        new=_package(document["new"]),
        old=_package(document["old"]),
        before=_look(document["before"]),
        watch_s=float(document["watch_s"]),
        begun_s=float(document["begun_s"]),
        phase=Phase(document["phase"]),
        attempts=int(document["attempts"]),
        reasons=tuple(map(str, document["reasons"])),
        notes=tuple(map(str, document["notes"])),
    )


def _package(document: Mapping[str, Any]) -> Package:
    return Package(version=str(document["version"]), sha256=str(document["sha256"]))


def _look(document: Mapping[str, Any]) -> Look:
    known = {one.name for one in fields(Look)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in document.items()
        if key in known
    }
    return Look(**values)


def _result(document: Mapping[str, Any]) -> Result:
    previous = document["previous"]
    return Result(
        update=_update(document["update"]),
        ended_s=float(document["ended_s"]),
        installed=_package(document["installed"]),
        previous=_package(previous) if previous else None,
    )
