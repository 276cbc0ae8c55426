"""What the status socket says: one JSON-able dictionary out of what every part last said of itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_agent import __version__
from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs, Site
from edge_agent.process.readout import Latest
from edge_agent.process.results import AlarmTransition
from edge_agent.spool import Stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whom to ask; each may be asked from any thread."""

    buses: Callable[[], Sequence[Mapping[str, Any]]]
    points: Callable[[], Sequence[Latest]]
    alarms: Callable[[], Sequence[AlarmTransition]]
    spool: Callable[[], Stats]
    uplink: Callable[[], Mapping[str, Any]]
    problems: Callable[[], Sequence[str]]


class Snapshots:
    """`take` is called by the status thread, `health` by the uplink's."""

    def __init__(
        self, site: Site, epoch: bytes, kernel_mode: str, sources: Sources, clock: Clock, counters: Counters
    ) -> None:
        self._site = site
        self._epoch = epoch
        self._kernel_mode = kernel_mode
        self._sources = sources
        self._clock = clock
        self._counters = counters
        self._started_mono = clock.mono_ns()
        self._started_wall = clock.wall_ns()

    def take(self) -> Mapping[str, Any]:
        now = self._clock.mono_ns()
        return {
            "agent": self._about(now),
            "buses": list(self._sources.buses()),
            "points": self._points(now),
            "alarms": [_alarm(alarm) for alarm in self._sources.alarms()],
            "spool": asdict(self._sources.spool()),
            "uplink": self._sources.uplink(),
            "counters": self._counters.snapshot(),
        }

    def health(self) -> Mapping[str, Any]:
        """The same for the cloud, without values (they have their records) and without local paths."""
        about = self._about(self._clock.mono_ns())
        said = ("version", "uptime_s", "state", "problems", "kernels", "clock_synchronised", "config_hash")
        return {
            **{key: about[key] for key in said},
            "buses": [_bus_health(bus) for bus in self._sources.buses()],
            "spool": asdict(self._sources.spool()),
            "counters": self._counters.snapshot(),
        }

    def _about(self, now: MonoNs) -> dict[str, Any]:
        problems = list(self._sources.problems())
        return {
            "site": self._site.site,
            "id": self._site.agent,
            "version": __version__,
            "pid": os.getpid(),
            "epoch": self._epoch.hex(),
            "started": self._started_wall / NS,
            "uptime_s": (now - self._started_mono) / NS,
            "state": "degraded" if problems else "ok",
            "problems": problems,
            "kernels": self._kernel_mode,
            "clock_synchronised": self._clock.synchronised(),
            "config": self._site.source,
            "config_hash": self._site.config_hash,
        }

    def _points(self, now: MonoNs) -> list[dict[str, Any]]:
        points = self._site.points
        return [
            {
                "device": points[latest.point].device,
                "point": points[latest.point].name,
                "unit": points[latest.point].unit,
                "value": latest.value if latest.value is not None else latest.good_value,
                "quality": latest.quality.label,
                "age_s": None if latest.good_mono_ns is None else (now - latest.good_mono_ns) / NS,
            }
            for latest in self._sources.points()
        ]


def _alarm(alarm: AlarmTransition) -> dict[str, Any]:
    return {
        "name": alarm.name,
        "device": alarm.device,
        "point": alarm.point,
        "active": alarm.active,
        "since": alarm.wall_ns / NS,
        "value": alarm.value,
        "severity": str(alarm.severity),
    }


def _bus_health(bus: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "unit_id", "state", "since", "why", "outcomes", "latency_ms", "quality")
    devices = [{key: device[key] for key in kept} for device in bus["devices"]]
    said = ("name", "state", "load", "counts", "hints")
    return {**{key: bus[key] for key in said}, "devices": devices}
