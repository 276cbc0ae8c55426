"""That the shim does what it says, and nothing where it was not asked: the negative control of every
test that uses it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.model import NS
from tests.rigs.shim import Shim, build

pytestmark = pytest.mark.needs("cc")

YEAR = 365 * 86400

# Asked over a pipe, line by line: what the process sees, and what becomes of its file operations.
CHILD = """
import ctypes, os, sys, time
sys.path.insert(0, sys.argv[1])
from edge_agent.clock import SystemClock
fds = [os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[2:]]
def tried(call, *arguments):
    try:
        call(*arguments)
        return 0
    except OSError as error:
        return error.errno
import json
for line in sys.stdin:
    if line == "clocks\\n":
        before = time.monotonic_ns()
        time.sleep(0.001)
        answer = [time.time_ns(), time.monotonic_ns(), int(ctypes.CDLL(None).time(None)),
                  SystemClock().synchronised(), time.monotonic_ns() - before]
    else:
        fd = fds[int(line.split()[1])]
        answer = {
            "write": lambda: tried(os.write, fd, b"x"),
            "pwrite": lambda: tried(os.pwrite, fd, b"x", 0),
            "sync": lambda: tried(os.fdatasync, fd),
            "truncate": lambda: tried(os.ftruncate, fd, 0),
        }[line.split()[0]]()
    print(json.dumps(answer), flush=True)
"""


class Child:
    """A Python under a shim, with a file below the watched path and one beside it."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.shim = Shim(folder / "control", library)
        inside = folder / "inside"
        inside.mkdir()
        self.shim.watch(inside)
        # A name that begins like the watched one is not below it.
        files = (inside / "file", folder / "inside-not")
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, root, *map(str, files)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | self.shim.env,
        )  # fmt: skip

    def ask(self, question: str):
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def child(tmp_path, library):
    child = Child(tmp_path, library)
    yield child
    child.end()


def test_an_untouched_shim_changes_nothing(child) -> None:
    before = time.time_ns()
    wall, mono, seconds, _, _ = child.ask("clocks")
    assert before - NS < wall < time.time_ns() + NS
    assert abs(wall // NS - seconds) <= 1
    assert mono < time.monotonic_ns()
    assert [child.ask(f"{operation} 0") for operation in ("write", "pwrite", "sync", "truncate")] == [0] * 4


@pytest.mark.parametrize(
    "step", [2 * YEAR, -2 * YEAR, -3600, 60 - time.time()], ids=["2y", "-2y", "-1h", "1970"]
)
def test_the_wall_clock_steps_and_nothing_else_does(child, step: float) -> None:
    wall_before, mono_before, *_ = child.ask("clocks")
    child.shim.step_wall(step)
    wall, mono, seconds, _, slept = child.ask("clocks")
    passed = mono - mono_before
    assert abs(wall - wall_before - passed - round(step * NS)) < NS
    assert abs(wall // NS - seconds) <= 1
    # libfaketime fails here: sleeps must go on.
    assert slept > 0


def test_the_kernel_can_be_made_to_say_that_the_clock_is_set(child) -> None:
    for says in (True, False, True):
        child.shim.say_synchronised(says)
        assert child.ask("clocks")[3] is says


@pytest.mark.parametrize("operation", ["write", "pwrite", "sync", "truncate"])
def test_an_operation_fails_as_often_as_asked_and_only_below_the_path(child, operation: str) -> None:
    child.shim.fail(operation, errno.EIO, times=2)
    assert child.ask(f"{operation} 1") == 0
    assert [child.ask(f"{operation} 0") for _ in range(3)] == [errno.EIO, errno.EIO, 0]
    child.shim.fail(operation, errno.ENOSPC)
    assert [child.ask(f"{operation} 0") for _ in range(3)] == [errno.ENOSPC] * 3
    others = {"write", "pwrite", "sync", "truncate"} - {operation}
    assert [child.ask(f"{other} 0") for other in others] == [0] * 3
    child.shim.heal()
    assert child.ask(f"{operation} 0") == 0
    count = child.shim.count(operation)
    assert (count.begun, count.done, count.refused) == (7, 7, 5)


def test_a_slow_sync_says_when_it_began_and_ended(child) -> None:
    child.shim.slow("sync", 0.05)
    assert child.ask("sync 0") == child.ask("sync 1") == 0
    ((begin, end),) = child.shim.syncs()
    assert end - begin >= NS // 20
    assert child.shim.count("sync").begun == 1
    assert child.shim.count("write").begun == 0


def test_a_library_of_another_shape_is_refused(tmp_path, library) -> None:
    shim = Shim(tmp_path / "control", library)
    with (tmp_path / "control").open("ab") as file:
        file.write(b"x")
    done = subprocess.run(["true"], env=os.environ | shim.env, capture_output=True, text=True)
    assert done.returncode == 127
    assert "wrong size" in done.stderr
