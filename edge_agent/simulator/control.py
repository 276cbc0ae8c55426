"""A control file: one line per fault, read again whenever it changes. Shell around a pure parser.

    press=bad_crc:p=0.5     # a fault of one device
    *=silence               # of every device
    line=unplug             # the adapter is pulled while this line stands here

What stands in the file is in force, what does not is not. A file that cannot be read or parsed
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.errors import InputError, Problem
from edge_agent.simulator.faults import EVERY_DEVICE, Fault, parse_assignment

_UNPLUG = "line=unplug"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    faults: dict[str, tuple[Fault, ...]]
    unplugged: bool = False


def parse_control(text: str, file: str, devices: Iterable[str]) -> Control:
    """InputError with all problems, unknown devices among them."""
    known = {*devices, EVERY_DEVICE}
    faults: dict[str, tuple[Fault, ...]] = {}
    problems: list[Problem] = []
    unplugged = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        if words == _UNPLUG:
            unplugged = True
            continue
        try:
            device, fault = parse_assignment(words, file, number)
        except InputError as error:
            problems += error.problems
            continue
        if device not in known:
            hint = "devices: " + ", ".join(sorted(known))
            problems.append(
                Problem(file=file, line=number, key=device, message="is no device here", hint=hint)
            )
        faults[device] = (*faults.get(device, ()), fault)
    if problems:
        raise InputError(problems)
    return Control(faults=faults, unplugged=unplugged)


@dataclass(slots=True)
class ControlFile:
    """Watches one file by its modification time, size and identity."""

    path: Path
    devices: tuple[str, ...]
    _seen: tuple[int, int, int] | None = field(default=None)

    def changed(self) -> Control | None:
        """What the file says, if it is another file than at the last call; InputError if it is wrong.

        A file that does not exist says nothing: no faults.
        """
        try:
            status = self.path.stat()
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if mark == self._seen:
                return None
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            mark, text = (0, 0, 0), ""
            if self._seen in (None, mark):
                self._seen = mark
                return None
        self._seen = mark
        return parse_control(text, str(self.path), self.devices)
