"""What every benchmark shares: facts about the machine, interleaved medians, and the result file.

A result is believed as a ratio inside one run: the things compared take turns in short rounds, so that
a busy neighbour or a changing clock rate meets them all, and the median over the rounds is kept.
"""

from __future__ import annotations

import json
import operator
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    claim: str
    value: float
    unit: str
    peers: Mapping[str, float] = field(default_factory=dict)
    """What others need in the same run, in the same unit."""
    budget: str = ""
    """`<= 20` or `>= 0.9`; empty when nothing is promised."""

    @property
    def met(self) -> bool | None:
        if not self.budget:
            return None
        comparison, limit = self.budget.split()
        # As it is published: a reader must come to the same verdict.
        return _COMPARISONS[comparison](_rounded(self.value), float(limit))


def time_ns(action: Callable[[], object], count: int) -> float:
    """Nanoseconds of one `action`, the mean over `count` in a row."""
    start = perf_counter_ns()
    for _ in range(count):
        action()
    return (perf_counter_ns() - start) / count


def take_turns(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Each contender measures itself once a round; every round starts with another one."""
    figures: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            figures[name].append(contenders[name]())
    return figures


def medians(figures: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in figures.items()}


def ratio(figures: Mapping[str, Sequence[float]], above: str, below: str) -> float:
    """The median of the rounds' own ratios, which cancels what slowed a whole round down."""
    return median(a / b for a, b in zip(figures[above], figures[below], strict=True))


def machine() -> str:
    """Processor, cores this process may use, memory, kernel and Python in one line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory_gib:.1f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, load {load:.1f}"
    )


def _processor() -> str:
    found = re.search(r"^(?:model name|Model)\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def publish(name: str, rows: Sequence[Row]) -> int:
    """Print the rows and write them to benchmarks/results/NAME.json; returns the exit status.

    A missed budget is a fact to publish, not a failure of the run: the status is 0.
    """
    result = {
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]),
        "rows": [_as_json(row) for row in rows],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    show(rows)
    return 0


def show(rows: Sequence[Row]) -> None:
    print(machine())
    for row in rows:
        print(_as_line(row))


def _as_json(row: Row) -> dict[str, object]:
    return {
        "claim": row.claim,
        "value": _rounded(row.value),
        "unit": row.unit,
        "peers": {name: _rounded(value) for name, value in row.peers.items()},
        "budget": row.budget,
        "met": row.met,
    }


def _as_line(row: Row) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    peers = ", ".join(f"{name} {_rounded(value):g}" for name, value in row.peers.items())
    budget = f"budget {row.budget} {verdict}" if row.budget else ""
    return f"{row.claim:58s} {_rounded(row.value):>10g} {row.unit:12s} {budget:22s} {peers}".rstrip()


def _rounded(value: float) -> float:
    """Four significant digits: no benchmark here is more exact."""
    return float(f"{value:.4g}")
