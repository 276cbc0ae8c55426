"""Pure: records over which a broker hangs up.

A broker that chokes on a record seldom says on which: the connection just ends, and ends again when the
same record comes first again. So what was in flight at the end of two connections in a row is suspected,
and sent alone from then on. Who is alone in flight when the broker hangs up has a strike and goes behind
everybody else on the next connections.

At the last strike a record is given up if others of its stream passed meanwhile. If none did, the broker
is wrong by itself (some end the connection instead of refusing a topic): the record is kept, and tried
again after growing pauses.

A poor link looks alike from afar. It is told apart by three things: only ends by the broker's side
count, not our own timeouts; only when its system had taken every byte; and a record that passes
anywhere in between is cleared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.model import MonoNs
from edge_agent.uplink.outbox import Ref
from edge_agent.uplink.sending.limits import Limits

_NEVER = MonoNs(0)


@dataclass(slots=True, eq=False, repr=False)
class _Suspect:
    strikes: int = 0
    vouched: bool = False
    """Others of its stream passed since it is suspected."""
    not_before: MonoNs = _NEVER


class Suspects:
    """Of one agent, over its connections."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._suspects: dict[Ref, _Suspect] = {}
        self._seen: frozenset[Ref] = frozenset()
        """In flight at the end of the connection before."""
        self._tried: set[Ref] = set()
        """On this connection."""
        self._since = MonoNs(0)

    def __contains__(self, ref: object) -> bool:
        return ref in self._suspects

    def __len__(self) -> int:
        return len(self._suspects)

    def refs(self) -> list[Ref]:
        return list(self._suspects)

    def connected(self, now: MonoNs) -> None:
        self._since = now
        self._tried.clear()

    def suspect(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self._suspects.setdefault(ref, _Suspect())

    def hung_up(self, now: MonoNs, flying: Sequence[Ref]) -> list[Ref]:
        """The broker ended the connection with these unanswered; what is now to be given up."""
        alone = flying[0] if len(flying) == 1 and flying[0] in self._suspects else None
        self.suspect(ref for ref in flying if ref in self._seen)
        self._seen = frozenset(flying)
        return [alone] if alone and self._strike(now, alone) else []

    def other_end(self) -> None:
        """The connection ended otherwise: that says nothing about what was in flight."""
        self._seen = frozenset()

    def accepted(self, ref: Ref) -> None:
        if self._suspects:
            self.clear(ref)
            for other, suspect in self._suspects.items():
                suspect.vouched |= other.stream == ref.stream

    def clear(self, ref: Ref) -> None:
        """It passed, or is not there any more."""
        self._suspects.pop(ref, None)

    def next(self, now: MonoNs) -> Ref | None:
        """Who is to be sent as soon as nothing is in flight; `tried` when it was."""
        if not self._suspects:
            return None
        return next((ref for ref in self._left() if self._due_at(ref) <= now), None)

    def tried(self, ref: Ref) -> None:
        self._tried.add(ref)

    def wake_at(self) -> MonoNs | None:
        return min((self._due_at(ref) for ref in self._left()), default=None) if self._suspects else None

    def _left(self) -> list[Ref]:
        """Those without a strike first; each is tried once on a connection."""
        left = [ref for ref in self._suspects if ref not in self._tried]
        return sorted(left, key=lambda ref: self._suspects[ref].strikes)

    def _due_at(self, ref: Ref) -> MonoNs:
        suspect = self._suspects[ref]
        if not suspect.strikes:
            return self._since
        return max(MonoNs(self._since + self._limits.suspect_ns), suspect.not_before)

    def _strike(self, now: MonoNs, ref: Ref) -> bool:
        """True when that was the last."""
        suspect, limits = self._suspects[ref], self._limits
        suspect.strikes += 1
        beyond = suspect.strikes - limits.tries
        if beyond >= 0 and suspect.vouched:
            self.clear(ref)
            return True
        if beyond >= 0:
            suspect.not_before = MonoNs(now + min(limits.park_ns << min(beyond, 32), limits.park_cap_ns))
        return False
