"""Counts of a demo: what the receiver got, and what of the served values is missing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.model import PointDef, Send, Site, WallNs
from edge_agent.simulator import log
from edge_agent.simulator.encode import value_of
from edge_agent.simulator.log import Entry

Value = float | int | str | None


@dataclass(slots=True)
class Tally:
    """Fed with the receiver's JSON objects."""

    records: set[tuple[str, str, int]] = field(default_factory=set)
    values: int = 0
    raised: int = 0
    cleared: int = 0
    gaps: int = 0
    received: dict[tuple[str, str], Counter[Value]] = field(default_factory=dict)
    """Good sample values by (device, point)."""

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("kind")
        if "seq" in event and "epoch" in event:
            self.records.add((str(event["epoch"]), str(event.get("stream")), int(event["seq"])))
        if kind in ("sample", "summary"):
            self.values += 1
        if kind == "sample" and event["quality"] == "good":
            self.received.setdefault((event["device"], event["point"]), Counter())[event["value"]] += 1
        elif kind == "alarm" and not event.get("repeated"):
            active = event["state"] == "active"
            self.raised += active
            self.cleared += not active
        elif kind == "gap":
            self.gaps += 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """The receiver's samples against the simulator's log."""

    served: int
    lost: int
    """Served to the agent, and never received."""
    foreign: int
    """Received, and never served."""


def compare(site: Site, entries: Iterable[Entry], tally: Tally, until: WallNs) -> Comparison:
    """For all points that send every sample. What was served after `until` is not counted as lost: the
    agent was told to stop then, and may have stopped listening in the middle of a reply."""
    entries = list(entries)
    served = lost = foreign = 0
    for device in site.devices:
        for point in device.points:
            if point.send is not Send.SAMPLES:
                continue
            given, due = _served(point, device.unit_id, entries, until)
            got = tally.received.get((device.name, point.name), Counter())
            served += due.total()
            lost += (due - got).total()
            foreign += (got - given).total()
    return Comparison(served, lost, foreign)


def _served(
    point: PointDef, unit_id: int, entries: list[Entry], until: WallNs
) -> tuple[Counter[Value], Counter[Value]]:
    """All values of a point that were served, and those of them that must have arrived."""
    given: Counter[Value] = Counter()
    due: Counter[Value] = Counter()
    for sample in log.samples(entries, point, unit_id):
        value = value_of(point, sample.words)
        given[value] += 1
        due[value] += sample.t_wall <= until
    return given, +due
