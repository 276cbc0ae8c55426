"""The ahead-of-time build: what it refuses, and what its libraries are like."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact
from edge_agent.kernels.build import elf, library, link
from edge_agent.kernels.build.targets import TARGETS
from edge_agent.kernels.catalogue import source_hash
from edge_agent.kernels.loader import open_library
from tests.conftest import ROOT
from tests.unit.kernels import samples

HOST = TARGETS[artifact.host_architecture()]
GOOD = samples.kernels_of(*samples.GOOD)

# What `talk` may ask of the C library of this machine; everything else computes.
SYSTEM_CALLS = {"read", "write", "poll", "clock_gettime", "clock_nanosleep", "__errno_location"}

needs_lld = pytest.mark.skipif(
    shutil.which("ld.lld") is None and not os.environ.get("CI"),
    reason="lld is missing: `make deps` installs it",
)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (samples.bad_raises, "may raise an exception: bad_raises"),
        (samples.bad_asserts, "may raise an exception: bad_asserts"),
        (samples.bad_calls_libm, r"differs between machines: exp"),
        (samples.bad_allocates, "bad_allocates does not compile"),
        (samples.bad_name, "bad_name does not compile"),
    ],
)
def test_a_kernel_that_breaks_the_rules_fails_the_build(function, message: str, tmp_path: Path) -> None:
    kernels = samples.kernels_of(function, signature="f64(f64)")
    with pytest.raises(KernelError, match=message):
        library.build(kernels, [HOST], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linker", ["ld", pytest.param("ld.lld", marks=needs_lld)])
def test_either_linker_makes_a_library_that_runs(linker: str, tmp_path: Path) -> None:
    [path] = library.build(GOOD, [HOST], tmp_path, linker)
    assert open_library(path, GOOD)["sample_division"](-7, 2) == samples.sample_division(-7, 2)


@needs_lld
def test_each_architecture_gets_a_library_of_its_abi_that_needs_nothing_unusual(tmp_path: Path) -> None:
    for path in library.build(GOOD, list(TARGETS.values()), tmp_path):
        facts = elf.read(path.read_bytes())
        target = TARGETS[path.stem.rpartition("-")[2]]
        assert (facts.machine, facts.bits) == (target.elf_machine, target.elf_class)
        assert facts.flags & target.float_mask == target.float_flags
        assert facts.defined == {name for name in GOOD if name != "sample_helper"} | {artifact.SYMBOL}
        assert set(facts.needed) <= {"libc.so.6", "libm.so.6", "libgcc_s.so.1"}
        assert not facts.executable_stack
        assert facts.page_bytes == 65536


def test_helpers_are_inlined_and_no_symbol_of_numba_or_python_is_left(native_library: Path) -> None:
    facts = elf.read(native_library.read_bytes())
    assert facts.undefined <= {
        "memset",
        "memcpy",
        "memmove",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "round",
        "fmod",
        "fma",
        *SYSTEM_CALLS,
    }
    content = native_library.read_bytes()
    assert not re.search(rb"numba|NRT_|Py[A-Z]|pickle", content)


def test_two_builds_in_different_places_are_identical_and_name_no_place(tmp_path: Path) -> None:
    """The sources lie elsewhere, strings hash differently, and the output goes elsewhere."""
    builds = []
    for seed in ("1", "2"):
        tree = tmp_path / f"tree-number-{seed}"
        shutil.copytree(
            ROOT / "edge_agent", tree / "edge_agent", ignore=shutil.ignore_patterns("_native", "__pycache__")
        )
        command = [sys.executable, "-m", "edge_agent.kernels.build", "--output", str(tree)]
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        builds.append((tree, subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.PIPE)))
    contents = []
    for tree, process in builds:
        process.communicate()
        assert process.returncode == 0
        contents.append((tree / artifact.library_name(HOST.name)).read_bytes())
    assert contents[0] == contents[1]
    assert not re.search(rb"(/[a-z0-9_.-]+){2}|\.py|tree-number", contents[0])


def test_a_library_for_smaller_pages_fails_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kernel with pages of 64 KiB would refuse it on the gateway."""
    monkeypatch.setattr(link, "_FLAGS", tuple(flag.replace("65536", "4096") for flag in link._FLAGS))
    with pytest.raises(KernelError, match="pages of more than 4096 bytes"):
        library.build(GOOD, [HOST], tmp_path)


def test_no_linker_for_another_architecture_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    foreign = TARGETS["riscv64" if HOST.name != "riscv64" else "arm64"]
    with pytest.raises(KernelError, match="apt install lld"):
        library.build(GOOD, [foreign], tmp_path)


def test_a_failing_linker_is_reported_with_its_own_words(tmp_path: Path) -> None:
    linker = tmp_path / "ld-broken"
    linker.write_text("#!/bin/sh\necho 'relocation truncated' >&2\nexit 1\n")
    linker.chmod(0o755)
    with pytest.raises(KernelError, match="ld-broken failed: relocation truncated"):
        library.build(GOOD, [HOST], tmp_path, str(linker))


def test_the_gate_refuses_a_library_for_another_machine_or_with_other_exports(tmp_path: Path) -> None:
    [path] = library.build(GOOD, [HOST], tmp_path)
    foreign = TARGETS["riscv64" if HOST.name != "riscv64" else "arm64"]
    with pytest.raises(KernelError, match="is for machine"):
        library.check_library(path.read_bytes(), {"sample_exp"}, foreign)
    with pytest.raises(KernelError, match="exports"):
        library.check_library(path.read_bytes(), {"sample_exp"}, HOST)


def test_the_hash_of_the_sources_follows_constants_and_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_hash(GOOD)
    assert source_hash(GOOD) == before
    assert source_hash(samples.kernels_of(*samples.GOOD[:-1])) != before
    changed = samples.kernels_of(samples.sample_sqrt, signature="f64(i64)")
    assert source_hash(GOOD | changed) != before
    monkeypatch.setattr(samples, "FACTOR", 4)
    assert source_hash(GOOD) != before


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" + bytes(200), b"\x7fELF\x02\x02" + bytes(200)])
def test_what_is_not_an_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="ELF"):
        elf.read(data)
