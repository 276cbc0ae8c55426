"""Where the sources are, which version they are, and what time they bear."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent.parent
ROOT = PACKAGING.parent
CACHE = ROOT / "build" / "packaging"
"""What is costly to make and depends on nothing but what it is named after."""

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
# Debian policy 5.6.12, without an epoch (a folder bears the name) and without the hyphen of a revision.
_ALLOWED = re.compile(r"[0-9][A-Za-z0-9.+~]*")


class BuildError(Exception):
    """What whoever builds must put right."""


def version_of(tree: Path) -> str:
    """The version that the program in `tree` says it is."""
    found = _VERSION.search((tree / "edge_agent/__init__.py").read_text())
    if found is None:
        raise BuildError(f"{tree}/edge_agent/__init__.py has no line __version__ = ...")
    return found[1]


def checked_version(version: str) -> str:
    if not _ALLOWED.fullmatch(version):
        raise BuildError(f"{version!r} is no version: digits, letters, '.', '+' and '~', a digit first")
    return version


def with_version(text: str, version: str) -> str:
    """The text of `edge_agent/__init__.py` for another version."""
    return _VERSION.sub(f'__version__ = "{version}"', text)


def source_date() -> int:
    """Seconds since 1970 that every file of a package bears: $SOURCE_DATE_EPOCH, else the commit's time.

    A tarball has no repository; `git archive` writes the commit's time into packaging/source-date
    (.gitattributes), so that a tarball makes the same packages as its commit.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if (ROOT / ".git").exists():
        done = subprocess.run(
            ("git", "log", "-1", "--format=%ct"), cwd=ROOT, capture_output=True, text=True, check=True
        )
        return int(done.stdout)
    written = (PACKAGING / "source-date").read_text().strip()
    if written.isdecimal():
        return int(written)
    raise BuildError("no commit and no archive of one\n    hint: set SOURCE_DATE_EPOCH (seconds since 1970)")
