"""The whole judgement of a block, native against the same chain in C, numba's JIT, NumPy and Python.

Every point goes through decode, median of 5, low pass, dead band, one alarm with a delay, and its window.
After the run the tables of all contenders are compared, bit for bit (NumPy's closely: its exp is not
ours), so that nobody was faster by doing something else. Needs cc.

python benchmarks/kernels.py [--rounds N]
"""

from __future__ import annotations

import argparse
import ctypes
import math
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _common import ROOT, Row, medians, publish, ratio, take_turns, time_ns

from edge_agent.kernels import layout, load, prototypes, selftest
from edge_agent.kernels.catalogue import all_kernels
from edge_agent.model import (
    NS,
    AlarmDef,
    AlarmKind,
    Area,
    BusDef,
    Deadband,
    DeviceDef,
    Lowpass,
    Median,
    PointDef,
    PointType,
    SerialLink,
    Site,
    SpoolDef,
    UplinkDef,
)
from edge_agent.process import tables

FILTERS = (Median(samples=5), Lowpass(tau_ns=NS // 2), Deadband(width=0.5))
STEP_NS = NS // 10
BLOCKS = 20
"""Blocks in one timed round: a few milliseconds for the slowest contender."""


@dataclass(frozen=True, slots=True)
class Case:
    """Blocks of one shape: `points` values of one type side by side."""

    type: PointType
    points: int

    @property
    def words(self) -> int:
        return self.points * self.type.words

    @property
    def label(self) -> str:
        return f"block of {self.words:,} words ({self.points:,} {self.type})"

    def site(self) -> Site:
        points = tuple(
            PointDef(
                device="d", name=f"p{i}", area=Area.HOLDING, address=i * self.type.words, type=self.type,
                scale=0.1, poll_ns=STEP_NS, filters=FILTERS,
            )
            for i in range(self.points)
        )  # fmt: skip
        alarms = tuple(
            AlarmDef(
                name=f"a{i}", device="d", point=f"p{i}", kind=AlarmKind.ABOVE, low=0.0, high=60.0,
                deadband=1.0, on_delay_ns=NS // 4,
            )
            for i in range(self.points)
        )  # fmt: skip
        device = DeviceDef(name="d", bus="b", unit_id=1, points=points)
        bus = BusDef(name="b", link=SerialLink(path="/dev/null"), devices=(device,))
        return Site(
            site="s", agent="a", buses=(bus,), alarms=alarms, window_ns=10 * NS,
            uplink=UplinkDef(url="mqtt://localhost"), spool=SpoolDef(),
        )  # fmt: skip

    def payloads(self) -> list[bytes]:
        """A load that varies slowly, noise, and a spike now and then: alarms come and go."""
        noise = random.Random(1)
        code = ">f" if self.type is PointType.F32 else ">h"
        return [
            b"".join(struct.pack(code, self._register(block, point, noise)) for point in range(self.points))
            for block in range(BLOCKS)
        ]

    def _register(self, block: int, point: int, noise: random.Random) -> Any:
        spike = 3000.0 if noise.random() < 0.01 else 0.0
        value = 500.0 + 150.0 * math.sin(block / 3 + point) + noise.gauss(0.0, 5.0) + spike
        return value if self.type is PointType.F32 else round(value)


class Chain:
    """One implementation of `judge` at work on tables of its own."""

    def __init__(self, judge: Callable[..., int], case: Case, payloads: Sequence[bytes]) -> None:
        self.judge = judge
        self.tables = tables.build(case.site())
        self.points = (ctypes.c_int64 * case.points)(*range(case.points))
        self.payloads = payloads
        self.mono_ns = NS

    def round(self) -> float:
        """Nanoseconds per block, call by call as the process stage makes them."""
        return time_ns(self._run, 1) / len(self.payloads)

    def _run(self) -> None:
        t, judge, points, n, mono_ns = self.tables, self.judge, self.points, len(self.points), self.mono_ns
        config_i, config_f, state_i, state_f, moves = t.config_i, t.config_f, t.state_i, t.state_f, t.moves
        for payload in self.payloads:
            mono_ns += STEP_NS
            judge(payload, 0, points, n, mono_ns, 0, config_i, config_f, state_i, state_f, moves)
        self.mono_ns = mono_ns

    @property
    def outcome(self) -> tuple[bytes, bytes]:
        return bytes(self.tables.state_i), bytes(self.tables.state_f)


def c_judge(folder: Path) -> Callable[..., int]:
    """The chain in C, compiled here and called the same way as the native kernels."""
    names = {name: value for name, value in vars(layout).items() if name.isupper() and isinstance(value, int)}
    constants = ", ".join(f"{name} = {value}" for name, value in names.items())
    (folder / "layout.h").write_text(f"enum {{ {constants} }};\n")
    source = str(ROOT / "benchmarks" / "c" / "chain.c")
    flags = ["-O3", "-ffp-contract=off", "-Wall", "-Wextra", "-shared", "-fPIC", "-I", str(folder)]
    subprocess.run(["cc", *flags, source, "-o", str(folder / "chain.so"), "-lm"], check=True)
    function = ctypes.CDLL(str(folder / "chain.so")).judge
    signature = all_kernels()["judge"].signature
    function.argtypes, function.restype = prototypes.arguments(signature), prototypes.result(signature)
    return function


def compare(case: Case, judges: dict[str, Callable[..., int]], rounds: int) -> dict[str, list[float]]:
    """Nanoseconds per block of every contender; AssertionError when their results differ."""
    from numpy_chain import NumpyChain

    payloads = case.payloads()
    chains = {name: Chain(judge, case, payloads) for name, judge in judges.items()}
    vectors = NumpyChain(case.points, ">f4" if case.type is PointType.F32 else ">i2", payloads, STEP_NS)
    contenders = {name: chain.round for name, chain in chains.items()} | {"NumPy": vectors.round}
    figures = take_turns(contenders, rounds)
    outcomes = {chain.outcome for chain in chains.values()}
    assert len(outcomes) == 1, "the contenders did not compute the same"
    vectors.check(chains["native"].tables)
    return figures


def block_rows(judges: dict[str, Callable[..., int]], rounds: int) -> list[Row]:
    rows = []
    for case in (Case(PointType.F32, 50), Case(PointType.S16, 100)):
        figures = compare(case, judges, rounds)
        us = {name: value / 1000 for name, value in medians(figures).items()}
        native = us.pop("native")
        rows.append(Row(claim=case.label, value=native, unit="us", peers=us, budget="<= 20"))
        claim = f"speed against C, {case.label}"
        rows.append(Row(claim=claim, value=ratio(figures, "C -O3", "native"), unit="x", budget=">= 0.9"))
    return rows


def bulk_rows(judges: dict[str, Callable[..., int]], rounds: int) -> list[Row]:
    """A block so large that the cost of the call no longer counts."""
    case = Case(PointType.F32, 5000)
    compiled = {name: judge for name, judge in judges.items() if name != "Python"}
    figures = compare(case, compiled, rounds)
    rates = {name: case.points / value * 1000 for name, value in medians(figures).items()}
    native = rates.pop("native")
    return [
        Row(claim=f"throughput, {case.label}", value=native, unit="M samples/s", peers=rates),
        Row(
            claim=f"speed against C, {case.label}",
            value=ratio(figures, "C -O3", "native"),
            unit="x",
            budget=">= 0.9",
        ),
    ]


def cost_rows(judges: dict[str, Callable[..., int]], rounds: int) -> list[Row]:
    """What it costs to call, to load and to trust the library."""
    chain = Chain(judges["native"], Case(PointType.S16, 1), [])
    t = chain.tables
    arguments = (b"", 0, chain.points, 0, 0, 0, t.config_i, t.config_f, t.state_i, t.state_f, t.moves)
    with TemporaryDirectory() as folder:
        state_dir = Path(folder)
        selftest.ensure(state_dir)
        figures = take_turns(
            {
                "call": lambda: time_ns(lambda: judges["native"](*arguments), 1000),
                "load": lambda: time_ns(lambda: load("native"), 1),
                "first": lambda: time_ns(lambda: selftest.ensure(None), 1),
                "again": lambda: time_ns(lambda: selftest.ensure(state_dir), 1),
            },
            rounds,
        )
    ns = medians(figures)
    return [
        Row(claim="one call of judge (11 arguments), no point", value=ns["call"] / 1000, unit="us"),
        Row(claim="loading the library", value=ns["load"] / 1e6, unit="ms"),
        Row(claim="self-test, first start after boot", value=ns["first"] / 1e6, unit="ms"),
        Row(claim="self-test, every further start", value=ns["again"] / 1e6, unit="ms"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=61, help="rounds of which the median is taken")
    rounds = parser.parse_args().rounds
    # First, before numba and NumPy are imported: the self-test forks a process as small as a daemon.
    judges = {"native": load("native").judge}
    costs = cost_rows(judges, rounds)
    with TemporaryDirectory() as folder:
        judges |= {"C -O3": c_judge(Path(folder)), "JIT": load("jit").judge, "Python": load("python").judge}
        return publish("kernels", [*block_rows(judges, rounds), *bulk_rows(judges, rounds), *costs])


if __name__ == "__main__":
    sys.exit(main())
