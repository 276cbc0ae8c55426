"""A search for devices on a line as commands do it: what it will take, progress, and Ctrl-C to end it.

Shell around `bus.scan`, for `scan` and `init`. Refuses a port that somebody else has.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge_agent.bus.ports import owner
from edge_agent.bus.ports.port_faults import in_use
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.scanner import Scanner
from edge_agent.bus.scan.settings import Setting
from edge_agent.cli import _scan_view
from edge_agent.cli._progress import Progress, duration
from edge_agent.cli._scan_task import Task
from edge_agent.clock import SystemClock
from edge_agent.daemon import status
from edge_agent.daemon.sockets import NoAgent
from edge_agent.errors import InputError, PortError
from edge_agent.profiles import Library


def search(task: Task, scan: Scan, stop: threading.Event, out: TextIO) -> PortError | None:
    """Until it is over, stopped, or the port has gone: then why."""
    clock = SystemClock()
    progress = Progress(out, clock)
    scanner = Scanner(task.where, clock, stop.is_set, area=task.area, address=task.address, rs485=task.rs485)
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


def intention(task: Task, scan: Scan) -> str:
    units = f"{len(task.units)} unit id{'s' if len(task.units) > 1 else ''}"
    if not task.is_serial:
        return f"{units}: at most {duration(scan.remaining_ns)}"
    settings = f"{len(task.settings)} setting{'s' if len(task.settings) > 1 else ''}"
    ends = "" if task.every_setting or len(task.settings) == 1 else ", less once something answers"
    return f"{units} at {settings}: {duration(scan.remaining_ns)}{ends}"


def known(library: Library) -> Iterator[Setting]:
    """Settings that profiles name, once for each time; a profile with mistakes has no say."""
    for profile_id in library.ids():
        try:
            link = library.get(profile_id).link
        except InputError:
            continue
        for one in (link.serial, *link.also):
            if one is not None:
                yield Setting(one.baud, (one.data_bits, one.parity, one.stop_bits))


def refuse_used(task: Task, socket: Path) -> None:
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


@contextmanager
def stopped_by_ctrl_c() -> Iterator[threading.Event]:
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
