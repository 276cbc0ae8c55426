"""The manual pages: frames written by hand, the commands from the program's own parser.

Source of the format: man(7), groff_man_style(7).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from builder.describe import Command
from builder.sources import PACKAGING

FOLDER = PACKAGING / "manual"


def pages(commands: Sequence[Command], version: str, date_s: int) -> Iterator[tuple[str, bytes]]:
    """(path on the gateway without .gz, content) of each page."""
    day = time.strftime("%Y-%m-%d", time.gmtime(date_s))
    for path in sorted(FOLDER.glob("*.[1-8]")):
        frame = path.read_text()
        frame = frame.replace("@DATE@", day).replace("@VERSION@", text(version))
        page = frame.replace("@COMMANDS@", "".join(section(command) for command in commands))
        yield f"usr/share/man/man{path.suffix[1:]}/{path.name}", page.encode()


def section(command: Command, above: str = "edge-agent") -> str:
    """One command, and those below it."""
    name = f"{above} {command['name']}"
    lines = [f".SS {name.removeprefix('edge-agent ')}", f".B {name}"]
    lines += [_synopsis(option) for option in command["options"]]
    if command["commands"]:
        lines.append(r"\fIORDER\fR ...")
    lines += [".PP", text(command["description"] or command["help"])]
    for option in command["options"]:
        lines += [".TP", _heading(option), text(option["help"]) or _choices(option)]
    if command["epilog"]:
        lines += [".PP", text(command["epilog"])]
    return "\n".join([*lines, ""]) + "".join(section(below, name) for below in command["commands"])


def text(words: str) -> str:
    """Words as troff takes them literally."""
    escaped = words.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("^", r"\(ha")
    escaped = escaped.replace("~", r"\(ti").replace("`", r"\(ga")
    # A line that begins with a dot would be a request.
    return re.sub(r"^(?=\.)", r"\\&", " ".join(escaped.split()))


def _synopsis(option: Command) -> str:
    words = _heading(option, only_last=True)
    return words if option["required"] else f"[{words}]"


def _heading(option: Command, *, only_last: bool = False) -> str:
    flags = option["flags"][-1:] if only_last else option["flags"]
    value = rf"\fI{text(option['metavar'])}\fR" if option["metavar"] else ""
    return " ".join(part for part in (", ".join(rf"\fB{text(flag)}\fR" for flag in flags), value) if part)


def _choices(option: Command) -> str:
    return text(", ".join(option["choices"])) or r"\&"
