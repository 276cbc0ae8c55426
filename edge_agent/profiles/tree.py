"""A device profile as frozen values: what is on the wire, how the device is read, who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.config.toml import Document
from edge_agent.config.tree import PointSpec, QuirksSpec
from edge_agent.model import Parity


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document or program that a fact of the profile comes from."""

    ref: str
    title: str = ""
    version: str = ""
    date: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialDefault:
    """A serial setting as the device leaves the factory."""

    baud: int
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    protocol: str
    serial: SerialDefault | None = None
    also: tuple[SerialDefault, ...] = ()
    """Other settings that are met in the field, for searching."""
    unit: int | None = None
    """The unit id it leaves the factory with; None: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenTest:
    """Registers as read and the value they must decode to; `value` None: no value."""

    point: str
    raw: tuple[int, ...]
    value: int | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One family of devices, its points expanded."""

    id: str
    revision: int
    title: str
    vendor: str
    models: tuple[str, ...]
    category: str
    status: str
    sources: tuple[Source, ...]
    link: Link
    quirks: QuirksSpec
    points: tuple[PointSpec, ...]
    """In the order of the file; `#` replaced, default poll classes filled in."""
    roles: Mapping[str, str]
    """Point name to measurement, counter, state, id, setting or command."""
    identify: tuple[Mapping[str, Any], ...]
    """Steps that tell what device answers, checked in shape."""
    base_when: Mapping[str, str]
    variants: tuple[Mapping[str, Any], ...]
    """What differs by firmware, checked in shape."""
    policy: Mapping[str, Any]
    tests: tuple[GoldenTest, ...]
    document: Document

    def point(self, name: str) -> PointSpec | None:
        return next((point for point in self.points if point.name == name), None)
