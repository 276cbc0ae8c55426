"""`edge-agent check FILE`: all problems of a configuration at once, or what it amounts to.

Among the problems is a bus that is asked for more than it may give: the agent would run and read
everything later than configured, which nobody wants who takes the trouble to check.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli import _json
from edge_agent.errors import InputError

if TYPE_CHECKING:
    from edge_agent.bus.plan.forecast import Forecast
    from edge_agent.config.schema import Report
    from edge_agent.model import Site


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check a configuration file, all problems at once",
        description="Reads a configuration and the profiles it names and prints every problem with file,"
        " line, key and hint, exit status 2; or a summary of buses, devices, points and alarms. A bus whose"
        " polls need more of the line than max_load is a problem; `plan` shows the requests behind it.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the configuration")
    parser.add_argument("--json", action="store_true", help="summary or problems as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.profiles import load_site

    try:
        site = load_site(options.file, judge=judge)
    except InputError as error:
        if not options.json:
            raise
        problems = [asdict(problem) for problem in error.problems]
        print(_json.dumps({"file": str(options.file), "ok": False, "problems": problems}, indent=2))
        return error.exit_status
    summary = summarize(site)
    print(_json.dumps(summary, indent=2) if options.json else "\n".join(lines(summary)))
    return 0


def judge(site: Site, report: Report) -> None:
    """Every bus that its polls ask for more than it may give, and what to slow down."""
    from edge_agent.bus.plan import overload
    from edge_agent.bus.plan.forecast import forecasts

    for forecast in forecasts(site):
        if forecast.is_overloaded:
            path = ("bus", forecast.bus.name)
            report.add(path, overload.message(forecast), overload.advice(forecast))


def summarize(site: Site) -> dict[str, Any]:
    """What a sound configuration amounts to, as plain data."""
    from edge_agent.bus.plan.forecast import forecasts

    return {
        "file": site.source,
        "ok": True,
        "site": site.site,
        "agent": site.agent,
        "config_sha256": site.config_hash,
        "buses": [_bus(forecast) for forecast in forecasts(site)],
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
            f" about {bus['requests_per_s']:.1f} requests/s, {bus['load']:.0%} of the line"
        )
        if bus["by_id"]:
            text.append(f'    hint: serial = "{bus["by_id"]}" would survive a replug under another number')
    silent = f"{summary['devices']} built-in silence alarms"
    text.append(f"  {summary['points']} points, {summary['alarms']} alarms and {silent}")
    text.append(f"  uplink {summary['uplink']}, spool {summary['spool']}")
    return text


def _bus(forecast: Forecast) -> dict[str, Any]:
    from edge_agent.bus.ports import by_id
    from edge_agent.bus.report import describe_port
    from edge_agent.model import SerialLink

    bus = forecast.bus
    return {
        "name": bus.name,
        "port": describe_port(bus),
        "by_id": by_id.better_name(bus.link.path) if isinstance(bus.link, SerialLink) else "",
        "devices": len(bus.devices),
        "points": sum(len(device.points) for device in bus.devices),
        "continuous_points": sum(point.poll_ns == 0 for device in bus.devices for point in device.points),
        "requests_per_s": round(forecast.requests_per_s, 3),
        "load": round(forecast.load, 4),
        "max_load": bus.max_load,
    }
