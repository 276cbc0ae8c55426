"""`edge-agent read`: registers or bits of one device, without a configuration.

The technician's first question is "does it answer at all, and if not, why not". Only read functions
exist here: nothing this command does can change a device. A port or device server that a running agent
owns is read by that agent, beside its polls.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.bus.line import Line
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import (
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
    quality,
)
from edge_agent.bus.wire.frames import exception_name
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.trace import Frame, hex_bytes, render
from edge_agent.cli import _json, _read_task, _view
from edge_agent.cli._agent_line import AgentLine, NotOwned, Where, unit_id_of
from edge_agent.cli._read_task import Task
from edge_agent.clock import Clock, SystemClock
from edge_agent.config.links import line_of
from edge_agent.daemon.sockets import default_path
from edge_agent.errors import PortError
from edge_agent.model import NS, DeviceServerLink, MonoNs
from edge_agent.process.typed import Value, bit, value_of

_AREAS = {
    "coil": "coils",
    "discrete": "discrete inputs",
    "input": "input registers",
    "holding": "holding registers",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "read",
        help="read registers of one device, without a configuration",
        description="Reads registers or bits of one Modbus device and prints address, raw bytes and value."
        " Says why nothing came: nothing heard, garbage heard, an exception, the port in use or not allowed."
        " Only reads: it cannot change a device.",
        epilog="example: edge-agent read --port /dev/ttyUSB0 --unit-id 1 --area input 0-11 --type f32."
        " A port or device server that belongs to a running agent is read by it, with its speed and format.",
    )
    _read_task.add_options(parser)
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="times to read; 0: until Ctrl-C")
    parser.add_argument("--interval", default="1s", metavar="DURATION", help="between reads (default: 1s)")
    parser.add_argument("--trace", action="store_true", help="each frame in hex, with time, gap and verdict")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object per read")
    parser.set_defaults(run=run)


class Ear:
    """A trace sink that remembers the last bytes heard, and prints every frame if asked to."""

    def __init__(self, since: MonoNs, show: bool) -> None:
        self._since = since
        self._show = show
        self.last = b""

    def __call__(self, frame: Frame) -> None:
        if frame.direction != "->":
            self.last = frame.data
        if self._show:
            print(render(frame, self._since), file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> int:
    socket = options.socket or default_path()
    if options.device is not None:
        options.unit_id, options.reserved_unit = unit_id_of(socket, options.device, options.unit_id), True
    task = _read_task.parse(options)
    clock = SystemClock()
    ear = Ear(clock.mono_ns(), options.trace)
    if task.bus is None:
        return _ask_agent(task, socket, Where(device=options.device), ear, clock, options)
    if isinstance(task.bus.link, DeviceServerLink):
        # It gives every reply to all its connections: two masters would take each other's values as good.
        with suppress(NotOwned):
            server = Where(port=line_of(task.bus.link)[1])
            return _ask_agent(replace(task, bus=None), socket, server, ear, clock, options)
    manners = Manners(timeout=AdaptiveTimeout(task.bus.timeout_ns))
    line = make_line(task.bus, {0: manners}, clock, trace=ear)
    try:
        line.open()
    except PortError as busy:
        if busy.reason != "busy" or options.port is None:
            raise
        owned = Where(port=os.path.realpath(options.port), busy=busy)
        return _ask_agent(replace(task, bus=None), socket, owned, ear, clock, options)
    try:
        return _repeat(task, line, ear, clock, options)
    finally:
        line.close()


def _ask_agent(
    task: Task, socket: Path, where: Where, ear: Ear, clock: Clock, options: argparse.Namespace
) -> int:
    line = AgentLine(socket, where, clock, trace=options.trace)
    return _repeat(task, line, ear, clock, options)


def _repeat(task: Task, line: Line, ear: Ear, clock: Clock, options: argparse.Namespace) -> int:
    status = 0
    made = 0
    planned = clock.mono_ns()
    while True:
        status = max(status, _once(task, line, ear, clock, options.json))
        made += 1
        if made == options.repeat:
            return status
        planned = MonoNs(planned + task.interval_ns)
        clock.sleep_until(planned)
        if not line.is_open:
            line.open()


def _once(task: Task, line: Line, ear: Ear, clock: Clock, as_json: bool) -> int:
    values: list[dict[str, Any]] = []
    # A silent device's late window comes before its next request: twice the timeout.
    patience_ns = 60 * NS + 2 * task.timeout_ns
    for request in task.requests():
        (done,) = line.run([request], MonoNs(clock.mono_ns() + patience_ns))
        if not isinstance(done.outcome, Values):
            return _failed(task, request, done.outcome, line, ear.last, as_json)
        values += _values(task, request, done.outcome.data)
    if as_json:
        print(_json.dumps({**_about(task, line), "values": values}), flush=True)
    else:
        print("\n".join(_table(values)), flush=True)
    return 0


def _about(task: Task, line: Line) -> dict[str, Any]:
    bus = {"bus": line.bus} if isinstance(line, AgentLine) else {}
    return {**bus, "unit_id": task.unit_id, "area": task.area}


def _values(task: Task, request: ReadRequest, data: bytes) -> Iterator[dict[str, Any]]:
    if task.area.is_bits:
        for number in range(request.count):
            on = bit(data, number)
            yield {"address": request.address + number, "raw": str(int(on)), "value": on}
        return
    words = task.kind.words or request.count
    for at in range(0, request.count, words):
        raw = data[2 * at : 2 * (at + words)]
        value: Value = value_of(raw, task.kind, task.order)
        yield {"address": request.address + at, "raw": raw.hex(), "value": value}


def _table(values: list[dict[str, Any]]) -> Iterator[str]:
    for entry in values:
        address, raw = entry["address"], entry["raw"]
        spaced = " ".join(raw[at : at + 4] for at in range(0, len(raw), 4))
        value = entry["value"]
        yield f"{address:5d}  0x{address:04x}  {spaced:<20} {_shown(value)}"


def _shown(value: Value) -> Value:
    if value is None:
        return "not a value of this type"
    if not isinstance(value, float):
        return value
    return "not a number" if math.isnan(value) else f"{value:.7g}"


def _failed(
    task: Task, request: ReadRequest, outcome: Outcome, line: Line, heard: bytes, as_json: bool
) -> int:
    if isinstance(outcome, PortDown) and line.fault is not None:
        raise line.fault
    message, hint = explain(outcome, heard, task)
    if as_json:
        error = {"quality": quality(outcome).label, "message": message, "heard": heard.hex(), "hint": hint}
        print(_json.dumps({**_about(task, line), "error": error}), flush=True)
    last = request.address + request.count - 1
    what = f"unit {task.unit_id}, {_AREAS[task.area]} {request.address}-{last}"
    print(f"edge-agent: {what}: {message}\n    hint: {hint}", file=sys.stderr)
    return 1


def explain(outcome: Outcome, heard: bytes, task: Task) -> tuple[str, str]:
    """(why nothing came, what to try), in a technician's words."""
    match outcome:
        case NoReply():
            wait = f" within {task.timeout_ns / 1e6:.0f} ms" if task.timeout_ns else ""
            return f"nothing heard{wait}", (
                "is it powered, are A and B the right way round, is this its unit id, speed and format?"
            )
        case BadFrame(cause, count):
            shown = hex_bytes(heard[:64]) + (" ..." if count > 64 else "")
            # A running agent keeps the bytes to itself: its `run --trace` shows them.
            return f"garbage heard ({cause}), {count} bytes" + (f": {shown}" if heard else ""), (
                "wrong speed or format, no termination, two devices with one unit id, or a second master?"
            )
        case DeviceException(code):
            return f"the device answers exception {code}, {exception_name(code)}", (
                "the line is fine; these addresses, this area or this many are not for this device"
            )
        case _:
            return f"port down: {outcome}", "look at the cable and at who else uses the port"
