"""Packages of this checkout under other version numbers, with faults built in where a test wants them.

base = versions.build(folder, "1.0.0")
bad = versions.build(folder, "1.1.0", versions.CRASHES_AT_ONCE)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT

Patch = tuple[str, str, str]
"""File below edge_agent/, a text in it, and what stands there instead."""

_RUN = "    status = agent.run(stop)\n"
CRASHES_AT_ONCE: Patch = ("cli/run.py", _RUN, "    raise SystemExit(9)\n")
CRASHES_LATER: Patch = (
    "cli/run.py",
    _RUN,
    f"    import os\n    threading.Timer(4.0, os._exit, (9,)).start()\n{_RUN}",
)
"""Ready, and four seconds later gone."""
NEVER_CONNECTS: Patch = (
    "uplink/connection/dial.py",
    "socket.create_connection((host, address.port)",
    "socket.create_connection((host, 1)",
)
NEWER_SPOOL: tuple[Patch, ...] = (
    ("spool/segment.py", "\nVERSION = 1\n", "\nVERSION = 2\n"),
    ("spool/segment.py", "or version != VERSION or", "or version not in (1, VERSION) or"),
)
"""Reads what earlier versions wrote, and writes what they cannot read."""


def build(folder: Path, version: str, *patches: Patch) -> Path:
    """The package for this machine's architecture."""
    with tempfile.TemporaryDirectory() as made:
        tree = _patched(Path(made), patches) if patches else ROOT
        command = [sys.executable, str(ROOT / "packaging/build.py"), "--arch", architecture()]
        options = [
            "--version",
            version,
            "--compression",
            "zstd",
            "--output",
            str(folder),
            "--tree",
            str(tree),
        ]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def architecture() -> str:
    command = ["dpkg", "--print-architecture"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _patched(tree: Path, patches: tuple[Patch, ...]) -> Path:
    for name in ("edge_agent", "firmware_profiles"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, old, new in patches:
        path = tree / "edge_agent" / name
        text = path.read_text()
        assert text.count(old) == 1, f"{name} has changed: {old!r}"
        path.write_text(text.replace(old, new))
    return tree


def altered(deb: Path, version: str, alter: Callable[[Path], object]) -> Path:
    """The package with another version and what `alter` does to its tree, beside it."""
    target = deb.with_name(deb.name.replace(deb.name.split("_")[1], version))
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made, "tree")
        subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
        control = tree / "DEBIAN/control"
        lines = control.read_text().splitlines(True)
        control.write_text("".join(f"Version: {version}\n" if "Version:" in line else line for line in lines))
        alter(tree)
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(target)]
        subprocess.run(command, check=True, capture_output=True)
    return target


def fails(script: Path) -> None:
    script.write_text("#!/bin/sh\necho 'this script is broken' >&2\nexit 1\n")


def starts_nothing(tree: Path) -> None:
    """Python cannot even read the program."""
    (start,) = tree.glob("usr/lib/edge-agent/*/edge_agent/cli/__init__.py")
    start.write_text(start.read_text().replace("\nCOMMANDS = {\n", "\nCOMMANDS = = {\n"))


def depends(control: Path, package: str) -> None:
    control.write_text(control.read_text().replace("Depends: ", f"Depends: {package}, "))
