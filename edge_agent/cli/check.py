"""`edge-agent check FILE`: all problems of a configuration at once, or what it amounts to.

The estimate of requests and line load uses the bus's own planner, each poll class by itself, and
counts nothing for the time devices take to answer.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import InputError

if TYPE_CHECKING:
    from edge_agent.model import BusDef, DeviceDef, Site


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check a configuration file, all problems at once",
        description="Reads a configuration and the profiles it names and prints every problem with file,"
        " line, key and hint, exit status 2; or a summary of buses, devices, points and alarms.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the configuration")
    parser.add_argument("--json", action="store_true", help="summary or problems as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.profiles import load_site

    try:
        site = load_site(options.file)
    except InputError as error:
        if not options.json:
            raise
        problems = [asdict(problem) for problem in error.problems]
        print(json.dumps({"file": str(options.file), "ok": False, "problems": problems}, indent=2))
        return error.exit_status
    summary = summarize(site)
    print(json.dumps(summary, indent=2) if options.json else "\n".join(lines(summary)))
    return 0


def summarize(site: Site) -> dict[str, Any]:
    """What a sound configuration amounts to, as plain data."""
    return {
        "file": site.source,
        "ok": True,
        "site": site.site,
        "agent": site.agent,
        "config_sha256": site.config_hash,
        "buses": [_bus(bus) for bus in site.buses],
        "devices": len(site.devices),
        "points": len(site.points),
        "alarms": len(site.alarms),
        "uplink": site.uplink.url,
        "spool": site.spool.path,
    }


def lines(summary: dict[str, Any]) -> list[str]:
    """The summary for people."""
    text = [f"{summary['file']} is good: agent {summary['agent']} of site {summary['site']}"]
    for bus in summary["buses"]:
        text.append(
            f"  bus {bus['name']} on {bus['port']}: {bus['devices']} devices, {bus['points']} points,"
            f" about {bus['requests_per_s']:.1f} requests/s{_load(bus)}"
        )
    if any(_overloaded(bus) for bus in summary["buses"]):
        text.append("  note: an overloaded line is polled as fast as it allows; missed polls are counted")
    silent = f"{summary['devices']} built-in silence alarms"
    text.append(f"  {summary['points']} points, {summary['alarms']} alarms and {silent}")
    text.append(f"  uplink {summary['uplink']}, spool {summary['spool']}")
    return text


def _load(bus: dict[str, Any]) -> str:
    if bus["load"] is None:
        return ""
    over = f", more than max_load = {bus['max_load']:g}" if _overloaded(bus) else ""
    return f", {bus['load']:.0%} of the line{over}"


def _overloaded(bus: dict[str, Any]) -> bool:
    return bus["load"] is not None and bus["load"] > bus["max_load"]


def _bus(bus: BusDef) -> dict[str, Any]:
    from edge_agent.bus.report import describe_port
    from edge_agent.model import DeviceServerLink, SerialLink

    rate, load = _estimate(bus)
    serial = isinstance(bus.link, SerialLink | DeviceServerLink)
    return {
        "name": bus.name,
        "port": describe_port(bus),
        "devices": len(bus.devices),
        "points": sum(len(device.points) for device in bus.devices),
        "continuous_points": sum(point.poll_ns == 0 for device in bus.devices for point in device.points),
        "requests_per_s": round(rate, 3),
        "load": round(load, 4) if serial else None,
        "max_load": bus.max_load,
    }


def _estimate(bus: BusDef) -> tuple[float, float]:
    """Requests a second, and the share of a second they occupy the line; continuous points add none."""
    from edge_agent.bus.timing import bus_timing
    from edge_agent.model import NS

    timing = bus_timing(bus)
    rate = busy_ns = 0.0
    for device in bus.devices:
        for period_ns in {point.poll_ns for point in device.points if point.poll_ns}:
            for reply_bytes in _replies(device, period_ns):
                # Request and reply, each with its silence before it.
                wire_ns = timing.wire_ns(8 + reply_bytes) + 2 * timing.interframe_ns
                rate += NS / period_ns
                busy_ns += wire_ns * NS / period_ns
    return rate, busy_ns / NS


def _replies(device: DeviceDef, period_ns: int) -> list[int]:
    """Bytes of the reply to each request that brings the points with this period."""
    from edge_agent.bus.planner import Planner
    from edge_agent.bus.refusals import Refusals

    points = [(index, point) for index, point in enumerate(device.points) if point.poll_ns == period_ns]
    plan = Planner(0, device, points).plan([index for index, _ in points], Refusals())
    return [
        5 + (-(-request.count // 8) if request.area.is_bits else 2 * request.count)
        for request in plan.requests
    ]
