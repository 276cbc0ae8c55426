"""What the process stage concludes: samples, window summaries, alarm transitions.

Points are indexes into `Site.points` of the generation they belong to. Times are those of the
reply's last byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model import MonoNs, Quality, Severity, WallNs

Value = int | float | str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a point that sends samples or changes.

    `value` is what the dictionary's `scale` and `offset` turn into the unit: the register's own
    integer or float where the point has no filter, the filtered value where it has one. None where
    `quality` is bad.
    """

    point: int
    mono_ns: MonoNs
    wall_ns: WallNs
    value: Value
    quality: Quality


@dataclass(frozen=True, slots=True)
class Summary:
    """One window of one point. `min`, `max`, `first`, `last` are of the raw value in the unit,
    `mean` and `std` (population) of the filtered one; None where no good value was seen."""

    point: int
    t0_ns: WallNs
    t1_ns: WallNs
    count: int
    """Good values."""
    bad: int
    """Polls that brought no usable value."""
    missing: int
    """Polls planned but never made."""
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    first: float | None
    last: float | None
    quality: Quality
    """The worst seen in the window."""


@dataclass(frozen=True, slots=True)
class AlarmTransition:
    """An alarm that was raised or cleared, or its state said again at start (`repeated`)."""

    name: str
    device: str
    point: str
    """Empty for the built-in alarm `<device>.silent`."""
    active: bool
    value: float | None
    mono_ns: MonoNs
    wall_ns: WallNs
    severity: Severity
    repeated: bool = False


Result = Sample | Summary | AlarmTransition
