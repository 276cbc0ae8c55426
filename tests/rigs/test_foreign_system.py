"""That a foreign system runs another architecture's programs, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.rigs import foreign_roots
from tests.rigs.foreign import System

pytestmark = [pytest.mark.needs("foreign"), pytest.mark.timeout(300)]

TABLE = Path("/proc/sys/fs/binfmt_misc")


@pytest.fixture(scope="module")
def root() -> Path:
    return foreign_roots.unpacked("armhf")


@pytest.fixture
def system(root: Path, tmp_path: Path) -> Iterator[System]:
    with System(root, share=tmp_path) as system:
        yield system


def test_its_programs_are_of_the_other_architecture(system) -> None:
    assert system.run("dpkg", "--print-architecture").out == "armhf\n"
    assert system.run("python3", "-c", "import struct; print(struct.calcsize('P'))").out == "4\n"


def test_this_machine_itself_still_cannot_run_them(system, root) -> None:
    """The negative control of the private table."""
    assert system.run("true").code == 0
    tried = subprocess.run(["chroot", str(root), "true"], capture_output=True, text=True)
    assert "Exec format error" in tried.stderr
    assert not [path for path in TABLE.iterdir() if path.name.startswith("qemu-")]


def test_the_root_under_it_is_not_written_to(system, root) -> None:
    system.run("touch", "/usr/new")
    assert not (root / "usr/new").exists()


def test_a_signal_reaches_the_program_and_its_end_is_seen(system) -> None:
    program = (
        # Short sleeps: a signal between Python's last look and the system call is seen after that call.
        "import signal, time; signal.signal(15, lambda *_: exit(7)); print(1, flush=True)\n"
        "while True: time.sleep(0.1)"
    )
    process = system.popen("python3", "-c", program, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 7
    process.stdout.close()


def test_nothing_is_left_of_one_whose_test_was_killed(root, tmp_path) -> None:
    test = (
        "import sys, time; from pathlib import Path; from tests.rigs.foreign import System;"
        "s = System(Path(sys.argv[1]), share=Path(sys.argv[2]));"
        "p = s.popen('sleep', '4711'); print(s.folder, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", test, str(root), str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while (folder.exists() or sleepers(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists() and not sleepers(folder)


def sleepers(folder: Path) -> list[str]:
    """Processes of this machine that have to do with a system."""
    asked = subprocess.run(["pgrep", "-f", f"{folder}|sleep 4711"], capture_output=True, text=True)
    return [pid for pid in asked.stdout.split() if int(pid) != os.getpid()]
