"""Debian's changelog from CHANGELOG.md: the same entries, in the format of deb-changelog(5)."""

from __future__ import annotations

import calendar
import re
import textwrap
import time
from collections.abc import Iterator
from email.utils import formatdate

# `## [1.2.0] - 2026-11-29`, `## [Unreleased]`
_RELEASE = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$")


def debian(markdown: str, version: str, date_s: int, maintainer: str) -> str:
    """The entries of every release up to `version`; what is not released yet is said of `version`."""
    entries = []
    for name, day, changes in _releases(markdown):
        if changes:
            this = name in ("Unreleased", version)
            time_s = date_s if this or not day else calendar.timegm(time.strptime(day, "%Y-%m-%d"))
            entries.append(_entry(version if this else name, changes, time_s, maintainer))
    return "\n".join(entries or [_entry(version, ["No changes are noted."], date_s, maintainer)])


def _releases(markdown: str) -> Iterator[tuple[str, str, list[str]]]:
    """(version, date or nothing, what changed), the newest first."""
    name, day, changes, found = "", "", list[str](), False
    for line in markdown.splitlines():
        if heading := _RELEASE.match(line):
            if found:
                yield name, day, changes
            name, day, changes, found = heading[1], heading[2] or "", [], True
        elif line.startswith("- "):
            changes.append(line[2:])
        elif line.startswith("  ") and changes:
            changes[-1] += " " + line.strip()
    if found:
        yield name, day, changes


def _entry(version: str, changes: list[str], time_s: int, maintainer: str) -> str:
    lines = [f"edge-agent ({version}) stable; urgency=medium", ""]
    for change in changes:
        lines += textwrap.wrap(change, 78, initial_indent="  * ", subsequent_indent="    ")
    return "\n".join([*lines, "", f" -- {maintainer}  {formatdate(time_s).replace('-0000', '+0000')}", ""])
