"""How near each master comes to what its line can carry, in turns, over speeds, lengths and ways in which
bytes arrive: share of the limit, silence kept, idle time, processor time.

A contender is a process of its own on a line of its own, so that what one leaves behind meets nobody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product, starmap
from pathlib import Path
from statistics import mean, median

from _common import Row, take_turns
from _pacing import CHUNKS, Slave, Turn, Window, p50_p99, paced, take_turn
from _processes import Bench, Command, Task, compiled, wait_at_work

BAUDS = (9600, 19200, 115200)
REGISTERS = (10, 100)
BUDGETS = {9600: ">= 0.99", 19200: ">= 0.99", 115200: ">= 0.97"}
IDEAL = "an ideal loop in C"
_PROMISED = ("single", "fifo")

# All together, with the other parts of bus.py, take less than six minutes.
_ROUNDS = 3
_WINDOW_S = {
    (9600, 10): 0.9, (9600, 100): 1.4,
    (19200, 10): 0.6, (19200, 100): 0.9,
    (115200, 10): 0.5, (115200, 100): 0.6,
}  # fmt: skip
_SOME = ("daemon", "libmodbus", "pymodbus", "minimalmodbus", IDEAL)
_ALL = (*_SOME, "pymodbus async", "modbus-serial")
_CONTENDERS = {"single": _ALL, "fifo": _SOME, "usb": _SOME, "slow usb": _SOME}


@dataclass(frozen=True, slots=True)
class Case:
    chunks: str
    baud: int
    registers: int

    def __str__(self) -> str:
        return f"{self.baud} baud, {self.registers} registers, {CHUNKS[self.chunks]}"


CASES = [
    *starmap(Case, product(_PROMISED, BAUDS, REGISTERS)),
    Case("usb", 115200, 10),
    Case("slow usb", 115200, 10),
]


@dataclass(slots=True)
class Seen:
    """All turns of all contenders."""

    turns: dict[Case, dict[str, list[Turn]]] = field(default_factory=dict)
    ready: list[Mapping[str, float]] = field(default_factory=list)
    """What each slave said of itself."""

    def median(self, case: Case, figure: Callable[[Turn], float]) -> dict[str, float]:
        return {name: median(map(figure, turns)) for name, turns in self.turns[case].items()}

    def windows(self, name: str, cases: Sequence[Case]) -> list[Window]:
        taken = (turn for case in cases for turn in self.turns[case].get(name, []))
        return [window for turn in taken for window in turn.windows]


# --- contenders -----------------------------------------------------------------------------------


class Contenders:
    """Who takes part, and how each is run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._programs = {
            "libmodbus": compiled(bench.folder, "libmodbus_poll", "-lmodbus"),
            IDEAL: compiled(bench.folder, "ideal_poll"),
        }
        self._has_node = _fetch_modbus_serial(bench.place("node"))

    def turn(self, name: str, slave: Slave, case: Case) -> Turn:
        task = Task(
            port=slave.paths[0], baud=case.baud, units=1, period_s=0.0, registers=case.registers, max_load=1.0
        )
        folder = self._bench.place("turn")
        run = partial(take_turn, slave, window_s=_WINDOW_S[case.baud, case.registers], log=folder / "log")
        if name == "daemon":
            command = task.daemon(folder, self._bench.url)
            return run(command, started=partial(wait_at_work, folder / "status.sock"))
        return run(self._peer(name, task))

    def takes_part(self, name: str) -> bool:
        return name != "modbus-serial" or self._has_node

    def _peer(self, name: str, task: Task) -> Command:
        if name in self._programs:
            return task.program(self._programs[name])
        if name == "modbus-serial":
            return task.node("modbus_serial")
        return task.peer(name.replace(" ", "_"))


def _fetch_modbus_serial(folder: Path) -> bool:
    """Into `folder`, for as long as this process runs. Without it the benchmark says so and goes on."""
    npm = shutil.which("npm")
    why = "node or npm is not there"
    if npm and shutil.which("node"):
        os.environ["NODE_PATH"] = str(folder / "node_modules")
        options = ["--no-audit", "--no-fund", "--no-save", "--prefix", str(folder)]
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [npm, "install", *options, "modbus-serial"],
                capture_output=True,
                check=False,
                text=True,
                timeout=120,
            )
            if done.returncode == 0:
                return True
            why = done.stderr.strip()[-200:] or "npm failed"
    print(f"without modbus-serial: {why}")
    return False


# --- the line's limit -----------------------------------------------------------------------------


