"""`edge-agent simulate`: devices that are not there, on a pseudo-terminal or by TCP.

The first line is what to connect to; then one line for each event of interest; the last one counts.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.cli._seconds import seconds

if TYPE_CHECKING:
    from edge_agent.simulator import SimDevice, SimulatedLine, SimulatedTcp
    from edge_agent.simulator.faults import Fault

_TICK_S = 0.2
"""How soon a change of the control file is seen; the line itself does not wait for it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "simulate",
        help="serve simulated devices on a pseudo-terminal or TCP port",
        description="Serves simulated Modbus devices on a pseudo-terminal (or TCP) and logs every value.",
    )
    add = parser.add_argument
    add("--profile", action="append", default=[], metavar="ID:UNIT[=NAME]", help="a device from a profile")
    add("--script", type=Path, metavar="FILE", help="devices from a TOML script (docs/simulator.md)")
    add("--baud", type=_baud, default=19200, help="pace of the line; 0: none (default 19200)")
    add("--format", default="8N1", help="counts the bits of a character (default 8N1: 10 bits)")
    add("--chunks", choices=("fifo", "usb", "single"), default="fifo", help="how bytes reach the reader")
    add("--turnaround", metavar="DURATION", help="request to reply (default: 3.5 characters)")
    add("--spin", action="store_true", help="busy waiting before each write: precise, costs CPU")
    add("--strict-baud", action="store_true", help="understand only who has set --baud, as a real device")
    add("--link", type=Path, metavar="PATH", help="a stable name for the port, for example /tmp/ttySIM0")
    add("--tcp", metavar="HOST:PORT", help="Modbus TCP instead; port 0 takes a free one")
    add("--log", type=Path, metavar="FILE", help="every value served, as JSON lines")
    add("--fault", action="append", default=[], metavar="DEVICE=KIND[:ARGS]", help="a fault from the start")
    add("--control", type=Path, metavar="FILE", help="faults from a file, read again when it changes")
    add("--seconds", type=seconds, metavar="N", help="end by itself after so long")
    add("--seed", type=int, default=1, metavar="N", help="of all noise and chance (default 1)")
    add("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from edge_agent.simulator.control import ControlFile
    from edge_agent.simulator.session import Session

    devices, faults = _devices(args)
    server = _server(args, devices)
    server.faults.replace(faults)
    control = ControlFile(args.control, tuple(device.name for device in devices)) if args.control else None
    stop, report = _signals()
    with server:
        session = Session(server, control, faults, as_json=args.json)
        session.open()
        deadline = None if args.seconds is None else server.clock.mono_ns() + round(args.seconds * 1e9)
        while server.failure is None:
            session.tick()
            if report.is_set():
                report.clear()
                session.say("report", **session.counts())
            left_s = _TICK_S if deadline is None else (deadline - server.clock.mono_ns()) / 1e9
            if left_s <= 0 or stop.wait(min(_TICK_S, left_s)):
                break
    session.say("end", **session.counts())
    return 0


def _baud(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 8):
        raise argparse.ArgumentTypeError(f"{text!r} is no baud rate; 0 is no pace")
    return int(text)


def _signals() -> tuple[threading.Event, threading.Event]:
    """Set by SIGTERM and SIGINT; set by SIGUSR1."""
    stop, report = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: report.set())
    return stop, report


def _devices(args: argparse.Namespace) -> tuple[list[SimDevice], dict[str, tuple[Fault, ...]]]:
    """What the options name; InputError for what they name wrongly."""
    from edge_agent.clock import SystemClock
    from edge_agent.profiles import default_library
    from edge_agent.simulator import catalogue
    from edge_agent.simulator.control import parse_control
    from edge_agent.simulator.script import Setting, load_script

    library = default_library()
    day_s = SystemClock().wall_ns() // 10**9 % 86400

    def from_profile(profile_id: str, name: str, unit_id: int) -> SimDevice:
        profile = library.get(profile_id)
        return catalogue.device_of(profile, name, unit_id, seed=args.seed, start_of_day_s=day_s)

    devices = catalogue.devices_of(args.profile, library, seed=args.seed, start_of_day_s=day_s)
    faults: dict[str, tuple[Fault, ...]] = {}
    if args.script:
        setting = Setting(seed=args.seed, start_of_day_s=day_s, profiles=from_profile)
        script = load_script(args.script, setting)
        devices += script.devices
        faults |= script.faults
    if not devices:
        raise _wrong("no devices", "give --profile eastron/sdm630:1 or --script FILE")
    names = [device.name for device in devices]
    faults |= parse_control("\n".join(args.fault), "--fault", names).faults
    return devices, faults


def _server(args: argparse.Namespace, devices: list[SimDevice]) -> SimulatedLine | SimulatedTcp:
    from edge_agent.config import values
    from edge_agent.simulator import SimulatedLine, SimulatedTcp

    try:
        turnaround_ns = None if args.turnaround is None else values.duration_ns(args.turnaround)
        data_bits, parity, stop_bits = values.character_format(args.format)
    except ValueError as error:
        raise _wrong(str(error)) from None
    if args.tcp:
        host, colon, port = args.tcp.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise _wrong(f"--tcp {args.tcp} is not HOST:PORT", "for example --tcp 127.0.0.1:0")
        return SimulatedTcp(
            devices,
            host=host.strip("[]"),
            port=int(port),
            delay_ns=turnaround_ns or 0,
            log=args.log,
            seed=args.seed,
        )
    return SimulatedLine(
        devices,
        baud=args.baud,
        bits_per_char=1 + data_bits + (parity.value != "N") + stop_bits,
        chunks=args.chunks,
        turnaround_ns=turnaround_ns,
        spin_ns=400_000 if args.spin else 0,
        strict_baud=args.strict_baud,
        link=args.link,
        log=args.log,
        seed=args.seed,
    )


def _wrong(message: str, hint: str = "") -> Exception:
    from edge_agent.errors import InputError, Problem

    return InputError([Problem(file="simulate", line=0, key="", message=message, hint=hint)])
