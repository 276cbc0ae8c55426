"""Eight lines in one daemon, while its other threads have work: every point is filtered, watched by an
alarm and sent as samples to a broker. Beside it, eight ideal loops in C, a process each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from _common import Row, take_turns
from _pacing import Slave, Turn, Window, p50_p99, paced, watch
from _processes import Bench, Command, Task, compiled, daemon, running, wait_at_work

from edge_agent.daemon import status

_LINES = 8
_BAUD = 115200
_REGISTERS = (10, 100)
_ROUNDS = 2
_WINDOW_S = 4.0
_IDEAL = "ideal loops in C"
_POINT = (
    'area = "holding", type = "f32", poll = "continuous", send = "samples",'
    ' filter = [{ median = { samples = 5 } }, { lowpass = { tau = "500ms" } }]'
)
Turns = Mapping[str, Sequence[Turn]]


def rows(bench: Bench) -> list[Row]:
    return [row for registers in _REGISTERS for row in _rows(bench, registers)]


def _rows(bench: Bench, registers: int) -> Iterator[Row]:
    with paced(bench, _BAUD, "fifo", _LINES) as slave:
        contenders = {"daemon": partial(_daemon, bench, slave, registers),
                      _IDEAL: partial(_ideal, bench, slave, registers)}  # fmt: skip
        turns = take_turns(contenders, _ROUNDS)
    what = f"{_LINES} lines in one daemon, {_BAUD} baud, {registers} registers"
    yield _row(f"{what}: share of the limit, worst line", turns, _worst_share, "x", ">= 0.95")
    yield _row(f"{what}: requests too soon, all lines", turns, _too_soon, "requests", "<= 0")
    yield _row(f"{what}: idle beyond t3.5, median", turns, lambda taken: _idle_us(taken)[0], "us")
    yield _row(f"{what}: idle beyond t3.5, p99", turns, lambda taken: _idle_us(taken)[1], "us")
    yield _row(f"{what}: processor", turns, lambda taken: 100 * median(t.busy for t in taken), "% of a core")


def _row(
    claim: str, turns: Turns, figure: Callable[[Sequence[Turn]], float], unit: str, budget: str = ""
) -> Row:
    peers = {_IDEAL: figure(turns[_IDEAL])}
    return Row(claim=claim, value=figure(turns["daemon"]), unit=unit, peers=peers, budget=budget)


def _worst_share(taken: Sequence[Turn]) -> float:
    """The line that does worst over all rounds, each line by its median."""
    lines = zip(*(turn.windows for turn in taken), strict=True)
    return min(median(window.share for window in line) for line in lines)


def _windows(taken: Sequence[Turn]) -> list[Window]:
    return [window for turn in taken for window in turn.windows]


def _too_soon(taken: Sequence[Turn]) -> int:
    return sum(window.too_soon for window in _windows(taken))


def _idle_us(taken: Sequence[Turn]) -> tuple[float, float]:
    return p50_p99([us for window in _windows(taken) for us in window.idle_us])


# --- contenders -----------------------------------------------------------------------------------


def _daemon(bench: Bench, slave: Slave, registers: int) -> Turn:
    folder = bench.place("many")
    command = daemon(folder, bench.url, _configuration(slave.paths, registers // 2))
    with running(command, folder / "log") as child:
        slave.wait_for_requests()
        wait_at_work(folder / "status.sock")
        turn = watch(slave, [child], _WINDOW_S)
        _check_busy(folder / "status.sock")
    return turn


def _check_busy(socket: Path) -> None:
    """The other threads had their work: values were judged, and samples of them are at the broker."""
    counted = status.fetch(socket)["counters"]
    assert counted["process_blocks_judged"], counted
    assert counted["uplink_acked{sample}"], counted


def _configuration(paths: Sequence[str], points: int) -> str:
    lines = []
    for number, path in enumerate(paths, 1):
        lines += [f"[bus.line{number}]", f'serial = "{path}"', f"baud = {_BAUD}", "max_load = 1.0"]
        lines += [f"[device.unit_{number}]", f'bus = "line{number}"', "unit_id = 1"]
        lines += [f"[device.unit_{number}.point]"]
        lines += [f"p{i} = {{ address = {2 * i}, {_POINT} }}" for i in range(points)]
    for i in range(points):
        # The slave serves about 100: looked at with every value, and never raised.
        lines += [f"[alarm.high_{i}]", f'point = "unit_*.p{i}"', "above = 1000"]
    return "\n".join(lines) + "\n"


def _ideal(bench: Bench, slave: Slave, registers: int) -> Turn:
    """All of them side by side, as the lines of the daemon are."""
    program = compiled(bench.folder, "ideal_poll")
    log = bench.place("ideal") / "log"
    with ExitStack() as stack:
        children = [
            stack.enter_context(running(_loop(program, path, registers), log)) for path in slave.paths
        ]
        slave.wait_for_requests()
        return watch(slave, children, _WINDOW_S)


def _loop(program: Path, path: str, registers: int) -> Command:
    return Task(port=path, baud=_BAUD, registers=registers).program(program)
