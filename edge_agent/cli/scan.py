"""`edge-agent scan`: what is on a line, at which speed and format, by which unit ids.

Asks every unit id for one register. Only reads: nothing this command does is meant to change a device,
but some devices take a read of an unknown address badly, and the profiles that say so are shown first.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.bus.ports import owner
from edge_agent.bus.ports.port_faults import in_use
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.scanner import Scanner
from edge_agent.bus.scan.settings import Setting
from edge_agent.cli import _json, _scan_task, _scan_view, _view
from edge_agent.cli._progress import Progress, duration
from edge_agent.cli._scan_task import Task
from edge_agent.clock import SystemClock
from edge_agent.daemon import sockets, status
from edge_agent.daemon.sockets import NoAgent
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
    task = _scan_task.parse(options, _known(library))
    _refuse_used(task, options.socket or sockets.default_path())
    _warn(library, options.yes)
    scan = task.scan()
    with _stopped_by_ctrl_c() as stop:
        failure = _search(task, scan, stop)
    if failure is not None and not scan.found:
        raise failure
    _show(task, scan, failure, complete=failure is None and not stop.is_set(), as_json=options.json)
    if failure is not None:
        print(f"edge-agent: error: {failure}", file=sys.stderr)
        return failure.exit_status
    if stop.is_set():
        return _INTERRUPTED
    return 0 if scan.found else 1


def _search(task: Task, scan: Scan, stop: threading.Event) -> PortError | None:
    """Until it is over, stopped, or the port has gone: then why."""
    clock = SystemClock()
    progress = Progress(sys.stderr, clock)
    scanner = Scanner(task.where, clock, stop.is_set, area=task.area, address=task.address, rs485=task.rs485)
    progress.say(_intention(task, scan))
    try:
        _turns(scan, scanner, progress)
    except PortError as error:
        return error
    finally:
        scanner.close()
        progress.clear()
    return None


def _turns(scan: Scan, scanner: Scanner, progress: Progress) -> None:
    said = 0
    setting: Setting | None = None
    while (probe := scanner.turn(scan)) is not None:
        if probe.setting != setting and not scan.found:
            setting = probe.setting
            progress.say(f"at {setting} ...")
        found = scan.found
        for unit in found[said:] if len(found) > said else ():
            progress.say(_scan_view.brief(unit))
        said = len(found)
        where = f"{probe.setting} " if probe.setting else ""
        progress.show(scan.remaining_ns, f"{where}unit {probe.unit_id}, {said} found")


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


def _intention(task: Task, scan: Scan) -> str:
    units = f"{len(task.units)} unit id{'s' if len(task.units) > 1 else ''}"
    if not task.is_serial:
        return f"{units}: at most {duration(scan.remaining_ns)}"
    settings = f"{len(task.settings)} setting{'s' if len(task.settings) > 1 else ''}"
    ends = "" if task.every_setting or len(task.settings) == 1 else ", less once something answers"
    return f"{units} at {settings}: {duration(scan.remaining_ns)}{ends}"


def _known(library: Library) -> Iterator[Setting]:
    """Settings that profiles name, once for each time; a profile with mistakes has no say."""
    for profile_id in library.ids():
        try:
            link = library.get(profile_id).link
        except InputError:
            continue
        for one in (link.serial, *link.also):
            if one is not None:
                yield Setting(one.baud, (one.data_bits, one.parity, one.stop_bits))


def _refuse_used(task: Task, socket: Path) -> None:
    """A lock is only seen by those who ask for it; a search disturbs whoever has the port without one. A
    device server takes whoever comes and gives every reply to all."""
    if not isinstance(task.where, str):
        _refuse_polled(f"{task.where.host}:{task.where.port}", socket)
    elif owner.others(task.where):
        raise in_use(task.where)


def _refuse_polled(server: str, socket: Path) -> None:
    try:
        buses = status.fetch(socket)["buses"]
    except NoAgent as error:
        if error.is_there:
            print(f"warning: {server} may be polled by a running agent: {error}", file=sys.stderr)
        return
    for bus in buses:
        # Modbus TCP keeps connections apart: a gateway may be searched beside its polls.
        if f" over tcp {server} " in f"{bus['link']} ":
            raise PortError(
                f"{server}: polled by the running agent as bus {bus['name']} ({bus['link']})",
                reason="busy",
                hint="stop the agent first: a device server gives every reply to all its connections",
            )


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


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C; a second one ends the program as ever."""
    stop = threading.Event()

    def stop_once(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop_once)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
