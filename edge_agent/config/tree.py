"""A configuration as typed, frozen values: as written, with defaults, references not yet resolved.

Times are nanoseconds, sizes bytes, addresses wire addresses. What may be left out because a profile
can say it (`PointSpec`, `QuirksSpec`) is None where the file does not say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from edge_agent.config.positions import KeyPath
from edge_agent.config.toml import Document
from edge_agent.model import (
    AlarmInput,
    AlarmKind,
    Area,
    BusDef,
    Filter,
    Order,
    PointType,
    Send,
    Severity,
    SpoolDef,
    UplinkDef,
)

POLL_CLASSES = ("fast", "normal", "slow", "once", "on_demand")
CONTINUOUS = "continuous"

Poll = int | str
"""A period in nanoseconds, a poll class, or `continuous`."""

Spec = TypeVar("Spec", "PointSpec", "QuirksSpec")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """What a file says about one point."""

    name: str
    path: KeyPath
    title: str | None = None
    area: Area | None = None
    address: int | None = None
    manual: str | None = None
    type: PointType | None = None
    length: int | None = None
    """Registers of a `string`."""
    order: Order | None = None
    bits: tuple[int, int] | None = None
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    invalid: tuple[int, ...] | None = None
    plausible: tuple[float, float] | None = None
    enum: tuple[tuple[int, str], ...] | None = None
    flags: tuple[tuple[int, str], ...] | None = None
    poll: Poll | None = None
    group: str | None = None
    alias: str | None = None
    """Another point of the device that may share this one's registers."""
    filters: tuple[Filter, ...] | None = None
    resolution: float | None = None
    send: Send | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuirksSpec:
    """What a file says about how a device is to be read; see docs/profiles.md."""

    max_read_words: int | None = None
    max_read_bits: int | None = None
    max_gap_words: int | None = None
    max_gap_bits: int | None = None
    forbidden: tuple[tuple[Area, int, int], ...] | None = None
    barriers: tuple[tuple[Area, int], ...] | None = None
    read_whole: tuple[tuple[Area, int, int], ...] | None = None
    read_alone: tuple[tuple[Area, int], ...] | None = None
    one_point_per_request: bool | None = None
    response_timeout: int | None = None
    late_window: int | None = None
    turnaround: int | None = None
    interframe: int | None = None
    on_illegal_address: str | None = None
    order: Order | None = None
    """Order of values whose point names none."""
    fc_swap: bool | None = None
    """The device serves input registers by function 3 and holding registers by function 4."""
    invalid: Mapping[PointType, tuple[int, ...]] | None = None
    """Raw values that mean "no value" in every point of a type that names none."""


def overlay(below: Spec, above: Spec) -> Spec:
    """`below` with everything that `above` says."""
    said = {item.name: value for item in fields(above) if (value := getattr(above, item.name)) is not None}
    return replace(below, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """One device; a table with `unit_ids` has become one of these per unit."""

    name: str
    path: KeyPath
    bus: str
    unit_id: int
    profile: str
    periods: Mapping[str, Poll]
    """Poll class to period in nanoseconds or `continuous`; every class but on_demand is in it."""
    selection: tuple[str, ...] | None
    """Patterns of the profile's points to take; None: all."""
    points: tuple[PointSpec, ...]
    quirks: QuirksSpec
    send: Send | None
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmConfig:
    """One alarm as written; `device` may be a pattern."""

    name: str
    path: KeyPath
    device: str
    point: str
    kind: AlarmKind
    low: float
    high: float
    input: AlarmInput
    deadband: float
    on_delay_ns: int
    off_delay_ns: int
    severity: Severity

    @property
    def is_pattern(self) -> bool:
        return "*" in self.device or "?" in self.device


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration file."""

    site: str
    agent: str
    buses: tuple[BusDef, ...]
    """Without their devices."""
    devices: tuple[DeviceConfig, ...]
    alarms: tuple[AlarmConfig, ...]
    window_ns: int
    checkpoint_ns: int
    send: Send
    batch_ns: int
    uplink: UplinkDef
    spool: SpoolDef
    document: Document
    """The text's data and positions, for what is found wrong later."""
    sha256: str


Values = Mapping[str, Any]
"""A table's values by key, after its readers."""
