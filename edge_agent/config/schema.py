"""A table of keys, and how a parsed table is checked against it: all problems, not just the first.

Owns collecting problems, unknown keys and the nearest known one, required keys and defaults. Knows
no particular key: configuration and profiles bring their tables. A reader turns one value into what
the program uses, or raises `Refusal`; composite readers report for their parts through their
`Place`. A default is written as in a file and goes through the same reader, so the documentation
can show it and cannot differ from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.config.positions import KeyPath
from edge_agent.config.toml import Document
from edge_agent.config.values import printable, show
from edge_agent.errors import InputError, Problem

MAX_PROBLEMS = 200
"""Per document; what a person cannot read is not worth collecting."""


class Refusal(Exception):
    """A value is not acceptable: what is wrong with it, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


_NO_VALUE = object()


class Report:
    """The problems of one document (and of what it refers to), each with its line."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._problems: list[Problem] = []
        self._flawed: set[KeyPath] = set()
        self._said: set[tuple[KeyPath, str]] = set()
        self._suppressed = 0

    def add(self, path: KeyPath, message: str, hint: str = "", value: object = _NO_VALUE) -> None:
        self._flawed.update(path[:length] for length in range(1, len(path) + 1))
        if (path, message) in self._said:  # once for a table that makes several devices
            return
        self._said.add((path, message))
        if len(self._problems) >= MAX_PROBLEMS:
            self._suppressed += 1
            return
        self._problems.append(
            Problem(
                file=self.document.file,
                line=self.document.line(path),
                key=dotted(path),
                message=message,
                value="" if value is _NO_VALUE else show(value),
                hint=hint,
            )
        )

    def adopt(self, problems: Iterable[Problem], path: KeyPath) -> None:
        """Problems of another file that `path` refers to."""
        self._flawed.update(path[:length] for length in range(1, len(path) + 1))
        self._problems.extend(problem for problem in problems if problem not in self._problems)

    def is_flawed(self, path: KeyPath) -> bool:
        """Whether something at or below `path` is wrong, so that what depends on it is moot."""
        return path in self._flawed

    def problems(self) -> list[Problem]:
        """In the order of the file."""
        own = self.document.file
        listed = sorted(self._problems, key=lambda problem: (problem.file != own, problem.file, problem.line))
        if self._suppressed:
            more = f"{self._suppressed} more problems are not shown"
            listed.append(Problem(file=own, line=0, key="", message=more, hint="mend these first"))
        return listed

    def raise_if_any(self) -> None:
        if self._problems:
            raise InputError(self.problems())


def dotted(path: KeyPath) -> str:
    """`("device", "a b", "filter", 0)` to `device."a b".filter[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("_", "").replace("-", "").isalnum()
        shown = part if bare else f'"{printable(part)}"'
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        text += f".{shown}" if text else shown
    return text


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the document a reader is at work."""

    report: Report
    path: KeyPath = ()

    def __truediv__(self, key: str | int) -> Place:
        return Place(self.report, (*self.path, key))

    def refuse(self, message: str, hint: str = "", value: object = _NO_VALUE) -> None:
        self.report.add(self.path, message, hint, value)


Reader = Callable[[Place, Any], Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: its reader, and its default as it would be written (None: no value)."""

    read: Reader
    default: Any = None
    required: bool = False
    example: str = ""
    """What to write where the key is required and missing."""


@dataclass(frozen=True, slots=True)
class Table:
    """The keys a table may have. `name` is its heading in the documentation."""

    name: str
    keys: Mapping[str, Key]
    hints: Mapping[str, str] = field(default_factory=dict)
    """Hints for keys that people try, by the key or by its beginning with a `*` behind it."""


def read_table(place: Place, raw: object, table: Table) -> dict[str, Any]:
    """Every key of `table` with its value, default or None; what is wrong goes to the report."""
    if not isinstance(raw, dict):
        raise Refusal(f"must be a table, not {kind(raw)}")
    for name in raw:
        if name not in table.keys:
            (place / name).refuse("is not a known key", _unknown_hint(name, table))
    return {name: _read_key(place, raw, name, key) for name, key in table.keys.items()}


def _read_key(place: Place, raw: dict[str, object], name: str, key: Key) -> Any:
    here = place / name
    if name in raw:
        try:
            return key.read(here, raw[name])
        except Refusal as refusal:
            here.refuse(refusal.message, refusal.hint, raw[name])
    elif key.required:
        here.refuse("is missing", f"write {key.example}" if key.example else "")
    return None if key.default is None else key.read(here, key.default)


def _unknown_hint(name: str, table: Table) -> str:
    for pattern, hint in table.hints.items():
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return hint
    if near := nearest(name, table.keys):
        return f"did you mean {near}?"
    return "known keys here: " + ", ".join(table.keys)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`; empty if none is alike."""
    # Imported here: a configuration without a mistake does not pay for it.
    import difflib

    return next(iter(difflib.get_close_matches(name[:100], list(known), 1, 0.6)), "")


def kind(value: object) -> str:
    """What a parsed value is, in the words of the file format."""
    match value:
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "text"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "a date or time"
