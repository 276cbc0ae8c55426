"""`edge-agent run`: the daemon, in the foreground as systemd wants it."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from edge_agent.cli import _view

# By its file: apt knows nothing but the name of a package that is in no archive, and does nothing.
_REINSTALL = (
    "something that came with the package is missing: apt install --reinstall ./edge-agent_VERSION_ARCH.deb"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run the agent with a configuration",
        description="Reads, judges and forwards until SIGTERM. Under systemd it reports readiness and feeds"
        " the watchdog; logs go to the journal, elsewhere to stderr.",
    )
    parser.add_argument("--config", type=Path, default=Path("/etc/edge-agent/agent.toml"), metavar="FILE")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=_state_dir(),
        metavar="DIR",
        help="where the last good configuration is kept, to be run when this one is wrong or crashes again"
        " and again; default: $STATE_DIRECTORY, which systemd sets, else it is not kept",
    )
    parser.add_argument("--trace", default="", metavar="BUS", help="print every frame of this bus to stdout")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.clock import SystemClock
    from edge_agent.daemon import sockets, systemd, trial
    from edge_agent.errors import EdgeAgentError

    # Where each thread was goes to the journal when the watchdog aborts an agent that hangs.
    with suppress(OSError, RuntimeError):
        faulthandler.enable()
    systemd.setup_logging(logging.DEBUG if options.verbose else logging.INFO)
    on_trial = trial.begin(options.config, options.state_dir)
    _check_trace(options.trace, [bus.name for bus in on_trial.site.buses])

    # Before there is anything to end: what is built from here on ends in order, however early it is asked.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    # Only now: a wrong configuration is said without loading the rest.
    try:
        from edge_agent.daemon.agent import Agent, Options
        from edge_agent.daemon.tracer import Tracer
    except ImportError as error:
        raise EdgeAgentError(f"{error}\n    hint: {_REINSTALL}") from error

    clock = SystemClock()
    on_trial.started()
    agent = Agent(
        on_trial.site,
        Options(
            socket=options.socket or sockets.default_path(),
            tracer=Tracer(options.trace, sys.stdout, clock) if options.trace else None,
            trial=on_trial,
        ),
        clock,
    )
    status = agent.run(stop)
    on_trial.ended(status)
    return status


def _state_dir() -> Path | None:
    """systemd gives several folders with colons between them; the unit has one."""
    first = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(first) if first else None


def _check_trace(bus: str, names: list[str]) -> None:
    from edge_agent.errors import InputError, Problem

    if bus and bus not in names:
        problem = Problem(
            file="--trace",
            line=0,
            key="",
            message="no such bus",
            value=bus,
            hint=f"one of {', '.join(names)}",
        )
        raise InputError([problem])
