"""Packages as packaging/build.py makes them, and a look inside."""

from __future__ import annotations

import atexit
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.conftest import ROOT

ARCHITECTURES = ("amd64", "arm64", "armhf")


@dataclass(frozen=True, slots=True)
class Made:
    """A package: its file, its control fields, its members in the archive's order."""

    path: Path
    control: Mapping[str, str]
    members: tuple[tarfile.TarInfo, ...]
    contents: Mapping[str, bytes]
    """Regular files by their path on the gateway, without the leading slash."""

    @property
    def names(self) -> list[str]:
        return [member.name.removeprefix("./") for member in self.members]


def build(folder: Path, *options: str) -> Path:
    """One package in `folder`."""
    command = (sys.executable, "packaging/build.py", "--output", str(folder), *options)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


@cache
def made(architecture: str) -> Made:
    """As it is released."""
    folder = Path(mkdtemp(prefix="edge-agent-packages-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = build(folder, "--arch", architecture)
    return look(path)


def look(path: Path) -> Made:
    fields = subprocess.run(("dpkg-deb", "-f", path), capture_output=True, text=True, check=True).stdout
    lines = (line for line in fields.splitlines() if not line.startswith(" "))
    archive = subprocess.run(("dpkg-deb", "--fsys-tarfile", path), capture_output=True, check=True).stdout
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tuple(tar)
        for member in members:
            if file := tar.extractfile(member):
                contents[member.name.removeprefix("./")] = file.read()
    control = dict(line.split(": ", 1) for line in lines)
    return Made(path=path, control=control, members=members, contents=contents)


def scripts(path: Path, folder: Path) -> Path:
    """The control files of the package, unpacked into `folder`."""
    subprocess.run(("dpkg-deb", "-e", path, folder), check=True)
    return folder
