"""`edge-agent watch`: the live table of a running agent."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from edge_agent.cli import _json, _view
from edge_agent.cli._seconds import seconds
from edge_agent.clock import SystemClock
from edge_agent.daemon import sockets, status
from edge_agent.errors import EdgeAgentError
from edge_agent.model import NS, MonoNs

_CLEAR = "\x1b[H\x1b[J"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "watch",
        help="live table of a running agent",
        description="Shows devices and values of a running agent, again and again. Ctrl-C ends it.",
    )
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--interval", type=seconds, default=1.0, metavar="S", help="seconds between looks")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N looks")
    parser.add_argument("--json", action="store_true", help="one JSON snapshot a line instead of a table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    clock = SystemClock()
    path = options.socket or sockets.default_path()
    looks = 0
    while True:
        try:
            _show(status.fetch(path), as_json=options.json)
        except EdgeAgentError as error:
            if options.count or options.json:
                raise
            # Whoever watches wants to see it come back.
            _draw([str(error), "", "waiting for it; Ctrl-C ends"])
        looks += 1
        if options.count and looks >= options.count:
            return 0
        clock.sleep_until(MonoNs(clock.mono_ns() + int(options.interval * NS)))


def _show(snapshot: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(_json.dumps(snapshot), flush=True)
    else:
        _draw([*_view.overview(snapshot, _view.width()), "", *_view.values(snapshot)])


def _draw(lines: list[str]) -> None:
    """On a terminal the table stays in place and is cut to its size; into a pipe it is just printed."""
    if sys.stdout.isatty():
        columns, rows = shutil.get_terminal_size()
        if len(lines) > rows - 1:
            lines = [*lines[: rows - 2], f"... {len(lines) - rows + 2} more lines: make the window higher"]
        sys.stdout.write(_CLEAR)
        lines = [line[:columns] for line in lines]
    print("\n".join(lines), flush=True)
