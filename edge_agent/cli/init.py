"""`edge-agent init`: from a fresh installation to values at the broker, asked at the terminal or by options.

Everything is found out and proven first; then one file is written, at once or not at all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TextIO

from edge_agent import __version__
from edge_agent.cli import (
    _init_broker,
    _init_devices,
    _init_line,
    _init_result,
    _init_search,
    _init_service,
    _init_task,
    _json,
    _view,
)
from edge_agent.cli._init_task import Given
from edge_agent.clock import Clock, SystemClock
from edge_agent.commissioning import files, terminal
from edge_agent.commissioning.answers import Answers
from edge_agent.commissioning.proof import paced, proven
from edge_agent.commissioning.reach import Reached
from edge_agent.commissioning.rendering import rendered
from edge_agent.commissioning.terminal import Ended, Nobody, Person, Somebody
from edge_agent.daemon import sockets
from edge_agent.errors import EdgeAgentError
from edge_agent.profiles import default_library

_INTERRUPTED = 130


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
    course = Course(options, given, person, out)
    try:
        return course.run()
    except (Ended, KeyboardInterrupt):
        written = f"{given.config} is written; systemctl status edge-agent says whether it runs"
        person.say(f"\nended: {written if course.written else 'no configuration was written or changed'}")
        return _INTERRUPTED


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


class Course:
    """One run from the first question to the first values."""

    def __init__(self, options: argparse.Namespace, given: Given, person: Person, out: TextIO) -> None:
        self._options = options
        self._given = given
        self._person = person
        self._clock = SystemClock()
        self._search = _init_search.Search(
            library=default_library(), socket=options.socket or sockets.default_path(), out=out
        )
        self.written = False

    def run(self) -> int:
        answers, password, reached = self._answers()
        self._title(4, "The plan")
        answers, text = self._planned(answers)
        kept = self._write(text, password)
        self._title(5, "The service")
        state = _init_service.begin(
            self._given, self._person, self._search.socket, self._clock, start=not self._options.no_service
        )
        if self._options.json:
            told = _init_result.data(self._given, answers, kept, reached, state)
            print(_json.dumps(told, indent=2), flush=True)
        return 0 if state.is_well else 1

    def _answers(self) -> tuple[Answers, str, Reached]:
        """Everything that goes into the file, the password that does not, and what the broker said."""
        given, person, library = self._given, self._person, self._search.library
        _init_devices.check(given.devices, library)
        _introduce(given, person, starts=not self._options.no_service)
        self._title(1, "The line")
        line = _init_line.of(given, person, self._search)
        self._title(2, "The devices")
        devices, unknown = _init_devices.of(given, line, library, person, self._clock)
        self._title(3, "Names and broker")
        names = _init_broker.names(given, person)
        uplink, password = _init_broker.uplink(given, person)
        socket = self._search.socket
        reached = _init_broker.try_it(uplink, names, password, person, socket, self._clock)
        answers = Answers(
            site=names.site,
            agent=names.agent,
            link=line.link,
            devices=tuple(devices),
            unknown=tuple(unknown),
            uplink=uplink,
        )
        return answers, password, reached

    def _planned(self, answers: Answers) -> tuple[Answers, str]:
        """The text of the file, proven, and what it will ask of the line."""
        answers, found = paced(answers, self._search.library)
        text = rendered(answers, version=__version__, date=_date(self._clock))
        proven(text, str(self._given.config), self._search.library)
        for forecast in found:
            for line in _init_service.plan(forecast, answers):
                self._person.say(line)
        return answers, text

    def _write(self, text: str, password: str) -> Path | None:
        config, person = self._given.config, self._person
        if not person.agree(f"Write {config}?", default=True):
            raise EdgeAgentError("no configuration was written or changed")
        kept = files.write(config, text, date=_stamp(self._clock), password=password)
        self.written = True
        person.say(f"  written: {config}")
        if kept is not None:
            person.say(f"  the one before is kept: {kept}")
        return kept

    def _title(self, number: int, name: str) -> None:
        self._person.say(f"\n{number}/5  {name}")


def _introduce(given: Given, person: Person, *, starts: bool) -> None:
    if person.is_there:
        person.say(f"This writes {given.config}" + (" and starts the service." if starts else "."))
        person.say("Enter takes what stands in brackets. Ctrl-C ends it, and nothing is changed.")


def _date(clock: Clock) -> str:
    return _view.clock(clock.wall_ns() / 1e9)[:10]


def _stamp(clock: Clock) -> str:
    return _view.clock(clock.wall_ns() / 1e9).replace(" ", "T").replace(":", "-")
