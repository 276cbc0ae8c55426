"""What was served, and when: the truth that tests hold the agent's records against.

One entry per request that a device took, also where a fault spoiled the reply. In memory and, if
wanted, as JSON lines in a file, each written whole as soon as it is known, so that it is there
whatever happens to the agent. Knows no frame and no port.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from edge_agent.errors import InputError, Problem
from edge_agent.model import Area, MonoNs, PointDef, WallNs


class Answer(StrEnum):
    """What went out, as a master that keeps the rules must judge it."""

    VALUES = "values"
    """A good reply in time: the values count."""
    LATE = "late"
    """A good reply after the master's timeout: to be thrown away."""
    BAD = "bad"
    """Bytes that are no valid reply to the request."""
    NONE = "none"
    """No reply."""
    EXCEPTION = "exception"
    CUT = "cut"
    """A reply that collided, or did not get out whole because the port went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request to a device and what it was given."""

    t_wall: WallNs
    """When the reply's last bytes were handed over, so never after a reader has them; or of the
    decision where nothing was sent."""
    t_mono: MonoNs
    asked: MonoNs
    """When the request was complete; the values are of this moment."""
    unit: int
    device: str
    area: Area
    address: int
    count: int
    """Registers, or bits for coils and discrete inputs."""
    words: str = ""
    """The data as on the wire in hex: 4 digits a register, or packed bits, first bit lowest."""
    answer: Answer
    code: int = 0
    """Of the exception."""
    fault: str = ""
    """Kind of the fault that was played."""

    def registers(self) -> tuple[int, ...]:
        """The registers, or the bits as 0 and 1."""
        data = bytes.fromhex(self.words)
        if self.area.is_bits:
            return tuple(data[place // 8] >> place % 8 & 1 for place in range(self.count))
        return tuple(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))

    def at(self, t_mono: MonoNs, t_wall: WallNs) -> Served:
        return replace(self, t_mono=t_mono, t_wall=t_wall)

    def answered(self, answer: Answer, fault: str = "") -> Served:
        return replace(self, answer=answer, fault=fault or self.fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something beside the replies: a scripted event, a change of faults, an unplugged port."""

    t_wall: WallNs
    t_mono: MonoNs
    event: str
    """start, begin, end, faults, unplug, replug, stop."""
    device: str = ""
    point: str = ""
    detail: str = ""


Entry = Served | Happened
_DEFAULTS = {kind: [(f.name, f.default) for f in fields(kind)] for kind in (Served, Happened)}


class ServedLog:
    """Entries in memory and, if a path is given, in a file. Any thread may add."""

    def __init__(self, path: Path | None = None, keep: int = 1_000_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._file: TextIO | None = None
        self._lock = threading.Lock()
        self.forgotten = 0
        """Entries pushed out of memory by newer ones."""
        self.unwritten = 0
        """Entries the file did not take, because the disk was full for one."""
        self.last_error = ""
        self.answers: Counter[Answer] = Counter()
        self.faults: Counter[str] = Counter()
        """How often each fault was played."""
        if path is not None:
            self._file = _open(path)

    def add(self, entry: Entry) -> None:
        with self._lock:
            self.forgotten += len(self._entries) == self._entries.maxlen
            self._entries.append(entry)
            if isinstance(entry, Served):
                self.answers[entry.answer] += 1
                self.faults[entry.fault] += entry.fault != ""
            self._write(entry)

    def _write(self, entry: Entry) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line_of(entry))
            self._file.flush()
        except OSError as error:
            self.unwritten += 1
            self.last_error = str(error)

    def entries(self) -> list[Entry]:
        """All of them, oldest first. Any thread may ask."""
        with self._lock:
            return list(self._entries)

    def served(self) -> list[Served]:
        return [entry for entry in self.entries() if isinstance(entry, Served)]

    def close(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self.last_error = str(error)


def line_of(entry: Entry) -> str:
    """One line of the file, with its newline. Fields that have their default are left out."""
    data = {
        name: value for name, default in _DEFAULTS[type(entry)] if (value := getattr(entry, name)) != default
    }
    return json.dumps(data, separators=(",", ":")) + "\n"


def parse_line(line: str) -> Entry:
    """The inverse of `line_of`; ValueError for what it did not write."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    kind: type[Served | Happened] = Happened if "event" in data else Served
    known = {name for name, _ in _DEFAULTS[kind]}
    try:
        values: dict[str, Any] = {key: value for key, value in data.items() if key in known}
        if kind is Served:
            values |= {"area": Area(values["area"]), "answer": Answer(values["answer"])}
        return kind(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an entry: {error}") from None


def read(path: Path) -> list[Entry]:
    """The entries of a log file, oldest first. A last line that was not finished is left out."""
    entries = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            entries.append(parse_line(line))
        except ValueError as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise InputError([Problem(file=str(path), line=number, key="", message=str(error))]) from None
    return entries


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw value of one point, as it was served."""

    t_mono: MonoNs
    t_wall: WallNs
    words: tuple[int, ...]
    """Registers as on the wire, or the one bit."""
    asked: MonoNs


def samples(
    entries: Iterable[Entry],
    point: PointDef,
    unit_id: int,
    answers: frozenset[Answer] = frozenset({Answer.VALUES}),
) -> Iterator[Sample]:
    """Every value of `point` that was served whole by `unit_id`, in the order of serving.

    `answers` chooses which replies count: by default those that a correct master must take.
    """
    for entry in entries:
        if not isinstance(entry, Served) or entry.answer not in answers or not entry.words:
            continue
        place = point.address - entry.address
        if entry.unit == unit_id and entry.area is point.area and 0 <= place <= entry.count - point.words:
            words = entry.registers()[place : place + point.words]
            yield Sample(entry.t_mono, entry.t_wall, words, entry.asked)


def _open(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        problem = Problem(file=str(path), line=0, key="", message=f"cannot be written: {error.strerror}")
        raise InputError([problem]) from None
