"""Reads the clocks, and who keeps them right."""

from __future__ import annotations

from pathlib import Path

from edge_agent.clock import Clock
from edge_agent.doctor.probes import units
from edge_agent.doctor.timekeeping import Clocks
from edge_agent.model import NS

_DAEMONS = (
    "systemd-timesyncd.service", "chrony.service", "chronyd.service", "ntpsec.service", "ntp.service",
    "ptp4l.service",
)  # fmt: skip
_CONTAINER = (Path("/run/systemd/container"), Path("/.dockerenv"), Path("/run/.containerenv"))
"""Made by systemd, Docker and Podman."""
RTC = Path("/sys/class/rtc/rtc0")


def look(clock: Clock, rtc: Path = RTC) -> Clocks:
    return Clocks(
        wall_s=clock.wall_ns() / NS,
        is_synchronised=clock.synchronised(),
        rtc_s=_since_epoch(rtc),
        in_container=any(one.exists() for one in _CONTAINER),
        daemons=tuple(unit.removesuffix(".service") for unit in units.running(*_DAEMONS)),
    )


def _since_epoch(rtc: Path) -> float | None:
    """None where there is none, or it gives nothing (a flat battery makes the kernel say EINVAL)."""
    try:
        return float((rtc / "since_epoch").read_text())
    except (OSError, ValueError):
        return None
