"""What the daemon costs a gateway: memory, start, processor time per transaction, and how soon it alarms.

The whole daemon, connected to a real mosquitto, against scripts and a C loop that do far less: they read
registers and forget them. Every contender is a process of its own on a simulated line of its own; they
take turns or run side by side, and medians are kept. Needs mosquitto, cc and libmodbus-dev.

python benchmarks/footprint.py
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory

import _alarm_latency
from _common import Row, medians, publish, ratio, take_turns
from _processes import (
    Bench,
    Command,
    Line,
    Task,
    broker,
    check_at_work,
    compiled,
    cpu_ns,
    rss_mib,
    running,
    simulated,
)

SCRIPTS = ("minimalmodbus", "pymodbus")
IDLE_PYTHON = [sys.executable, "-c", "import time; time.sleep(1000)"]


# All together take less than four minutes.
_SETTLE_S = 4.0
_RESIDENT_S = 17.0
"""After settling: memory is that of a process of 21 s."""
_RESIDENTS = 3
_ARRIVALS = (("single", "byte by byte", "<= 0.25"), ("fifo", "in FIFO chunks", "<= 1"))
"""How bytes reach the reader, and what the daemon may then cost as a share of the loop in C."""
_STARTS = 9
_WINDOW_S = 2.2
_WINDOWS = 3


# --- memory, and processor time with nothing much to do -------------------------------------------


@dataclass(frozen=True, slots=True)
class _Resident:
    """A contender at work, and what it had used when the measurement began."""

    name: str
    pid: int
    since_ns: int
    used_ns: int

    @classmethod
    def watch(cls, name: str, pid: int) -> _Resident:
        return cls(name, pid, time.monotonic_ns(), cpu_ns(pid))

    def busy_percent(self) -> float:
        return 100 * (cpu_ns(self.pid) - self.used_ns) / (time.monotonic_ns() - self.since_ns)


def resident_rows(bench: Bench) -> list[Row]:
    """All contenders side by side: memory is not changed by neighbours, and nobody waits for turns."""
    with ExitStack() as stack:
        places = [bench.place("resident") for _ in range(_RESIDENTS)]
        children = [child for place in places for child in _residents(bench, place, stack)]
        time.sleep(_SETTLE_S)
        watched = [_Resident.watch(name, pid) for name, pid in children]
        time.sleep(_RESIDENT_S)
        mib = _by_name(watched, lambda one: rss_mib(one.pid))
        percent = _by_name(watched, _Resident.busy_percent)
        for place in places:
            check_at_work(place / "daemon" / "status.sock")
    del percent["idle python3"]
    return [
        Row(
            claim="resident memory, 1 bus, 100 points, connected",
            value=mib.pop("daemon"), unit="MiB", peers=mib, budget="<= 32",
        ),
        Row(
            claim="processor, 100 points a second in 2 requests",
            value=percent.pop("daemon"), unit="% of a core", peers=percent,
        ),
    ]  # fmt: skip


def _residents(bench: Bench, place: Path, stack: ExitStack) -> Iterator[tuple[str, int]]:
    """Start one of each, each with a line of its own; name and process id."""
    for name in ("daemon", *SCRIPTS):
        folder = place / name
        folder.mkdir()
        task = Task(port=stack.enter_context(simulated(folder, "--baud", "115200")).path)
        command = task.daemon(folder, bench.url) if name == "daemon" else task.peer(name)
        yield name, stack.enter_context(running(command, folder / "log")).pid
    yield "idle python3", stack.enter_context(running(IDLE_PYTHON, place / "idle.log")).pid


def _by_name(watched: list[_Resident], figure: Callable[[_Resident], float]) -> dict[str, float]:
    figures: dict[str, list[float]] = {}
    for one in watched:
        figures.setdefault(one.name, []).append(figure(one))
    return medians(figures)


# --- start ----------------------------------------------------------------------------------------


def start_rows(bench: Bench) -> list[Row]:
    again = bench.place("start")
    contenders: dict[str, Callable[[], float]] = {
        "daemon": lambda: _start_s(bench, lambda task: task.daemon(again, bench.url)),
        "first": lambda: _start_s(bench, lambda task: task.daemon(bench.place("start"), bench.url)),
    }
    for name in SCRIPTS:
        contenders[name] = partial(_start_s, bench, methodcaller("peer", name))
    take_turns(contenders, 1)  # Bytecode is written, files are in the page cache.
    s = medians(take_turns(contenders, _STARTS))
    peers = {name: s[name] for name in SCRIPTS}
    return [
        Row(claim="start: exec to the first request on the wire", value=s["daemon"], unit="s", peers=peers,
            budget="<= 0.6"),
        Row(claim="the same, empty spool, kernels not tested since boot", value=s["first"], unit="s",
            budget="<= 0.6"),
    ]  # fmt: skip


def _start_s(bench: Bench, command: Callable[[Task], Command]) -> float:
    """Until the first byte on the far side of a pseudo-terminal, where nobody answers."""
    far, near = os.openpty()
    try:
        tty.setraw(near)
        words = command(Task(port=os.ttyname(near)))
        begin = time.monotonic_ns()
        with running(words, bench.folder / "start.log"):
            ready, _, _ = select.select([far], [], [], 20)
            elapsed = time.monotonic_ns() - begin
            assert ready and os.read(far, 2) == b"\x01\x03", f"no request came from {words}"
            return elapsed / 1e9
    finally:
        os.close(near)
        os.close(far)


# --- processor time per transaction ---------------------------------------------------------------


def transaction_rows(bench: Bench) -> list[Row]:
    program = compiled(bench.folder, "libmodbus_poll", "-lmodbus")
    rows = []
    for baud in (115200, 19200):
        for chunks, how, budget in (
            ("single", "byte by byte", "<= 0.25"),
            ("fifo", "in FIFO chunks", "<= 1"),
        ):
            figures = _transactions(bench, program, baud, chunks)
            claim = f"processor per transaction of 100 registers, {baud} baud, {how}"
            us = medians(figures)
            rows.append(Row(claim=claim, value=us.pop("daemon"), unit="us", peers=us))
            of_c = ratio(figures, "daemon", "libmodbus")
            claim = f"the same as a share of libmodbus', {baud} baud, {how}"
            rows.append(Row(claim=claim, value=of_c, unit="x", budget=budget))
    return rows


def _transactions(bench: Bench, program: Path, baud: int, chunks: str) -> dict[str, list[float]]:
    folder = bench.place("line")
    with simulated(folder, "--baud", str(baud), "--chunks", chunks) as line:
        task = Task(port=line.path, baud=baud, units=1, period_s=0.0)
        commands: dict[str, Command] = {
            "daemon": task.daemon(folder, bench.url),
            "libmodbus": task.program(program),
            "pymodbus": task.peer("pymodbus"),
            "a Python loop that sleeps": task.peer("sleeping"),
        }
        contenders = {
            name: partial(_transaction_us, line, words, _WINDOW_S, folder / f"{name}.log")
            for name, words in commands.items()
        }
        return take_turns(contenders, _WINDOWS)


def _transaction_us(line: Line, command: Command, window_s: float, log: Path) -> float:
    """Processor time of the whole process per reply, once it reads steadily."""
    before = line.answered()
    with running(command, log) as child:
        while line.answered() < before + 3:
            time.sleep(0.05)
        replies, used_ns = line.answered(), cpu_ns(child.pid)
        time.sleep(window_s)
        replies, used_ns = line.answered() - replies, cpu_ns(child.pid) - used_ns
    return used_ns / replies / 1000


def main() -> int:
    with TemporaryDirectory() as name, broker(Path(name)) as url:
        bench = Bench(Path(name), url)
        decided = _alarm_latency.decided_rows()
        rows = [*resident_rows(bench), *start_rows(bench), *transaction_rows(bench)]
        return publish("footprint", [*rows, *decided, *_alarm_latency.heard_rows(bench.place("heard"), url)])


if __name__ == "__main__":
    sys.exit(main())
