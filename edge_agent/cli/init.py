"""`edge-agent init`: from a fresh installation to values at the broker, asked at the terminal or by options.

Everything is found out and proven first; then one file is written, at once or not at all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, TextIO

from edge_agent import __version__
from edge_agent.cli import _init_broker, _init_devices, _init_line, _init_service, _init_task, _json, _view
from edge_agent.cli._init_task import Given
from edge_agent.clock import Clock, SystemClock
from edge_agent.commissioning import files, terminal
from edge_agent.commissioning.answers import Answers
from edge_agent.commissioning.proof import paced, proven
from edge_agent.commissioning.rendering import rendered
from edge_agent.commissioning.terminal import Ended, Nobody, Person, Somebody
from edge_agent.daemon import sockets
from edge_agent.errors import EdgeAgentError
from edge_agent.profiles import Library, default_library


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "init",
        help="the first run: find port and devices, write the configuration, start the service",
        description="Finds the serial port, searches the line, names the devices by profile, asks for the"
        " broker, writes the configuration with comments, and starts the service. Only reads are sent to"
        " devices. Ends without a trace until the configuration is written, which it is whole or not at all.",
        epilog="example: edge-agent init --yes --port /dev/ttyUSB0 --baud 19200 --units 1-3 --site plant-a"
        " --broker mqtt://127.0.0.1:1883",
    )
    _init_task.add_options(parser)
    parser.add_argument("--no-service", action="store_true", help="write only; do not start the service")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--json", action="store_true", help="with --yes: what was found and done, as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    given = _init_task.parse(options)
    out = sys.stderr if options.json else sys.stdout
    person = _person(options, out)
    files.refuse_if_unwritable(given.config, force=options.force)
    try:
        return _run(options, given, person, out)
    except (Ended, KeyboardInterrupt):
        person.say("\nended; no configuration was written or changed")
        return 130


def _person(options: argparse.Namespace, out: TextIO) -> Person:
    if options.yes:
        return Nobody(out)
    if options.json:
        raise terminal.missing("--json", "is for --yes only", "the answers of a dialogue are seen in it")
    if not terminal.is_usable(sys.stdin):
        hint = (
            "say --yes, and by options what has no default: --port, --site, --broker; or run it in a terminal"
        )
        raise terminal.missing("--yes", "there is nobody to ask: the input is no terminal", hint)
    return Somebody(sys.stdin, out)


def _run(options: argparse.Namespace, given: Given, person: Person, out: TextIO) -> int:
    clock, library = SystemClock(), default_library()
    socket = options.socket or sockets.default_path()
    _introduce(given, person)
    _title(person, 1, "The line")
    line = _init_line.of(given, library, person, socket, out)
    _title(person, 2, "The devices")
    devices, unknown = _init_devices.of(given, line, library, person, clock)
    _title(person, 3, "Names and broker")
    names = _init_broker.names(given, person)
    uplink, password = _init_broker.uplink(given, person)
    reached = _init_broker.try_it(uplink, names, password, person, clock)
    answers = Answers(
        site=names.site,
        agent=names.agent,
        link=line.link,
        devices=tuple(devices),
        unknown=tuple(unknown),
        uplink=uplink,
    )
    _title(person, 4, "The plan")
    answers, text = _planned(answers, given, library, person, clock)
    if not person.agree(f"Write {given.config}?", default=True):
        raise EdgeAgentError("nothing was written")
    kept = files.write(given.config, text, date=_stamp(clock), password=password)
    person.say(f"Written: {given.config}" + (f"; the old one is {kept}" if kept else ""))
    _title(person, 5, "The service")
    state = _init_service.begin(options, given, person, socket, clock)
    if options.json:
        print(_json.dumps(_told(given, answers, kept, reached, state), indent=2), flush=True)
    return 0 if state.is_well else 1


def _introduce(given: Given, person: Person) -> None:
    if person.is_there:
        person.say(f"This writes {given.config} and starts the service.")
        person.say("Enter takes what stands in brackets. Ctrl-C ends it, and nothing is changed.")


def _title(person: Person, number: int, name: str) -> None:
    person.say(f"\n{number}/5  {name}")


def _planned(
    answers: Answers, given: Given, library: Library, person: Person, clock: Clock
) -> tuple[Answers, str]:
    """The text of the file, proven, and what it will ask of the line."""
    answers, found = paced(answers, library)
    text = rendered(answers, version=__version__, date=_date(clock))
    proven(text, str(given.config), library)
    for forecast in found:
        for line in _init_service.plan(forecast, answers):
            person.say(line)
    return answers, text


def _date(clock: Clock) -> str:
    return _view.clock(clock.wall_ns() / 1e9)[:10]


def _stamp(clock: Clock) -> str:
    return _view.clock(clock.wall_ns() / 1e9).replace(" ", "T").replace(":", "-")


def _told(
    given: Given, answers: Answers, kept: Path | None, reached: Any, state: _init_service.State
) -> dict[str, Any]:
    failure = reached.failure
    return {
        "config": str(given.config),
        "kept": None if kept is None else str(kept),
        "site": answers.site,
        "agent": answers.agent or None,
        "line": _init_service.link_data(answers.link),
        "devices": [
            {"name": one.name, "unit_id": one.unit_id, "profile": one.profile, "why": one.note}
            for one in answers.devices
        ],
        "left_out": [{"unit_id": one.unit_id, "heard": one.heard} for one in answers.unknown],
        "pace": answers.pace,
        "broker": {
            "url": answers.uplink.url,
            "reached": failure is None,
            "message": failure.message if failure else "",
            "hint": failure.hint if failure else "",
        },
        "service": {"state": state.word, "message": state.message, "devices": state.devices},
    }
