"""The only door to TOML: bytes to data with positions, within bounds, or an InputError.

Owns reading the file, what counts as text, the bounds, and the wording of syntax errors. Knows
nothing of what the keys mean. The bounds hold before the parser sees the text, so they do not
depend on how carefully the installed parser guards itself: parsers older than tomli 2.5 take 20 s
and 4 GiB of memory for one dotted key of 64 KB.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomli

from edge_agent.config.positions import BeyondBounds, KeyPath, Position, locate
from edge_agent.errors import InputError, Problem

MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its data, and where each key of it stands."""

    file: str
    data: Mapping[str, object]
    positions: Mapping[KeyPath, Position]

    def line(self, path: KeyPath) -> int:
        """Line of `path`, or of the nearest table around it; 0 if there is none."""
        for length in range(len(path), 0, -1):
            if position := self.positions.get(path[:length]):
                return position.line
        return 0


def read(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file of at most `max_bytes`; InputError for anything else."""
    file = str(path)
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _refused(file, "does not exist", hint="check the path") from None
    except PermissionError:
        raise _refused(file, "may not be read", hint="run as the agent's user, or check its mode") from None
    except (OSError, ValueError) as error:
        raise _refused(file, f"cannot be opened: {_reason(error)}") from None
    try:
        return _read_regular(descriptor, file, max_bytes + 1)
    except OSError as error:
        raise _refused(file, f"cannot be read: {_reason(error)}") from None
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int, file: str, count: int) -> bytes:
    """Up to `count` bytes: one more than allowed tells the caller that it is too many."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise _refused(file, f"is {kind}", hint="name the file itself")
    pieces = []
    while count > 0 and (piece := os.read(descriptor, count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def parse(data: bytes, file: str, max_bytes: int = MAX_BYTES) -> Document:
    """Bytes to a `Document`. A syntax error is reported alone, with its line."""
    text = _decode(data, file, max_bytes)
    try:
        positions = locate(text)
    except BeyondBounds as error:
        raise _refused(file, error.message, error.line, "split it up") from None
    try:
        return Document(file, tomli.loads(text), positions)
    except tomli.TOMLDecodeError as error:
        raise _refused(file, error.msg, error.lineno, _syntax_hint(error)) from None
    except (ValueError, RecursionError) as error:
        # Integers of thousands of digits, dates like 2024-02-30: tomli passes the plain error on.
        raise _refused(file, f"is not valid TOML: {error}") from None


def _decode(data: bytes, file: str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise _refused(
            file, f"is larger than {max_bytes // 1024} KiB", hint="split the site over several agents"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(file, "is UTF-16 text", hint="save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise _refused(file, "starts with a byte order mark", 1, "save it as UTF-8 without BOM")
    if (nul := data.find(b"\0")) >= 0:
        raise _refused(file, "contains a NUL byte: not a text file", _line_of(data, nul))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"0x{data[error.start]:02X}"
        raise _refused(
            file, f"byte {byte} is not UTF-8", _line_of(data, error.start), "save it as UTF-8"
        ) from None


def _line_of(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def _syntax_hint(error: tomli.TOMLDecodeError) -> str:
    """What people most often meant, by the parser's message."""
    for words, hint in _SYNTAX_HINTS:
        if words in error.msg:
            return hint
    return ""


_SYNTAX_HINTS = (
    ("Invalid value", 'text, durations and sizes stand in quotes: timeout = "500ms"'),
    ("Expected newline or end of document", 'one key a line; text and durations stand in quotes: "500ms"'),
    ("Cannot overwrite a value", "the key is already given above; keep one of them"),
    ("Cannot declare", "the table is already given above; put its keys there"),
    ("Expected '=' after a key", 'write: key = value; names with other letters than a-z 0-9 _ - need quotes'),
    ("Illegal character '\\n'", "a quote is missing at the end of this line"),
    ("Unterminated string", "a closing quote is missing"),
    ("Unescaped '\\' in a string", "double the backslash, or use single quotes"),
)  # fmt: skip


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _refused(file: str, message: str, line: int = 0, hint: str = "") -> InputError:
    return InputError([Problem(file=file, line=line, key="", message=message, hint=hint)])
