"""That roots are made once, whole or not at all; with a stand-in for mmdebstrap."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rigs import roots
from tests.rigs.roots import Recipe

STAND_IN = """#!/bin/sh
for target; do :; done
echo made >>"$(dirname "$0")/calls"
mkdir -p "$target/etc"
test ! -e "$(dirname "$0")/fails" || { echo "no mirror" >&2; exit 25; }
sleep 0.2
echo whole >"$target/etc/state"
"""


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """A folder with a mmdebstrap that counts its calls, and fails where there is a file `fails`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("mmdebstrap", STAND_IN), ("unshare", '#!/bin/sh\nshift 3; exec "$@"\n')):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("EDGE_AGENT_ROOTS", str(tmp_path / "roots"))
    return folder


def calls(mirror: Path) -> int:
    return (mirror / "calls").read_text().count("made")


def test_who_asks_at_the_same_time_gets_the_same_whole_root(mirror) -> None:
    def ask(_: int) -> str:
        command = [sys.executable, "-m", "tests.rigs.roots", "bookworm"]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    with ThreadPoolExecutor() as pool:
        answers = set(pool.map(ask, range(4)))
    assert len(answers) == 1
    assert (Path(answers.pop()) / "etc/state").read_text() == "whole\n"
    assert calls(mirror) == 1


def test_what_failed_is_said_and_made_again(mirror) -> None:
    (mirror / "fails").touch()
    with pytest.raises(RuntimeError, match="no mirror"):
        roots.unpacked("bookworm")
    assert not [path for path in Path(os.environ["EDGE_AGENT_ROOTS"]).iterdir() if path.is_dir()]
    (mirror / "fails").unlink()
    assert (roots.unpacked("bookworm") / "etc/state").exists()


def test_nobody_begins_where_the_program_of_a_killed_one_still_works(mirror) -> None:
    slow = (
        (mirror / "mmdebstrap")
        .read_text()
        .replace("sleep 0.2", 'while [ ! -e "$0-end" ]; do sleep 0.02; done')
    )
    (mirror / "mmdebstrap").write_text(slow)
    command = [sys.executable, "-m", "tests.rigs.roots", "bookworm"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as killed:
        while not (mirror / "calls").exists():
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    lock = next(Path(os.environ["EDGE_AGENT_ROOTS"]).glob("*.lock"))
    with lock.open("w") as file:
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            (mirror / "mmdebstrap-end").touch()
        fcntl.flock(file, fcntl.LOCK_EX)
    assert (roots.unpacked("bookworm") / "etc/state").read_text() == "whole\n"


def test_another_recipe_is_another_root(mirror) -> None:
    recipes = [
        Recipe(suite="bookworm"),
        Recipe(suite="trixie"),
        Recipe(suite="bookworm", architecture="arm64"),
        Recipe(suite="bookworm", include="udev"),
        Recipe(suite="bookworm", hooks=()),
    ]
    assert len({roots.made(recipe) for recipe in recipes}) == len(recipes)


def test_roots_of_months_ago_give_way(mirror) -> None:
    place = Path(os.environ["EDGE_AGENT_ROOTS"])
    for name in ("bookworm-202401-aaaaaaaa", "trixie-202401-aaaaaaaa", "notes-202401"):
        (place / name).mkdir(parents=True)
    made = roots.unpacked("bookworm")
    found = {path.name for path in place.iterdir() if path.is_dir()}
    assert found == {made.name, "trixie-202401-aaaaaaaa", "notes-202401"}
