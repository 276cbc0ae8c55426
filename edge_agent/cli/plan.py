"""`edge-agent plan FILE`: the requests a configuration makes, and what they take of each line.

Nothing is asked of any device: the reply times are assumed, given, or those a running agent measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli import _json, _view

if TYPE_CHECKING:
    from edge_agent.bus.plan.forecast import Forecast, Read
    from edge_agent.cli._reply_times import ReplyTimes
    from edge_agent.model import Site

_SHOWN = 3
"""Names in one cell of a table; the JSON has them all."""
_REQUEST_HEAD = ("DEVICE", "UNIT", "AREA", "FROM", "COUNT", "EVERY", "TAKES", "BYTES", "POINTS")
_PERIOD_HEAD = ("DEVICE", "PERIOD", "ACHIEVABLE", "POINTS")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "plan",
        help="the requests a configuration makes, what they take of each line, achievable periods",
        description="Prints for each bus the read requests with their time on the line, the turnarounds that"
        " were taken, the predicted load (retries not included) and the period every point can have.",
        epilog="A load beyond max_load is what `check` refuses; `run` stretches every period alike.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the configuration")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--turnaround", metavar="DURATION", help="from a request to its reply, of every device (default: 5ms)"
    )
    known.add_argument("--measured", action="store_true", help="the turnarounds a running agent has measured")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.bus.plan.forecast import forecasts
    from edge_agent.cli import _reply_times
    from edge_agent.profiles import load_site

    _reply_times.check(options)
    site = load_site(options.file)
    known = _reply_times.of(options, site)
    plan = describe(site, forecasts(site, known.by_device, exact=known.exact), known)
    print(_json.dumps(plan, indent=2) if options.json else "\n".join(lines(plan)))
    return 0


def describe(site: Site, found: list[Forecast], known: ReplyTimes) -> dict[str, Any]:
    """The plan as plain data; times in seconds. `source` of a turnaround: assumed, given, measured."""
    return {"file": site.source, "buses": [_bus(forecast, known) for forecast in found]}


def lines(plan: Mapping[str, Any]) -> list[str]:
    """The plan for people."""
    return [line for bus in plan["buses"] for line in _bus_lines(bus)]


# --- as data ----------------------------------------------------------------------------------------


def _bus(forecast: Forecast, known: ReplyTimes) -> dict[str, Any]:
    from edge_agent.bus.plan import overload
    from edge_agent.bus.report import describe_link

    bus = forecast.bus
    return {
        "name": bus.name,
        "link": describe_link(bus),
        "load": round(forecast.load, 4),
        "max_load": bus.max_load,
        "requests_per_s": round(forecast.requests_per_s, 3),
        "overloaded": forecast.is_overloaded,
        "message": overload.message(forecast) if forecast.is_overloaded else "",
        "hint": overload.advice(forecast) if forecast.is_overloaded else "",
        "turnarounds": [
            {"device": device.name, "turnaround_s": ns / 1e9, "source": known.source(device.name)}
            for device, ns in forecast.turnarounds()
        ],
        "requests": [_request(read) for read in forecast.reads()],
        "points": [
            {
                "device": device.name,
                "point": point.name,
                "period_s": point.poll_ns / 1e9 or None,
                "achievable_s": _seconds(forecast.achievable_ns(point)),
            }
            for device in bus.devices
            for point in device.points
        ],
    }


def _request(read: Read) -> dict[str, Any]:
    from edge_agent.bus.plan.cost import FRAME_BYTES
    from edge_agent.bus.wire.frames import byte_count

    request, points = read.request, read.device.points
    return {
        "device": read.device.name,
        "unit_id": request.unit_id,
        "area": str(request.area),
        "address": request.address,
        "count": request.count,
        "every_s": _seconds(read.every_ns),
        "line_s": _seconds(read.line_ns),
        "bytes": FRAME_BYTES + byte_count(request.area, request.count),
        "points": [points[index].name for index in request.points],
    }


def _seconds(ns: float) -> float:
    return round(ns / 1e9, 6)


# --- for people -------------------------------------------------------------------------------------


def _bus_lines(bus: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"bus {bus['name']}  {bus['link']}  load {bus['load']:.0%} of {bus['max_load']:.0%}"
        f"  {bus['requests_per_s']:.1f} requests/s"
    )
    if bus["message"]:
        yield f"  ! {bus['message']}"
        yield f"    hint: {bus['hint']}"
    yield from ("  " + line for line in _view.table([_REQUEST_HEAD, *_request_rows(bus["requests"])]))
    for source in ("given", "measured", "assumed"):
        if times := _turnarounds(bus, source):
            said = "; ".join(f"{_time(seconds)} of {_listed(names)}" for seconds, names in times.items())
            yield f"  reply times {source}: {said}"
    yield ""
    yield from ("  " + line for line in _view.table([_PERIOD_HEAD, *_period_rows(bus["points"])]))
    yield ""


def _request_rows(requests: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row for what devices that are alike are asked alike."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for request in requests:
        alike.setdefault(_request_cells(request), []).append(request)
    for cells, same in alike.items():
        units = sorted(request["unit_id"] for request in same)
        yield (
            _listed([request["device"] for request in same]),
            str(units[0]) if len(units) == 1 else f"{units[0]}..{units[-1]}",
            *cells,
        )


def _request_cells(request: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        request["area"],
        str(request["address"]),
        str(request["count"]),
        _time(request["every_s"]),
        _time(request["line_s"]),
        str(request["bytes"]),
        _listed(request["points"]),
    )


def _turnarounds(bus: Mapping[str, Any], source: str) -> dict[float, list[str]]:
    by_time: dict[float, list[str]] = {}
    for one in (one for one in bus["turnarounds"] if one["source"] == source):
        by_time.setdefault(one["turnaround_s"], []).append(one["device"])
    return by_time


def _period_rows(points: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row for the points of a device that have one period, and for the devices where they are alike."""
    classes: dict[tuple[str, float | None, float], list[str]] = {}
    for one in points:
        classes.setdefault((one["device"], one["period_s"], one["achievable_s"]), []).append(one["point"])
    alike: dict[tuple[str, ...], list[str]] = {}
    for (device, period_s, achievable_s), names in classes.items():
        period = "continuous" if period_s is None else _time(period_s)
        alike.setdefault((period, _time(achievable_s), _listed(names)), []).append(device)
    for cells, devices in alike.items():
        yield _listed(devices), *cells


def _listed(names: list[str]) -> str:
    from edge_agent.bus.plan.overload import listed

    return listed(names, _SHOWN)


def _time(seconds: float) -> str:
    """`62.1 ms`, `1.25 s`, `2 min`."""
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= (2 * size if size > 1 else 1):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e3:.3g} ms"
