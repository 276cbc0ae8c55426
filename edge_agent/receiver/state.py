"""What must survive a restart of the receiver: dictionaries and what was seen, in one JSON file.

Replaced whole: temporary file, fsync, rename, fsync of the directory. A file that is not ours is an
error, never overwritten: it may be somebody's data.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.errors import EdgeAgentError

_FORMAT = "edge-agent-receiver-1"


@dataclass(frozen=True, slots=True)
class Stored:
    seen: Sequence[Any] = ()
    """`Continuity.dump()`."""
    dictionaries: tuple[bytes, ...] = ()
    """Of the decoder, in canonical bytes. BIRTH records would not do: anybody can send one that names the
    hash of another dictionary."""


def load(path: Path) -> Stored:
    """An empty `Stored` when there is no file yet."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise ValueError("another format")
        dictionaries = tuple(base64.b64decode(data, validate=True) for data in document["dictionaries"])
        return Stored(document["seen"], dictionaries)
    except FileNotFoundError:
        return Stored()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise not_ours(path, error) from error
    except OSError as error:
        raise EdgeAgentError(f"cannot read the state {path}: {error.strerror}") from error


def not_ours(path: Path, error: Exception) -> EdgeAgentError:
    return EdgeAgentError(
        f"{path} is no state of a receiver ({error})\n    hint: name another file with --state"
    )


def save(path: Path, stored: Stored) -> None:
    dictionaries = [base64.b64encode(data).decode() for data in stored.dictionaries]
    document = {"format": _FORMAT, "dictionaries": dictionaries, "seen": stored.seen}
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(document, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise EdgeAgentError(f"cannot write the state {path}: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
