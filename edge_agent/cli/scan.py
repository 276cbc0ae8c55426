"""`edge-agent scan`: what is on a line, at which speed and format, by which unit ids.

Asks every unit id for one register. Only reads: nothing this command does is meant to change a device,
but some devices take a read of an unknown address badly, and the profiles that say so are shown first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import Scan
from edge_agent.cli import _json, _scan_task, _scan_view, _search, _view
from edge_agent.cli._scan_task import Task
from edge_agent.daemon import sockets
from edge_agent.errors import InputError, PortError, Problem
from edge_agent.profiles import Library, default_library
from edge_agent.profiles.dangers import dangers

_INTERRUPTED = 130


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "scan",
        help="find the devices on a line: speed, format, unit ids",
        description="Asks every unit id for one register, at one speed and format after the other, until"
        " something answers; any valid reply counts, exceptions too. Refuses a port that is in use."
        " Ctrl-C shows what was found so far. Exit status 0: something was found, 1: nothing.",
        epilog="example: edge-agent scan /dev/ttyUSB0 --baud all --units 1-32",
    )
    _scan_task.add_options(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask where profiles warn of blind reads")
    parser.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    library = default_library()
    task = _scan_task.parse(options, _search.known(library))
    _search.refuse_used(task, options.socket or sockets.default_path())
    _warn(library, options.yes)
    scan = task.scan()
    print(_search.intention(task, scan), file=sys.stderr, flush=True)
    with _search.stopped_by_ctrl_c() as stop:
        failure = _search.search(task, scan, stop, sys.stderr)
    if failure is not None and not scan.found:
        raise failure
    _show(task, scan, failure, complete=failure is None and not stop.is_set(), as_json=options.json)
    if failure is not None:
        print(f"edge-agent: error: {failure}", file=sys.stderr)
        return failure.exit_status
    if stop.is_set():
        return _INTERRUPTED
    return 0 if scan.found else 1


def _show(task: Task, scan: Scan, failure: PortError | None, *, complete: bool, as_json: bool) -> None:
    said = hints(scan, complete=complete, all_settings=task.has_all_settings)
    if as_json:
        error = {} if failure is None else {"error": _json.error(failure)}
        print(_json.dumps(_scan_view.data(scan, said, complete=complete) | error), flush=True)
        return
    print("\n".join(_scan_view.lines(scan, task.area, task.address)), flush=True)
    for hint in said:
        print(f"hint: {hint}", file=sys.stderr)
    if scan.found:
        print(f"next: {_scan_view.next_command(task, scan.found[0])}", file=sys.stderr)
    if not complete:
        print("not everything was asked", file=sys.stderr)


def _warn(library: Library, yes: bool) -> None:
    found = dangers(library)
    for profile_id in found.unreadable:
        print(f"warning: profile {profile_id} has mistakes, so it may not warn", file=sys.stderr)
    if not found.kinds:
        return
    kinds = ", ".join(found.kinds)
    message = f"devices of these kinds can restart when an address they do not have is read: {kinds}"
    print(f"warning: {message}", file=sys.stderr)
    if yes or (sys.stdin.isatty() and sys.stderr.isatty() and _agreed()):
        return
    hint = "if none of them is on this line: --yes"
    raise InputError([Problem(file="scan", line=0, key="", message="not begun", hint=hint)])


def _agreed() -> bool:
    print("is none of them on this line, and may it be scanned? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
