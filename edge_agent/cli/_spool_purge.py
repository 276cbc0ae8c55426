"""Giving up what a spool holds: of a running agent by asking it, of a stopped one under the spool's lock."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.daemon import asking, sockets
from edge_agent.daemon.commands import Purge
from edge_agent.errors import EdgeAgentError, SpoolError
from edge_agent.records.events import Audit
from edge_agent.records.values import EPOCH_BYTES
from edge_agent.spool import Limits, Spool


def agreed(path: Path, streams: Sequence[str]) -> bool:
    """Ask at the terminal; false where there is none."""
    if not sys.stdin.isatty():
        return False
    what = ", ".join(streams)
    print(f"{path}: give up every stored record of {what}, sent or not? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def purge(path: Path, streams: Sequence[str], socket: Path | None) -> dict[str, int]:
    """How many unsent records of each stream went."""
    _become_owner(path)
    try:
        # With the largest of limits, so that opening gives up nothing by itself.
        limits = Limits(max_bytes=1 << 62, min_free_bytes=0, keep_bytes=1 << 62)
        spool = Spool(path, secrets.token_bytes(EPOCH_BYTES), limits=limits, counters=Counters())
    except SpoolError:
        # Its agent runs.
        real = os.path.realpath(path)
        return asking.purge(socket or sockets.default_path(), Purge(path=real, streams=tuple(streams)))
    return _purge_under_lock(spool, streams)


def _purge_under_lock(spool: Spool, streams: Sequence[str]) -> dict[str, int]:
    clock = SystemClock()
    try:
        if spool.stats().memory_only:
            raise EdgeAgentError(
                f"spool {spool.path}: {spool.stats().problem}\n    hint: as the agent's user, or with sudo?"
            )
        spool.orders.load()
        who = f"local uid {os.getuid()}, at {clock.wall_ns() // 10**9}, no agent ran"
        ordered = Audit(who=who, what="spool purge", result="begun", detail=", ".join(streams))
        spool.orders.note(ordered)
        counts = spool.purge(streams, clock.wall_ns())
        said = ", ".join(f"{stream} {count}" for stream, count in counts.items())
        spool.orders.done(replace(ordered, result="done", detail=said))
        return counts
    except OSError as error:
        raise EdgeAgentError(
            f"spool {spool.path}: {error}\n    hint: is the disk full or failing?"
        ) from error
    finally:
        spool.close(clock.mono_ns())


def _become_owner(path: Path) -> None:
    """Root leaves no file behind that the agent could not write to."""
    found = path.stat()
    if os.geteuid() == 0 and found.st_uid != 0:
        os.setegid(found.st_gid)
        os.seteuid(found.st_uid)
