"""Pure: what the broker refuses, by class of topics, and what follows.

Two kinds of refusal. The class is refused (not authorised, a quota that does not end): it is *parked*,
nothing of it is sent but one probe now and then, without a new connection, and the other classes go on.
A record is refused (too large, its payload): it is *set aside*.

A record is given up only when it is the exception: another of its class was accepted behind its
refusal. Until one is, it is tried again at the times of probes. A broker that refuses one record after
the other is wrong by itself: after `_IN_A_ROW` of them the class is parked and nothing is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edge_agent.model import MonoNs
from edge_agent.uplink.reasons import Rule, Verdict
from edge_agent.uplink.sending.items import Item, Send

_NEVER = MonoNs(0)
_IN_A_ROW = 3
_MANY = "/up/alarm/"
"""The states of all alarms are one class: a list that denies one denies all, and each would be probed."""


class Parked(NamedTuple):
    """For the status: a class nothing is sent of."""

    topic: str
    rule: Rule
    since: MonoNs
    probe_at: MonoNs
    aside: int


class Released(NamedTuple):
    """What an acceptance lets go."""

    again: tuple[Item, ...] = ()
    given_up: tuple[tuple[Send, Rule], ...] = ()
    opened: str = ""
    """The class that is parked no longer."""


@dataclass(slots=True, eq=False, repr=False)
class _Class:
    pause_ns: int
    aside: deque[tuple[Item, Rule]] = field(default_factory=deque)
    rule: Rule | None = None
    """Why it is parked; None: it is not."""
    since: MonoNs = _NEVER
    probe_at: MonoNs = _NEVER
    probe: Item | None = None
    """On its way."""
    doubtful: bool = False
    """What is set aside was refused for itself: another record is the better probe."""


class Refusals:
    """Of one agent; parked classes outlive a connection, what is set aside does not."""

    def __init__(self, park_ns: int, park_cap_ns: int) -> None:
        self._park_ns = park_ns
        self._park_cap_ns = park_cap_ns
        self._classes: dict[str, _Class] = {}

    def connected(self, now: MonoNs) -> None:
        """Whoever mended something often restarted something: each parked class is probed at once."""
        self._classes = {name: known for name, known in self._classes.items() if known.rule}
        for known in self._classes.values():
            known.aside.clear()
            known.probe, known.probe_at = None, now

    @property
    def is_empty(self) -> bool:
        """Nothing is refused: the usual case."""
        return not self._classes

    def is_closed(self, topic: str, now: MonoNs) -> bool:
        """Whether nothing may be sent there; false for a parked class whose probe is due."""
        known = self._classes.get(_class_of(topic)) if self._classes else None
        return known is not None and known.rule is not None and not _is_due(known, now)

    def next_probe(self, now: MonoNs, *, at_last: bool = False) -> Item | None:
        """What was set aside and may be tried now: the oldest, but where a record itself was refused
        (`at_last`) only if nothing else of its class can be. Not offered again."""
        for known in self._classes.values():
            if known.aside and _is_due(known, now) and known.doubtful == at_last:
                known.probe = known.aside.popleft()[0]
                return known.probe
        return None

    def sent(self, item: Item) -> None:
        known = self._classes.get(_class_of(item.topic)) if self._classes else None
        if known and known.rule and known.probe is None:
            known.probe = item

    def refused(self, now: MonoNs, item: Item, rule: Rule, verdict: Verdict, *, keep: bool = True) -> bool:
        """True when that parks its class. `keep`: nobody else remembers the item."""
        known = self._classes.setdefault(_class_of(item.topic), _Class(self._park_ns))
        known.doubtful = verdict is Verdict.REFUSE
        if keep and item == known.probe and not known.doubtful:
            # Nothing is wrong with the record, and the oldest is to come first.
            known.aside.appendleft((item, rule))
        elif keep:
            known.aside.append((item, rule))
        if item == known.probe:
            known.probe, known.pause_ns = None, min(2 * known.pause_ns, self._park_cap_ns)
            known.probe_at = MonoNs(now + known.pause_ns)
            known.rule = rule if known.rule else None
        if known.rule:
            return False
        if isinstance(item, Send) and verdict is Verdict.REFUSE and len(known.aside) < _IN_A_ROW:
            known.probe_at = max(known.probe_at, MonoNs(now + known.pause_ns))
            return False
        known.rule, known.since, known.pause_ns = rule, now, self._park_ns
        known.probe, known.probe_at = None, MonoNs(now + known.pause_ns)
        return True

    def put_off(self, item: Item) -> None:
        """The broker asks to send it later, or it is gone: as a probe it says nothing."""
        known = self._classes.get(_class_of(item.topic)) if self._classes else None
        if known and known.probe == item:
            known.probe = None

    def accepted(self, item: Item) -> Released:
        """What was set aside is the exception and given up; or, if the class was parked, tried again."""
        if not self._classes:
            return Released()
        name = _class_of(item.topic)
        known = self._classes.get(name)
        if known is None or (known.rule and item != known.probe):
            # Of a parked class only the probe tells; others were on their way before.
            return Released()
        del self._classes[name]
        if item == known.probe:
            # It was refused before: the broker has been mended, for the others as well.
            again = sorted((item for item, _ in known.aside), key=_age)
            return Released(again=tuple(again), opened=name if known.rule else "")
        return Released(
            given_up=tuple((item, rule) for item, rule in known.aside if isinstance(item, Send)),
        )

    def wake_at(self) -> MonoNs | None:
        """The next probe."""
        if not self._classes:
            return None
        known = (one for one in self._classes.values() if (one.rule or one.aside) and one.probe is None)
        return min((one.probe_at for one in known), default=None)

    def parked(self) -> Iterator[Parked]:
        for name, known in self._classes.items():
            if known.rule:
                yield Parked(name, known.rule, known.since, known.probe_at, len(known.aside))

    @property
    def aside(self) -> int:
        """Records set aside in classes that go on."""
        return sum(len(known.aside) for known in self._classes.values() if not known.rule)


def _is_due(known: _Class, now: MonoNs) -> bool:
    return known.probe is None and known.probe_at <= now


def _class_of(topic: str) -> str:
    root, mark, _ = topic.partition(_MANY)
    return root + mark + "+" if mark else topic


def _age(item: Item) -> tuple[bytes, int]:
    return (item.ref.epoch, item.ref.seq) if isinstance(item, Send) else (b"", 0)
