"""Whether the native library may be trusted on this machine: it is tried in a child process first.

A wrong instruction, a damaged page or a miscompiled loop kills or hangs the process that meets it, so
the golden vectors run in a child that may die. A success is remembered per boot and library (a board
may get another processor or memory only while it is off), which makes every further start free.

The child is a fork, not a new interpreter: all in all it costs 9 ms, where starting Python and
importing this package again costs 42. The daemon asks before it starts its first thread. With threads
the child might meet a lock that nobody will ever release; its alarm then ends it and the library is
refused, so the worst is a false refusal.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from edge_agent.clock import UNKNOWN_BOOT, boot_id
from edge_agent.errors import KernelError
from edge_agent.kernels import artifact, golden, loopback
from edge_agent.kernels.catalogue import all_kernels
from edge_agent.kernels.loader import Kernels, load, open_library, read_library
from edge_agent.kernels.registry import Kernel

STAMP = "kernels-tested"
_ALARM_S = 10.0
"""Far above the few milliseconds of the vectors on the slowest board; only a hang lasts so long."""

_PASSED = "passed"
_DEADLY = (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT, signal.SIGALRM)


def tested(state_dir: Path | None = None) -> Kernels:
    """The native kernels after their test, or plain Python where they cannot be had: for programs that need
    no more than their results. Call it before the first thread is started."""
    try:
        ensure(state_dir)
        return load("native")
    except KernelError:
        return load("python")


def ensure(state_dir: Path | None, *, library: Path | None = None) -> None:
    """KernelError unless the native library gives the golden results on this machine in this boot.

    `state_dir` is where a success is remembered; None, a missing or a read-only directory only means
    that the vectors run at every start. Call it before the first thread is started.
    """
    path = library or artifact.default_path()
    kernels = all_kernels()
    content = read_library(path, kernels)
    boot = boot_id()
    stamp = f"{boot} {hashlib.sha256(content).hexdigest()}\n"
    if boot != UNKNOWN_BOOT and state_dir is not None and _remembered(state_dir) == stamp:
        return
    _try_in_child(path, kernels)
    if state_dir is not None:
        _remember(state_dir, stamp)


def _remembered(state_dir: Path) -> str:
    try:
        return (state_dir / STAMP).read_text()
    except (OSError, ValueError):
        return ""


def _remember(state_dir: Path, stamp: str) -> None:
    temporary = state_dir / f".{STAMP}.{os.getpid()}"
    # Not being able to remember costs the next start a few milliseconds and nothing else.
    with suppress(OSError):
        temporary.write_text(stamp)
        temporary.replace(state_dir / STAMP)


def _try_in_child(path: Path, kernels: Mapping[str, Kernel]) -> None:
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise artifact.refusal(f"{path} cannot be tested, no process can be started: {error}") from error
    if child == 0:
        _child(writer, path, kernels)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode(errors="replace")
    fate = _fate(child)
    if said != _PASSED:
        raise artifact.refusal(f"{path} failed its self-test: {said or fate}")


def _fate(child: int) -> str:
    """Wait for the child; in words, what became of it."""
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:
        # Whoever started this process has SIGCHLD ignored, and Linux does not keep the child's fate.
        return "its process ended early"
    if code == -signal.SIGALRM:
        return f"it did not end within {_ALARM_S:g} s"
    if code < 0:
        return f"it died of {signal.Signals(-code).name} (made for another processor?)"
    return f"its process ended with status {code}"


def _child(writer: int, path: Path, kernels: Mapping[str, Kernel]) -> NoReturn:
    try:
        _die_quietly()
        functions = open_library(path, kernels)
        # Read here: as Python objects the vectors take a megabyte that the daemon would never give back.
        message = golden.replay(functions, golden.read())
        if "talk" in functions:
            message = message or loopback.check(functions["talk"])
        message = message or _PASSED
    except KernelError as error:
        message = str(error)
    except BaseException as error:  # noqa: BLE001  (nothing of the parent may run on in this process)
        message = f"{type(error).__name__}: {error}"
    try:
        os.write(writer, message.encode())
    finally:
        os._exit(0)


def _die_quietly() -> None:
    """Death by a signal leaves neither a core file nor the parent's crash handlers' output."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in _DEADLY:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEADLY)
    signal.setitimer(signal.ITIMER_REAL, _ALARM_S)
