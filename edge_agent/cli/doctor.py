"""`edge-agent doctor`: what is wrong with this gateway, and what to type."""

from __future__ import annotations

import argparse
import logging
import shlex
from pathlib import Path

from edge_agent.cli import _json, _view

DEFAULT_CONFIG = Path("/etc/edge-agent/agent.toml")
_WIDTH = 80
"""Fits a photo that a technician sends."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="what is wrong with this gateway, and what to type",
        description="Checks configuration, service, ports, broker, certificates, clock, disk and versions,"
        " and says what to do about each that is not as it should be. It changes nothing and sends nothing on"
        " a bus; of devices on the network and of the broker it tries the connection. Exit status 1 when"
        " something does not work. As root it sees most.",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the configuration; default: {DEFAULT_CONFIG}"
    )
    parser.add_argument("--offline", action="store_true", help="connect to nothing")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--json", action="store_true", help="the findings as a JSON list")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.clock import SystemClock
    from edge_agent.daemon import sockets
    from edge_agent.doctor import show
    from edge_agent.doctor.case import Options
    from edge_agent.doctor.examine import examine
    from edge_agent.doctor.findings import has_fault

    # What the parts of the agent would log is said here as findings.
    logging.getLogger("edge_agent").setLevel(logging.CRITICAL + 1)
    findings = examine(
        Options(
            config=options.config or DEFAULT_CONFIG,
            is_default=options.config is None,
            socket=options.socket or sockets.default_path(),
            offline=options.offline,
        ),
        SystemClock(),
    )
    if options.json:
        print(_json.dumps(show.data(findings), indent=2))
    else:
        print("\n".join(show.lines(findings, min(_WIDTH, _view.width()), _as_root(options))))
    return 1 if has_fault(findings) else 0


def _as_root(options: argparse.Namespace) -> str:
    """The same once more."""
    given = [
        *(("--config", str(options.config)) if options.config else ()),
        *(("--socket", str(options.socket)) if options.socket else ()),
        *(("--offline",) if options.offline else ()),
    ]
    return f"$ {shlex.join(['sudo', 'edge-agent', 'doctor', *given])}"
