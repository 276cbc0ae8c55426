"""Pure: which missing records are to be asked for with `dn/replay`, and when.

A hole is asked for when it has not changed for a while and no backlog of its agent arrived meanwhile: most
holes are a backlog that is on its way. What is asked is bounded: few records and requests at a time, few
tries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from edge_agent.model import NS, MonoNs
from edge_agent.receiver.continuity import Missing, Source

MAX_TRIES = 5
"""Of one hole, by all receivers together; the pauses between them grow with the square."""
MAX_RECORDS = 100_000
"""In one request: ten minutes of what an agent resends at its usual rate. The rest is asked for later."""
_MAX_REQUESTS = 4
"""In one look, each to another agent: an agent takes twelve a minute."""
LOOK_EVERY_NS = 5 * NS
MAX_LOOKED_AT = 1000
"""Holes in one look."""

_Name = tuple[Source, bytes, str, int]


@dataclass(frozen=True, slots=True)
class _Known:
    first: int
    since: MonoNs


class Filler:
    def __init__(self, after_ns: int) -> None:
        self.after_ns = after_ns
        self._known: dict[_Name, _Known] = {}
        self._backlog: dict[Source, MonoNs] = {}
        self._offline: set[Source] = set()

    def heard(self, source: Source, now: MonoNs, *, backlog: bool) -> None:
        """A record of this agent is here."""
        self._offline.discard(source)
        if backlog:
            self._backlog[source] = now

    def status(self, source: Source, *, online: bool) -> None:
        """Nobody is asked who is not there."""
        (self._offline.discard if online else self._offline.add)(source)

    def due(self, holes: Iterable[Missing], now: MonoNs) -> list[Missing]:
        """What of `holes`, everything that is missing now, is to be asked for."""
        before, self._known = self._known, {}
        due: dict[Source, Missing] = {}
        for hole in holes:
            name = (hole.source, hole.epoch, hole.stream, hole.last)
            known = before.get(name)
            # A backlog fills a hole from its lower end; as long as it does, nothing need be asked.
            if known is None or known.first != hole.first:
                known = _Known(hole.first, now)
            self._known[name] = known
            if now - known.since >= self.after_ns and self._is_quiet(hole.source, now):
                due.setdefault(hole.source, bounded(hole))
        return list(due.values())[:_MAX_REQUESTS]

    def _is_quiet(self, source: Source, now: MonoNs) -> bool:
        backlog = self._backlog.get(source)
        return source not in self._offline and (backlog is None or now - backlog >= self.after_ns)


def bounded(hole: Missing) -> Missing:
    return replace(hole, last=min(hole.last, hole.first + MAX_RECORDS - 1))
