"""`edge-agent update FILE`: another version, watched, and the old one back by itself if it is no better.

The work is done by a root helper in a unit of its own; this command checks, orders and follows. Its end, or
that of the terminal, changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.cli import _json, _update_view
from edge_agent.errors import UpdateError

if TYPE_CHECKING:
    from edge_agent.update.store import Store

UPDATE_UNIT = "edge-agent-update.service"
SHORTEST_S, LONGEST_S = 5, 3600


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "update",
        help="install a package, watch it, put the old one back by itself",
        description="Installs a package of edge-agent. Checks it before anything is touched, keeps what is"
        " installed now, installs, watches the agent, and puts the old version back by itself where the new"
        " one is worse: status 1. Interrupting this command or a lost connection does not stop the update; a"
        " power cut is survived. Needs root.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", type=Path, metavar="FILE", nargs="?", help="the package, a .deb")
    what.add_argument(
        "--status", action="store_true", help="how far the update is, or how the last one ended"
    )
    what.add_argument("--rollback", action="store_true", help="go back to the version before the last update")
    what.add_argument("--helper", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", metavar="DURATION", default="2m", help="how long to watch (default 2m)")
    parser.add_argument("--force", action="store_true", help="also the version that is installed already")
    parser.add_argument("--json", action="store_true", help="how it ended as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from edge_agent.update.store import Store

    watch_s = _watch_s(options.watch)
    if os.geteuid() != 0:
        raise UpdateError("only root may update the program", hint="sudo edge-agent update ...")
    store = Store()
    if options.helper:
        return _help(store)
    if options.status:
        return _status(store, options.json)
    begun_s = _order(store, options, watch_s)
    if begun_s is None:
        return 0
    return _follow(store, begun_s, options.json)


def _watch_s(text: str) -> float:
    from edge_agent.cli._problems import wrong
    from edge_agent.config import values

    try:
        seconds = values.duration_ns(text) / 1e9
    except ValueError as error:
        raise wrong("--watch", str(error), text) from error
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise wrong("--watch", f"is not from {SHORTEST_S}s to {LONGEST_S // 3600}h", text)
    return seconds


# --- the order ----------------------------------------------------------------------------------


def _order(store: Store, options: argparse.Namespace, watch_s: float) -> float | None:
    """Check, stage and start the helper. When it was ordered, by which it is known; None where there is
    nothing to do."""
    from edge_agent import service
    from edge_agent.clock import SystemClock
    from edge_agent.update.machine import Update
    from edge_agent.update.staging import stage
    from edge_agent.update.store import busy
    from edge_agent.update.system import Machine

    if not service.is_managed():
        raise UpdateError("systemd does not run this machine", hint="sudo apt install ./FILE")
    store.prepare()
    with store.locked():
        if _is_under_way(store):
            # With its lock free nobody is at it: the order was interrupted before its unit was started.
            service.start_unattended(UPDATE_UNIT)
            raise busy()
        file = _earlier(store) if options.rollback else options.file
        staged = stage(store, file, force=options.force)
        if staged is None:
            _update_view.nothing_to_do(file, options.json)
            return None
        machine = Machine()
        before = machine.look()
        if not before.active:
            before = replace(before, refused=bool(machine.refusal(with_configuration=True)))
        begun_s = SystemClock().wall_ns() / 1e9
        store.save(Update(new=staged.new, old=staged.old, before=before, watch_s=watch_s, begun_s=begun_s))
    service.start_unattended(UPDATE_UNIT)
    return begun_s


def _is_under_way(store: Store) -> bool:
    from edge_agent.update.store import Damaged

    try:
        return store.load() is not None
    except Damaged as error:
        # Nobody is at it, nobody knows what it was. Whether something is half installed is looked at next.
        print(f"{str(error).partition(chr(10))[0]}; set aside", file=sys.stderr)
        store.give_up()
        return False


def _earlier(store: Store) -> Path:
    last = store.last()
    if last is None or last.previous is None:
        raise UpdateError(
            "no earlier version is kept",
            hint="name its package: sudo edge-agent update edge-agent_VERSION_ARCH.deb",
        )
    return store.path(last.previous)


# --- following ----------------------------------------------------------------------------------


def _follow(store: Store, begun_s: float, as_json: bool) -> int:
    from edge_agent import service
    from edge_agent.clock import SystemClock
    from edge_agent.model import NS, MonoNs

    clock = SystemClock()
    view = _update_view.Following(sys.stderr, clock)
    idle = 0
    try:
        while (update := store.load()) is not None and update.begun_s == begun_s:
            view.show(update)
            clock.sleep_until(MonoNs(clock.mono_ns() + NS // 2))
            said = service.properties("ActiveState", unit=UPDATE_UNIT)
            idle = idle + 1 if said.get("ActiveState") in ("inactive", "failed") else 0
            if idle > 10:
                raise UpdateError(
                    "the update is ordered, but its unit does not run",
                    hint=f"journalctl -u {UPDATE_UNIT} -n 50",
                )
    except KeyboardInterrupt:
        view.clear()
        print(
            "The update goes on by itself; `edge-agent update --status` says how far it is.", file=sys.stderr
        )
        raise
    view.clear()
    return _status(store, as_json)


def _status(store: Store, as_json: bool) -> int:
    from edge_agent.update.machine import Phase

    update = store.load()
    last = store.last() if update is None else None
    if as_json:
        print(_json.dumps(_update_view.document(update, last), indent=2))
    else:
        print("\n".join(_update_view.lines(update, last)))
    return 0 if last is None or last.update.phase is Phase.KEPT else 1


# --- the helper ---------------------------------------------------------------------------------


def _help(store: Store) -> int:
    """What the unit runs. Nothing may be imported behind `run`: its end removes the files of this copy."""
    from edge_agent.update import unit

    return unit.main(store)
