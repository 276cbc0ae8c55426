"""`edge-agent status`: what a running agent knows, from its status socket; `--probe`: whether a device is
there at this moment."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_agent.bus.device.view import word
from edge_agent.bus.outcomes import BadFrame, DeviceException, NoReply, PortDown, Values, is_alive
from edge_agent.bus.wire.frames import exception_name
from edge_agent.cli import _json, _view
from edge_agent.daemon import sockets, status
from edge_agent.daemon.asking import Told, ask
from edge_agent.daemon.commands import Probe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "status",
        help="what a running agent knows: buses, devices, values, uplink",
        description="Prints one snapshot of a running agent: which devices are up or down since when and"
        " why one is silent, what a line suffers from, the latest values with unit, quality and age, the"
        " spool and the uplink. With --probe it has one device asked now, whatever the agent thinks of it,"
        " and says what came.",
    )
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--values", action="store_true", help="also every point's latest value")
    parser.add_argument("--probe", metavar="DEVICE", help="ask this device now; status 1 when it is silent")
    parser.add_argument("--json", action="store_true", help="the snapshot as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    path = options.socket or sockets.default_path()
    if options.probe is not None:
        return _probe(ask(path, Probe(device=options.probe)), options.json)
    snapshot = status.fetch(path)
    if options.json:
        print(_json.dumps(snapshot, indent=2))
    else:
        print("\n".join(_view.overview(snapshot, _view.width())))
        if options.values:
            print("\n".join(["", *_view.values(snapshot)]))
    return 0


def _probe(told: Told, as_json: bool) -> int:
    alive = is_alive(told.outcome)
    if as_json:
        about = {"device": told.device, "bus": told.bus, "unit_id": told.unit_id}
        print(_json.dumps({**about, "outcome": word(told.outcome), "alive": alive, "probing": told.probing}))
    else:
        print(f"{told.device} (unit {told.unit_id} on {told.bus}, {told.link}): {_say(told)}")
    return 0 if alive else 1


def _say(told: Told) -> str:
    polled = "" if told.probing else ", and is polled"
    match told.outcome:
        case Values(latency_ns=latency_ns):
            return f"it answers, after {latency_ns / 1e6:.1f} ms{polled}"
        case DeviceException(code):
            return f"exception {code}, {exception_name(code)}{polled if is_alive(told.outcome) else ''}"
        case NoReply():
            return "nothing heard: is it powered, wired (A/B), at this unit id and speed?"
        case BadFrame(cause, heard):
            return f"garbage heard ({cause}), {heard} bytes"
        case PortDown(reason):
            return f"the port is down: {reason}; `edge-agent status` says why"
