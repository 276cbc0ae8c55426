"""The quality of one bus's line: figures per device and per unit, and the hints that follow from them.

Pure. Brings together what the worker noted of outcomes and what the line overheard; decides nothing about
polling. Written and read by the bus's thread; others see it in the bus's snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_agent.bus.device.device import Device
from edge_agent.bus.line import Done, LineCounts
from edge_agent.bus.outcomes import DeviceException, Values, is_alive
from edge_agent.bus.quality.diagnosis import Hint, diagnose
from edge_agent.bus.quality.figures import BAD_CAUSES, BusFigures, Recent, UnitFigures
from edge_agent.bus.quality.percentiles import RecentDurations
from edge_agent.bus.quality.symptoms import Picture
from edge_agent.bus.quality.ticks import Ticks
from edge_agent.bus.wire.overheard import Heard
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.model import NS, BusDef, DeviceServerLink, MonoNs, SerialLink

LOOK_NS = 2 * NS
_NOBODY = ("exception_10", "exception_11")
"""A gateway's exceptions for a unit that did not answer it."""


class Quality:
    """Of one bus."""

    def __init__(self, bus: BusDef, devices: Iterable[Device], now: MonoNs) -> None:
        self._devices = tuple(devices)
        self._char_ns = bus_timing(bus).char_ns
        self._is_wire = isinstance(bus.link, SerialLink | DeviceServerLink)
        self._is_server = isinstance(bus.link, DeviceServerLink)
        self._names = {device.definition.unit_id: device.name for device in self._devices}
        self._times = {device.index: RecentDurations() for device in self._devices}
        self._reply_ns: dict[int, list[int | None]] = {}
        self._ticks = Ticks()
        self._recent = Recent(now)
        self._look_at = now
        self.seconds = 0
        """Over how long what `hints` and a device's `recent` say was seen."""
        self._recent_figures = BusFigures()
        self.hints: list[Hint] = []

    def note(self, device: Device, done: Done) -> None:
        """One request's outcome."""
        outcome = done.outcome
        if isinstance(outcome, Values | DeviceException) and is_alive(outcome):
            self._ticks.add(done.mono_ns)
            if (times := self._times.get(device.index)) is not None:
                times.add(outcome.latency_ns, done.mono_ns)

    def look(self, counts: LineCounts, now: MonoNs) -> None:
        """Judge the line anew, if it is time to."""
        if now < self._look_at:
            return
        self._look_at = MonoNs(now + LOOK_NS)
        self._recent_figures, over_ns = self._recent.look(self._figures(counts), now)
        self.seconds = round(over_ns / NS)
        self._reply_ns = {index: times.percentiles_ns((0.5, 0.99)) for index, times in self._times.items()}
        self.hints = diagnose(
            Picture(
                figures=self._recent_figures,
                names=self._names,
                seconds=over_ns / NS,
                char_ns=self._char_ns,
                is_wire=self._is_wire,
                is_server=self._is_server,
                timeouts_ms={
                    one.definition.unit_id: one.manners.timeout.configured_ns / 1e6 for one in self._devices
                },
                on_grid=self._ticks.on_grid() if self._is_wire else 0.0,
            )
        )

    def device(self, device: Device, counts: LineCounts) -> dict[str, Any]:
        """The device's figures since the start, for the status; reply times of the last minute or two."""
        figures = _unit_figures(device.view.outcomes, _heard(counts, device))
        p50, p99 = self._reply_ns.get(device.index, (None, None))
        recent = self._recent_figures.units.get(device.definition.unit_id, UnitFigures())
        return {
            "requests": figures.requests,
            "values": figures.values,
            "exceptions": figures.exceptions,
            "no_reply": figures.no_reply,
            "bad": {cause: getattr(figures, cause) for cause in BAD_CAUSES},
            "late": figures.late,
            "echoes": figures.echoes,
            "glitched": figures.glitched + figures.trailed,
            "doubled": figures.doubled,
            "out_of_turn_bytes": figures.out_of_turn_bytes,
            "reply_ms": {"p50": _ms(p50), "p99": _ms(p99)},
            "recent": {"seconds": self.seconds, "requests": recent.requests, "good": recent.good},
        }

    def _figures(self, counts: LineCounts) -> BusFigures:
        outcomes: dict[int, dict[str, int]] = {}
        heard: dict[int, Heard] = {}
        for device in self._devices:
            unit_id = device.definition.unit_id
            # Two configured devices of one unit id are one unit on the line.
            together = outcomes.setdefault(unit_id, {})
            for word, count in device.view.outcomes.items():
                together[word] = together.get(word, 0) + count
            heard[unit_id] = _heard(counts, device)
        overheard = counts.overheard
        return BusFigures(
            units={unit_id: _unit_figures(words, heard[unit_id]) for unit_id, words in outcomes.items()},
            resyncs=overheard.resyncs,
            foreign_requests=overheard.foreign_requests,
            foreign_replies=overheard.foreign_replies,
            out_of_turn_bytes=overheard.out_of_turn_bytes,
        )


def _heard(counts: LineCounts, device: Device) -> Heard:
    return counts.overheard.units.get(device.definition.unit_id) or Heard()


def _unit_figures(outcomes: Mapping[str, int], heard: Heard) -> UnitFigures:
    """`outcomes` counts by `view.word`; a port that is away says nothing of a line."""
    nobody = sum(outcomes.get(word, 0) for word in _NOBODY)
    exceptions = sum(count for word, count in outcomes.items() if word.startswith("exception_"))
    return UnitFigures(
        requests=sum(outcomes.values()) - outcomes.get("port_down", 0),
        values=outcomes.get("ok", 0),
        exceptions=exceptions - nobody,
        no_reply=outcomes.get("no_reply", 0) + nobody,
        **{cause: outcomes.get(cause, 0) for cause in BAD_CAUSES},
        **{name: getattr(heard, name) for name in Heard.__slots__},
    )


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else round(duration_ns / 1e6, 2)
