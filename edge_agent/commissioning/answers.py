"""What has to be known before a configuration can be written, as values."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model import SerialLink, TcpLink, UplinkDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that will be read by a profile."""

    name: str
    unit_id: int
    profile: str
    note: str = ""
    """Why this profile, where it was not said by a person; may hold what a device said of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A unit that answers and that no profile was found or given for."""

    unit_id: int
    heard: str = ""
    """What it answered, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All of it. `agent` empty: the default of this machine."""

    site: str
    agent: str = ""
    bus: str = "line1"
    link: SerialLink | TcpLink
    devices: tuple[Device, ...]
    unknown: tuple[Unknown, ...] = ()
    pace: int = 1
    """Every period of every device times this: 1 are the defaults."""
    uplink: UplinkDef
