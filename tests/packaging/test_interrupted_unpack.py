"""Killed at any point of an upgrade or a downgrade, dpkg leaves a program that runs: the old or the new one.

The real dpkg unpacks real packages into a folder and is stopped before every call that changes a name. At
each stop the launcher that lies there chooses a version, and every file of it must be there. A power cut adds
nothing: dpkg has each file written to the disk before it gives it its name.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.packaging.stepping import CALLS, Stepped
from tests.unit.packaging.made import Made, build, look

OLD, NEW = "0.1.1", "0.1.2"
LAUNCHER = "usr/bin/edge-agent"

pytestmark = [
    pytest.mark.needs("lld"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg gives files to root, which only root may"),
    pytest.mark.skipif(os.uname().machine not in CALLS, reason="the numbers of its calls are not known"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Made]:
    folder = tmp_path_factory.mktemp("packages")
    options = ("--arch", "amd64", "--compression", "zstd")
    return {name: look(build(folder, *options, "--version", name)) for name in (OLD, NEW)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: dpkg waits for the disk after every file."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm", prefix="edge-agent-") as place:
        yield Path(place)


class Root:
    """A folder that dpkg takes for the whole system; scripts are run outside, so it needs nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._admin = folder / "var/lib/dpkg"
        for name in ("info", "updates"):
            (self._admin / name).mkdir(parents=True)
        (self._admin / "status").touch()

    def unpack(self, package: Made) -> tuple[str, ...]:
        places = (f"--instdir={self.folder}", f"--admindir={self._admin}", f"--log={self.folder}/dpkg.log")
        careful = ("--no-force-unsafe-io", "--force-script-chrootless", "--force-downgrade")
        return ("dpkg", *places, *careful, "--unpack", str(package.path))

    def unpacked(self, package: Made) -> None:
        done = subprocess.run(self.unpack(package), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def files(self) -> set[str]:
        found = (path.relative_to(self.folder) for path in (self.folder / "usr").rglob("*"))
        return {str(path) for path in found if not (self.folder / path).is_dir()}


def chosen(root: Root) -> str:
    """The version that the launcher in `root` decides for, by its own code."""
    path = root.folder / LAUNCHER
    deciding, _, _ = path.read_text().partition("\nprogram = folder()")
    space = {"__file__": str(path), "__name__": "launcher"}
    exec(compile(deciding, str(path), "exec"), space)
    return Path(space["folder"]()).name  # type: ignore[operator]


def missing(root: Root, package: Made, version: str) -> list[str]:
    """Files of the program `version` that are not there, or not whole."""
    folder = f"usr/lib/edge-agent/{version}/"
    expected = [
        member for member in package.members if member.name.startswith(f"./{folder}") and member.isreg()
    ]
    return [member.name for member in expected if size(root.folder / member.name) != member.size]


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def runs(root: Root, version: str) -> None:
    done = subprocess.run((root.folder / LAUNCHER, "--version"), capture_output=True, text=True)
    assert done.stdout == f"edge-agent {version}\n", done.stderr


# The way back takes half a minute of a processor and the same code: a long run.
WAYS = [pytest.param(OLD, NEW, id="upgrade"), pytest.param(NEW, OLD, id="downgrade", marks=pytest.mark.soak)]


@pytest.mark.parametrize(("before", "after"), WAYS)
def test_at_every_point_one_whole_version_is_started(
    before: str, after: str, packages: Mapping[str, Made], folder: Path
) -> None:
    root = Root(folder)
    root.unpacked(packages[before])
    seen = [before]
    with Stepped(root.unpack(packages[after])) as dpkg:
        for stop in dpkg.stops():
            version = chosen(root)
            assert missing(root, packages[version], version) == [], f"at stop {stop}"
            if version != seen[-1] or stop % 200 == 0:
                runs(root, version)
                seen.append(version)
    assert dpkg.status == 0
    assert stop > 1000, "dpkg was hardly watched"
    # Once over to the new one, and never back.
    assert seen == sorted(seen, reverse=before > after) and seen[-1] == after
    assert root.files() == set(packages[after].contents)


# Stops of an upgrade, from the first to nearly the last.
@pytest.mark.parametrize("point", (0, 60, 900, 1500, 1800, 2000))
def test_after_a_kill_the_program_runs_and_the_next_try_finishes(
    point: int, packages: Mapping[str, Made], folder: Path
) -> None:
    root = Root(folder)
    root.unpacked(packages[OLD])
    with Stepped(root.unpack(packages[NEW])) as dpkg:
        for stop in dpkg.stops():
            if stop == point:
                dpkg.kill()
    assert dpkg.status == -9, "it was over before that point"
    runs(root, chosen(root))
    root.unpacked(packages[NEW])
    runs(root, NEW)
    assert root.files() == set(packages[NEW].contents)


def test_a_program_in_one_folder_would_be_found_half_done(packages: Mapping[str, Made], folder: Path) -> None:
    """The control of the tests above: with both versions in one folder, this dpkg does leave mixtures."""
    versioned = re.compile(rf"usr/lib/edge-agent/({OLD}|{NEW})/")
    flat = {}
    for name, package in packages.items():
        tree = folder / name
        subprocess.run(("dpkg-deb", "-R", package.path, tree), check=True)
        (tree / f"usr/lib/edge-agent/{name}").rename(tree / "usr/lib/edge-agent/one")
        made = folder / f"{name}.deb"
        subprocess.run(("dpkg-deb", "-Zzstd", "-b", tree, made), check=True, capture_output=True)
        flat[name] = look(made)
    assert not versioned.search("".join(flat[OLD].names))
    root = Root(folder / "root")
    root.unpacked(flat[OLD])
    mixtures = 0
    place = "usr/lib/edge-agent/one/"
    texts = {name: made.contents[f"{place}edge_agent/__init__.py"] for name, made in flat.items()}
    marks = {name: made.contents[f"{place}zz-complete"] for name, made in flat.items()}
    with Stepped(root.unpack(flat[NEW])) as dpkg:
        for _ in dpkg.stops():
            text = (root.folder / place / "edge_agent/__init__.py").read_bytes()
            mark = (root.folder / place / "zz-complete").read_bytes()
            mixtures += (text == texts[NEW]) and (mark == marks[OLD])
    assert mixtures > 100
