"""Two builds are the same file to the last bit, wherever and however they are made."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builder.sources import CACHE
from tests.conftest import ROOT
from tests.unit.packaging.made import made

SOURCES = ("edge_agent", "firmware_profiles", "packaging", "docs", "CHANGELOG.md", "pyproject.toml")

# What may be different on the machine of somebody else.
CIRCUMSTANCES = (
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1", "COLUMNS": "40", "umask": "0077"},
    {"TZ": "America/Adak", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "COLUMNS": "200", "umask": "0002"},
)


def checkout(folder: Path, *, compiled: bool) -> Path:
    """The sources, and what is fetched by hash; `compiled`: with the kernels as they were compiled here."""
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "_native")
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    made("amd64")
    for name in ("wheels", "kernels") if compiled else ("wheels",):
        shutil.copytree(CACHE / name, folder / "build/packaging" / name)
    return folder


@pytest.mark.needs("lld")
@pytest.mark.timeout(600)
def test_two_builds_in_two_places_are_one_file(tmp_path: Path) -> None:
    builds = []
    for place, circumstances in zip(("first", "another-place"), CIRCUMSTANCES, strict=True):
        (tmp_path / place / "sources").mkdir(parents=True)
        folder = checkout(tmp_path / place / "sources", compiled=place == "first")
        output = tmp_path / place / "output"
        build = f"umask {circumstances['umask']}; exec {sys.executable} {folder}/packaging/build.py"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SOURCE_DATE_EPOCH": "1700000000"}
        process = subprocess.Popen(
            ("sh", "-c", f"{build} --arch armhf --output {output}"),
            cwd=tmp_path / place,
            env=environment | circumstances,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        builds.append((process, output))
    sums = []
    for process, output in builds:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        [package] = output.glob("*.deb")
        sums.append(hashlib.sha256(package.read_bytes()).hexdigest())
    assert sums[0] == sums[1]