def rows(bench: Bench) -> list[Row]:
    everybody, seen = Contenders(bench), Seen()
    for case in CASES:
        names = [name for name in _CONTENDERS[case.chunks] if everybody.takes_part(name)]
        with paced(bench, case.baud, case.chunks, len(names)) as slave:
            seen.ready.append(slave.ready)
            contenders = {
                name: partial(everybody.turn, name, slave.line(number), case)
                for number, name in enumerate(names)
            }
            seen.turns[case] = take_turns(contenders, _ROUNDS)
        print(f"{case}: {seen.median(case, _share)}", file=sys.stderr)
    return [
        *_share_rows(seen),
        *_silence_rows(seen),
        *_idle_rows(seen),
        *_cpu_rows(seen),
        *_slave_rows(seen),
    ]


def _share(turn: Turn) -> float:
    return turn.windows[0].share


def _row(claim: str, figures: dict[str, float], unit: str, budget: str = "") -> Row:
    return Row(claim=claim, value=figures.pop("daemon"), unit=unit, peers=figures, budget=budget)


def _cases(chunks: str, baud: int | None = None) -> list[Case]:
    return [case for case in CASES if case.chunks == chunks and baud in (None, case.baud)]


def _share_rows(seen: Seen) -> list[Row]:
    rows = []
    for case in CASES:
        # Behind a latency timer the line cannot be used up: there is nothing to promise.
        budget = BUDGETS[case.baud] if case.chunks in _PROMISED else ""
        rows.append(_row(f"share of the line's limit, {case}", seen.median(case, _share), "x", budget))
    for chunks in _PROMISED:
        of_peer, of_ideal = (
            min(over(seen, case) for case in _cases(chunks)) for over in (_over_best_peer, _over_ideal)
        )
        how = f"worst case, {CHUNKS[chunks]}"
        claim = f"the same over the best peer's that keeps t3.5, {how}"
        rows.append(Row(claim=claim, value=of_peer, unit="x", budget=">= 1"))
        rows.append(Row(claim=f"the same over {IDEAL}'s, {how}", value=of_ideal, unit="x"))
    return rows


def _over_ideal(seen: Seen, case: Case) -> float:
    shares = seen.median(case, _share)
    return shares["daemon"] / shares[IDEAL]


def _over_best_peer(seen: Seen, case: Case) -> float:
    shares = seen.median(case, _share)
    lawful = [
        shares[name]
        for name in shares
        if name not in ("daemon", IDEAL) and not any(one.too_soon for one in seen.windows(name, [case]))
    ]
    return shares["daemon"] / max(lawful, default=shares["daemon"])


def _silence_rows(seen: Seen) -> list[Row]:
    rows = []
    for chunks, how in CHUNKS.items():
        cases = _cases(chunks)
        windows = {name: seen.windows(name, cases) for name in seen.turns[cases[0]]}
        too_soon = {name: _too_soon_percent(taken) for name, taken in windows.items()}
        rows.append(_row(f"requests too soon, {how}", too_soon, "% of requests", "<= 0"))
        if chunks in _PROMISED:
            least = {name: min(min(one.idle_us) for one in taken) for name, taken in windows.items()}
            rows.append(_row(f"least idle beyond t3.5, {how}", least, "us"))
    return rows


def _too_soon_percent(windows: Sequence[Window]) -> float:
    return 100 * sum(one.too_soon for one in windows) / sum(one.requests for one in windows)


def _idle_rows(seen: Seen) -> list[Row]:
    rows = []
    for chunks in _PROMISED:
        for baud in BAUDS:
            cases = _cases(chunks, baud)
            figures = {
                name: p50_p99([idle for one in seen.windows(name, cases) for idle in one.idle_us])
                for name in seen.turns[cases[0]]
            }
            for place, what in enumerate(("median", "p99")):
                claim = f"idle beyond t3.5, {what}, {baud} baud, {CHUNKS[chunks]}"
                rows.append(_row(claim, {name: both[place] for name, both in figures.items()}, "us"))
    return rows


def _cpu_rows(seen: Seen) -> list[Row]:
    return [
        _row(f"processor per transaction, {case}", seen.median(case, lambda turn: turn.cpu_us), "us")
        for case in CASES
        if case.chunks in _PROMISED
    ]


def _slave_rows(seen: Seen) -> list[Row]:
    """The instrument's own faults."""
    windows = seen.windows("daemon", CASES)
    late_us = [one.said["late_ns"] / one.requests / 1000 for one in windows]
    return [
        Row(claim="the slave: last byte of a reply behind its time, mean (taken off)",
            value=mean(late_us), unit="us", peers={"worst window": max(late_us)}),
        Row(claim="the slave: what taking that off adds to the daemon's share, mean",
            value=mean(one.share - one.share_as_measured for one in windows), unit="x",
            peers={"worst window": max(one.share - one.share_as_measured for one in windows)}),
        Row(claim="the slave: a request is seen after it was sent, median (left in)",
            value=median(one["seen_late_p50_us"] for one in seen.ready), unit="us",
            peers={"p99": median(one["seen_late_p99_us"] for one in seen.ready)}),
    ]  # fmt: skip
