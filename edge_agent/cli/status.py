"""`edge-agent status`: what a running agent knows, from its status socket."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edge_agent.cli import _view
from edge_agent.daemon import status


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "status",
        help="what a running agent knows: buses, devices, values, uplink",
        description="Prints one snapshot of a running agent: which devices are up or down since when and"
        " why one is silent, what a line suffers from, the latest values with unit, quality and age, the"
        " spool and the uplink.",
    )
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--values", action="store_true", help="also every point's latest value")
    parser.add_argument("--json", action="store_true", help="the snapshot as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    snapshot = status.fetch(options.socket or status.default_path())
    if options.json:
        print(json.dumps(snapshot, indent=2))
    else:
        print("\n".join(_view.overview(snapshot, _view.width())))
        if options.values:
            print("\n".join(["", *_view.values(snapshot)]))
    return 0
