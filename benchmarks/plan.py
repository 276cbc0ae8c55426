"""What the planner gains over greedy merging, on every profile of the library and on extreme maps.

Calculated, not timed: line time of a plan by the cost model, for all points due and for each poll class,
at 9600 and 115200 baud, with turnarounds of 2, 10 and 50 ms; at gap 0, at the profile's gap, and where
the device lets any gap be read. The peers are greedy merging, which reads every gap it may, and greedy
merging that knows the break-even gap of the line. The time to make a plan is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns

from _common import ROOT, Row, publish

from edge_agent.bus.plan.cost import LineCost, Turnaround, line_cost
from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.bus.wire.timing import t3_5_ns
from edge_agent.model import Area, BusDef, DeviceDef, PointDef, PointType, Quirks, SerialLink
from edge_agent.profiles import Library, as_device, default_library

sys.path.insert(0, str(ROOT))
from tests.unit.bus import greedy

BAUDS = (9600, 115200)
TURNAROUNDS_MS = (2, 10, 50)
ANY_GAP = 124
POINTS = 400


@dataclass(frozen=True, slots=True)
class Gain:
    """Of the plan, in per cent of the line time of both kinds of greedy merging."""

    over_greedy: float
    over_break_even: float
    where: str


def main() -> int:
    library = default_library()
    rows = [row for name in _profiles() for row in _profile_rows(name, library)]
    rows.append(_whole_maps(library, "eastron/sdm630", 9600, 10))
    rows.append(
        Row(
            claim=f"making a plan for {POINTS} points, gaps of five registers",
            value=_plan_ms(),
            unit="ms",
            budget="<= 10",
        )
    )
    return publish("plan", rows)


def _profiles() -> list[str]:
    files = sorted((ROOT / "firmware_profiles").rglob("*.toml"))
    return [f"{path.parent.name}/{path.stem}" for path in files]


def _profile_rows(name: str, library: Library) -> Iterator[Row]:
    profile = library.get(name)
    device = as_device(profile, name="d", bus="b", unit_id=1)
    classes = _classes(device, [spec.poll or "normal" for spec in profile.points])
    gap = device.quirks.max_gap_words
    for text, quirks in (
        ("gap 0", replace(device.quirks, max_gap_words=0)),
        (f"its gap of {gap}", device.quirks),
        ("any gap", replace(device.quirks, max_gap_words=ANY_GAP)),
    ):
        gains = list(_gains(replace(device, quirks=quirks), classes))
        best = max(gains, key=lambda one: one.over_greedy)
        at = f" ({best.where})" if best.over_greedy >= 0.05 else ""
        yield Row(
            claim=f"{name}, {text}: most line time saved against greedy merging{at}",
            value=max(0.0, best.over_greedy),
            unit="%",
            peers={"against greedy with the break-even gap": max(one.over_break_even for one in gains)},
        )


def _classes(device: DeviceDef, polls: Sequence[object]) -> dict[str, list[int]]:
    classes: dict[str, list[int]] = {"all points": list(range(len(device.points)))}
    for index, poll in enumerate(polls):
        classes.setdefault(str(poll), []).append(index)
    return classes


def _gains(device: DeviceDef, classes: dict[str, list[int]]) -> Iterator[Gain]:
    for baud in BAUDS:
        bus = BusDef(name="b", link=SerialLink(path="x", baud=baud))
        cost = line_cost(bus, device)
        for turnaround_ms in TURNAROUNDS_MS:
            for name, due in classes.items():
                where = f"{name}, {baud} baud, turnaround {turnaround_ms} ms"
                # No device may reply sooner than t3.5.
                turnaround_ns = max(turnaround_ms * 1_000_000, t3_5_ns(baud))
                yield _gain(device, cost, turnaround_ns, due, where)


def _gain(device: DeviceDef, cost: LineCost, turnaround_ns: int, due: list[int], where: str) -> Gain:
    planner = Planner(0, device, list(enumerate(device.points)), cost)
    planner.assume(turnaround_ns)
    ours = sum(map(planner.line_ns, planner.plan(due, Refusals()).requests))
    points = [(device.points[index], index) for index in due]
    turnaround = Turnaround(0)
    turnaround.assume(turnaround_ns)
    plain, knowing = (
        greedy.line_ns(greedy.spans(points, device.quirks, Refusals(), widest), cost, turnaround.ns)
        for widest in (None, cost.fixed_ns(turnaround.ns) // (2 * cost.char_ns))
    )
    return Gain(100 * (1 - ours / plain), 100 * (1 - ours / knowing), where)


def _whole_maps(library: Library, name: str, baud: int, turnaround_ms: int) -> Row:
    profile = library.get(name)
    polled = [n for n, spec in enumerate(profile.points) if spec.poll not in ("once", "on_demand")]
    device = as_device(profile, name="d", bus="b", unit_id=1)
    bus = BusDef(name="b", link=SerialLink(path="x", baud=baud))

    def a_second(**quirks: int | bool) -> float:
        changed = replace(device, quirks=replace(device.quirks, **quirks))  # type: ignore[arg-type]
        planner = Planner(0, changed, list(enumerate(device.points)), line_cost(bus, changed))
        planner.assume(turnaround_ms * 1_000_000)
        return 1e9 / sum(map(planner.line_ns, planner.plan(polled, Refusals()).requests))

    return Row(
        claim=f"{name}, all {len(polled)} points at {baud} baud, turnaround {turnaround_ms} ms: whole maps",
        value=a_second(),
        unit="/s",
        peers={
            "merging at gap 0": a_second(max_gap_words=0),
            "one request per point": a_second(one_point_per_request=True),
        },
    )


def _plan_ms() -> float:
    points = [
        PointDef(device="d", name=f"p{n}", area=Area.HOLDING, address=7 * n, type=PointType.F32, poll_ns=1)
        for n in range(POINTS)
    ]
    device = DeviceDef(name="d", bus="b", unit_id=1, quirks=Quirks(max_gap_words=ANY_GAP))
    times = []
    for _ in range(9):
        planner = Planner(0, device, list(enumerate(points)))
        start = perf_counter_ns()
        planner.plan(range(POINTS), Refusals())
        times.append(perf_counter_ns() - start)
    return sorted(times)[len(times) // 2] / 1e6


if __name__ == "__main__":
    sys.exit(main())
