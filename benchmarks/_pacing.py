"""The pacing slave in C as a process of its own, and what it says of the masters on its lines.

A figure is that of a window: from the first request after one report to the last before the next.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from _processes import Bench, Command, Speaker, compiled, cpu_ns, running

CHUNKS = {
    "single": "byte by byte",
    "fifo": "in FIFO chunks",
    "usb": "over USB, latency timer 1 ms",
    "slow usb": "over USB, latency timer 16 ms",
}
_ARGUMENTS = {"single": "single", "fifo": "fifo:8", "usb": "usb:1000", "slow usb": "usb:16000"}
"""8 bytes: where Linux lets a 16550A interrupt. An FTDI adapter is delivered with 16 ms, and has 1 ms in
the driver's low-latency mode."""
_FIRST_REQUESTS = 2
"""Seen before a contender counts as started."""
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Window:
    """One line of one report; see pacing_slave.c for the fields."""

    said: dict[str, Any]

    @property
    def requests(self) -> int:
        return int(self.said["requests"])

    @property
    def share(self) -> float:
        """Of the line's limit, the slave's own lateness taken off."""
        self._check()
        return float(self.said["least_ns"] / (self.said["elapsed_ns"] - self.said["late_ns"]))

    @property
    def share_as_measured(self) -> float:
        self._check()
        return float(self.said["least_ns"] / self.said["elapsed_ns"])

    @property
    def too_soon(self) -> int:
        """Requests before the silence was over, those before the reply's end among them."""
        return int(self.said["too_soon"] + self.said["during_reply"])

    @property
    def period_ns(self) -> float:
        """Of one transaction."""
        self._check()
        return float(self.said["elapsed_ns"] / self.requests)

    @property
    def idle_us(self) -> list[float]:
        return list(self.said["idle_us"])

    def _check(self) -> None:
        assert self.requests, f"nothing was read in this window: {self.said}"


class Slave:
    """Some or all lines of the slave, and their reports."""

    def __init__(self, speaker: Speaker, lines: int) -> None:
        self._speaker = speaker
        self._lines = self._chosen = range(lines)
        self._paths: list[str] = [speaker.event("port")["path"] for _ in self._lines]
        self.ready = speaker.event("ready")
        """How it is scheduled, and how late it sees requests."""

    def line(self, number: int) -> Slave:
        """One of its lines alone."""
        one = copy(self)
        one._chosen = range(number, number + 1)
        return one

    @property
    def paths(self) -> list[str]:
        return [self._paths[number] for number in self._chosen]

    def report(self) -> list[Window]:
        """By line, since the last report."""
        self._speaker.ask()
        windows = [Window(self._speaker.event("report")) for _ in self._lines]
        return [windows[number] for number in self._chosen]

    def wait_for_requests(self) -> None:
        """Until every line was asked: whoever asks has started."""
        seen = [0] * len(self._chosen)
        give_up = time.monotonic() + _PATIENCE_S
        while min(seen) < _FIRST_REQUESTS:
            assert time.monotonic() < give_up, f"requests of the lines so far: {seen}"
            time.sleep(0.05)
            seen = [count + window.requests for count, window in zip(seen, self.report(), strict=True)]


@contextmanager
def paced(bench: Bench, baud: int, chunks: str, lines: int = 1) -> Iterator[Slave]:
    program = compiled(bench.folder, "pacing_slave", "-lpthread")
    command: Command = [program, str(baud), str(lines), _ARGUMENTS[chunks]]
    with running(command, bench.folder / "pacing_slave.log", stdout=subprocess.PIPE) as child:
        yield Slave(Speaker(child), lines)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in its window, by line, and the processor time that took."""

    windows: Sequence[Window]
    busy: float
    """Share of a core, of the whole process with all its threads."""

    @property
    def cpu_us(self) -> float:
        """Processor time per transaction. By the time of a transaction and not by their count: a window
        holds few of the long ones, and not a whole number."""
        return self.busy / sum(1000 / window.period_ns for window in self.windows)


def take_turn(
    slave: Slave, command: Command, window_s: float, log: Path, started: Callable[[], None] = lambda: None
) -> Turn:
    """Run `command` until it asks every line and `started` returns, then watch it for the window."""
    with running(command, log) as child:
        slave.wait_for_requests()
        started()
        return watch(slave, [child], window_s)


def watch(slave: Slave, children: Sequence[subprocess.Popen[str]], window_s: float) -> Turn:
    """What these processes, which are at work, do in the next `window_s` seconds."""
    slave.report()
    begin, used_ns = time.monotonic_ns(), _used_ns(children)
    time.sleep(window_s)
    windows = slave.report()
    return Turn(windows, (_used_ns(children) - used_ns) / (time.monotonic_ns() - begin))


def _used_ns(children: Sequence[subprocess.Popen[str]]) -> int:
    return sum(cpu_ns(child.pid) for child in children)


def p50_p99(values: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]
