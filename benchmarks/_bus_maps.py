"""How often a second a whole device is read: all points of an SDM630 at 9600 baud, by the daemon as it plans,
merging across no gap, and with one request for each point. Side by side, each on a line of its own.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from _common import Row
from _pacing import Window, paced
from _processes import Bench, daemon, running, wait_at_work

from edge_agent.profiles import load_site

_BAUD = 9600
_PROFILE = "eastron/sdm630"
_WAYS = {
    "daemon": "",
    "merging at gap 0": "[device.meter.quirks]\nmax_gap_words = 0\n",
    "one request per point": "[device.meter.quirks]\none_point_per_request = true\n",
}
_WINDOW_S = 12.0
"""Of four maps and more in the slowest way."""


def rows(bench: Bench) -> list[Row]:
    with paced(bench, _BAUD, "fifo", len(_WAYS)) as slave, ExitStack() as stack:
        folders = [bench.place("maps") for _ in _WAYS]
        for folder, path, quirks in zip(folders, slave.paths, _WAYS.values(), strict=True):
            command = daemon(folder, bench.url, _configuration(path, quirks))
            stack.enter_context(running(command, folder / "log"))
        for folder in folders:
            wait_at_work(folder / "status.sock")
        slave.report()
        time.sleep(_WINDOW_S)
        windows = dict(zip(_WAYS, slave.report(), strict=True))
    points = _points(folders[0])
    what = f"SDM630, all {points} points, {_BAUD} baud"
    return [
        _row(f"{what}: whole maps", {name: _maps_a_second(one) for name, one in windows.items()}, "1/s"),
        _row(
            f"{what}: requests for a map",
            {name: _requests_a_map(one) for name, one in windows.items()},
            "requests",
        ),
    ]


def _row(claim: str, figures: dict[str, float], unit: str) -> Row:
    return Row(claim=claim, value=figures.pop("daemon"), unit=unit, peers=figures)


def _configuration(path: str, quirks: str) -> str:
    periods = ", ".join(f'{name} = "continuous"' for name in ("fast", "normal", "slow", "once"))
    lines = [
        "[bus.line]", f'serial = "{path}"', f"baud = {_BAUD}", "max_load = 1.0",
        "[device.meter]", 'bus = "line"', "unit_id = 1", f'profile = "{_PROFILE}"',
        f"periods = {{ {periods} }}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n" + quirks


def _points(folder: Path) -> int:
    """That are polled: settings and commands are not."""
    site = load_site(folder / "agent.toml")
    return sum(point.poll_ns == 0 for point in site.points)


def _maps_a_second(window: Window) -> float:
    """Every map asks for the lowest address once."""
    seen = window.said["map"]
    return float((seen["times"] - 1) / (seen["elapsed_ns"] / 1e9))


def _requests_a_map(window: Window) -> float:
    """By the rates: a window need not hold a whole number of maps."""
    a_second = window.requests / (window.said["elapsed_ns"] / 1e9)
    return a_second / _maps_a_second(window)
