"""Opening the native library: what is refused, what it accepts, what it brings into the process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact, load
from edge_agent.kernels.build import library
from edge_agent.kernels.build.targets import TARGETS
from edge_agent.kernels.loader import open_library
from tests.conftest import ROOT
from tests.unit.kernels import samples

GOOD = samples.kernels_of(*samples.GOOD)


@pytest.fixture(scope="module")
def sample_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    [path] = library.build(GOOD, [TARGETS[artifact.host_architecture()]], tmp_path_factory.mktemp("samples"))
    return path


def test_a_missing_library_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"is missing\n.*make kernels.*EDGE_AGENT_KERNELS=python"):
        load("native", library=tmp_path / "none.so")


def test_a_library_from_other_sources_is_refused(sample_library: Path) -> None:
    with pytest.raises(KernelError, match="other kernel sources"):
        load("native", library=sample_library)


def test_a_library_of_an_unreadable_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="cannot be read"):
        load("native", library=tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_or_truncated_library_is_refused_before_it_is_mapped(
    data: st.DataObject, sample_library: Path, tmp_path: Path
) -> None:
    content = bytearray(sample_library.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(content)
    with pytest.raises(KernelError, match="damaged"):
        open_library(damaged, GOOD)


def test_a_whole_library_of_another_architecture_is_refused(sample_library: Path, tmp_path: Path) -> None:
    body = bytearray(sample_library.read_bytes()[:-40])
    body[18] = 0xF3 ^ body[18]
    foreign = tmp_path / "foreign.so"
    foreign.write_bytes(artifact.seal(bytes(body)))
    with pytest.raises(KernelError, match="cannot be loaded"):
        open_library(foreign, GOOD)


@pytest.mark.parametrize(
    ("machine", "largest", "name"),
    [
        ("x86_64", 2**63 - 1, "amd64"),
        ("aarch64", 2**63 - 1, "arm64"),
        ("aarch64", 2**31 - 1, "armhf"),
        ("armv7l", 2**31 - 1, "armhf"),
        ("riscv64", 2**63 - 1, "riscv64"),
    ],
)
def test_the_architecture_is_the_one_that_python_runs_as(
    machine: str, largest: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, machine, largest)
    assert artifact.host_architecture() == name


def test_an_architecture_without_a_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, "x86_64", 2**31 - 1)
    with pytest.raises(KernelError, match="x86_64 with 32-bit addresses"):
        artifact.default_path()


def _pretend(monkeypatch: pytest.MonkeyPatch, machine: str, largest: int) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", machine)))
    monkeypatch.setattr(sys, "maxsize", largest)


def test_an_array_of_the_wrong_element_type_is_refused_and_not_read(sample_library: Path) -> None:
    fill = open_library(sample_library, GOOD)["sample_fill"]
    with pytest.raises(ctypes.ArgumentError):
        fill((ctypes.c_double * 1)(), (ctypes.c_double * 1)(), 1)
    with pytest.raises(ctypes.ArgumentError):
        fill((ctypes.c_int64 * 1)(), (ctypes.c_int64 * 1)(), 1)


def test_jit_without_numba_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [
        name
        for name in sys.modules
        if name.startswith(("edge_agent.kernels.jit", "edge_agent.kernels.build"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("edge_agent.kernels.jit", raising=False)
    monkeypatch.delattr("edge_agent.kernels.build", raising=False)
    monkeypatch.setitem(sys.modules, "numba.core", None)
    with pytest.raises(KernelError, match=r"needs numba.*\n.*edge-agent\[kernels\]"):
        load("jit")


def test_native_kernels_bring_no_numba_llvm_or_numpy_into_the_process(native_library: Path) -> None:
    script = """
import sys
from pathlib import Path
from edge_agent.kernels import golden, load, selftest
library = Path(sys.argv[1])
selftest.ensure(None, library=library)
assert golden.replay(vars(load("native", library=library)), golden.read()) == ""
maps = Path("/proc/self/maps").read_text()
assert library.name in maps, "the library is not mapped"
assert not [word for word in ("numba", "llvmlite", "numpy") if word in maps], maps
assert not {"numba", "llvmlite", "numpy", "subprocess"} & set(sys.modules)
"""
    command = [sys.executable, "-c", script, str(native_library)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_native_kernels_run_where_memory_is_never_writable_and_executable(native_library: Path) -> None:
    """What systemd's MemoryDenyWriteExecute asks for, and what a JIT cannot do."""
    script = """
import ctypes, sys
from pathlib import Path
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
from edge_agent.kernels import golden, load, selftest
selftest.ensure(None, library=Path(sys.argv[1]))
assert golden.replay(vars(load("native", library=Path(sys.argv[1]))), golden.read()) == ""
"""
    command = [sys.executable, "-c", script, str(native_library)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this Linux is older than 6.3 and cannot refuse executable memory")
    assert done.returncode == 0, done.stderr
