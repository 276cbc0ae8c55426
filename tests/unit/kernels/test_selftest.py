"""The golden self-test: what it lets through, what it refuses, and what it remembers."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path

import pytest

from edge_agent.errors import KernelError
from edge_agent.kernels import artifact, golden, loopback, selftest
from edge_agent.kernels.loader import open_library


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every child that the self-test starts."""
    started: list[int] = []
    fork = os.fork

    def counted() -> int:
        child = fork()
        if child:
            started.append(child)
        return child

    monkeypatch.setattr(os, "fork", counted)
    return started


def _replace(monkeypatch: pytest.MonkeyPatch, function) -> None:
    """Let every kernel that the child opens be `function`."""

    def opened(path, kernels):
        return dict.fromkeys(kernels, function)

    monkeypatch.setattr(selftest, "open_library", opened)


def test_a_success_is_remembered_per_boot_and_library(
    native_library: Path, tmp_path: Path, children: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        selftest.ensure(tmp_path, library=native_library)
    assert len(children) == 1
    monkeypatch.setattr(selftest, "boot_id", lambda: "f" * 32)
    selftest.ensure(tmp_path, library=native_library)
    assert len(children) == 2


def test_an_unknown_boot_is_never_remembered(
    native_library: Path, tmp_path: Path, children: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "boot_id", lambda: "0" * 32)
    for _ in range(2):
        selftest.ensure(tmp_path, library=native_library)
    assert len(children) == 2


@pytest.mark.parametrize("place", [None, "missing/folder", "file"])
def test_it_works_without_a_usable_state_directory(
    place: str | None, native_library: Path, tmp_path: Path, children: list[int]
) -> None:
    (tmp_path / "file").write_text("not a directory")
    for _ in range(2):
        selftest.ensure(tmp_path / place if place else None, library=native_library)
    assert len(children) == 2


@pytest.mark.parametrize("stamp", [b"", b"\xff\xfe\x00", b"0" * 5000])
def test_a_damaged_stamp_only_costs_another_test(
    stamp: bytes, native_library: Path, tmp_path: Path, children: list[int]
) -> None:
    (tmp_path / selftest.STAMP).write_bytes(stamp)
    selftest.ensure(tmp_path, library=native_library)
    selftest.ensure(tmp_path, library=native_library)
    assert len(children) == 1
    assert [path.name for path in tmp_path.iterdir()] == [selftest.STAMP]


def test_a_wrong_result_is_refused_with_its_place_and_not_remembered(
    native_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = golden.read()
    vectors["calls"][4][2] = 12345
    monkeypatch.setattr(golden, "read", lambda: vectors)
    with pytest.raises(
        KernelError, match=r"self-test: call 5, \w+, returned \d+ and not 12345\n.*make kernels"
    ):
        selftest.ensure(tmp_path, library=native_library)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_number_in_a_table_is_refused(native_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = golden.read()
    vectors["calls"][7][3] ^= 1
    monkeypatch.setattr(golden, "read", lambda: vectors)
    with pytest.raises(KernelError, match=r"call 8, .* left other numbers in its tables"):
        selftest.ensure(None, library=native_library)


def test_a_loop_that_talks_wrongly_is_refused(native_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "FRAME", loopback.FRAME[:-1] + b"\0")
    with pytest.raises(KernelError, match=r"self-test: talk: 0 replies, status 3, errno 0"):
        selftest.ensure(None, library=native_library)


@pytest.mark.parametrize("number", [signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE])
def test_a_kernel_that_kills_its_process_kills_only_the_child(
    number: signal.Signals, native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace(monkeypatch, lambda *_: os.kill(os.getpid(), number))
    with pytest.raises(KernelError, match=f"died of {number.name}"):
        selftest.ensure(None, library=native_library)


def test_a_kernel_that_never_returns_is_refused(
    native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(selftest, "_ALARM_S", 0.01)
    _replace(monkeypatch, hang)
    with pytest.raises(KernelError, match=r"did not end within 0\.01 s"):
        selftest.ensure(None, library=native_library)


def test_a_kernel_that_fails_in_python_is_refused_with_the_reason(
    native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace(monkeypatch, lambda *_: 1 // 0)
    with pytest.raises(KernelError, match="ZeroDivisionError"):
        selftest.ensure(None, library=native_library)


def test_a_library_that_vanishes_meanwhile_is_refused(
    native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "open_library", lambda path, kernels: open_library(path / "gone", kernels))
    with pytest.raises(KernelError, match=r"self-test: the kernel library .* cannot be read"):
        selftest.ensure(None, library=native_library)


def test_it_works_where_children_are_reaped_by_linux(native_library: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        selftest.ensure(None, library=native_library)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_without_a_process_to_test_in_the_library_is_refused(
    native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = _descriptors()
    with pytest.raises(KernelError, match=r"no process can be started: .*temporarily unavailable"):
        selftest.ensure(None, library=native_library)
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_child_and_no_descriptor_is_left_behind(native_library: Path) -> None:
    before = _descriptors()
    selftest.ensure(None, library=native_library)
    assert _descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_every_cell_counts_in_the_comparison() -> None:
    vectors: golden.Json = {"tables": {"t": ["f64", 3, {"1": "0x1.8p+0"}]}, "calls": []}
    after = copy.deepcopy(vectors["tables"])
    assert golden.replay({}, vectors | {"after": after}) == ""
    after["t"][2]["2"] = "-0x0.0p+0"
    assert golden.replay({}, vectors | {"after": after}) == "t[2] is 0x0.0p+0 and not -0x0.0p+0"


def test_a_program_gets_native_kernels_that_passed_or_plain_ones(
    native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "default_path", lambda: native_library)
    assert selftest.tested().mode == "native"
    monkeypatch.setattr(artifact, "default_path", lambda: native_library.with_name("missing.so"))
    assert selftest.tested().mode == "python"
