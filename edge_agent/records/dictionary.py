"""The dictionary: what an alias of a record means. One per configuration, named by its hash.

Its canonical bytes are what is hashed and what BIRTH records carry, so a receiver checks the hash
over the bytes it got and never has to encode anything itself. It says only what data means: two
configurations that differ elsewhere (a period, a comment) share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.model import AlarmDef, PointDef, Site
from edge_agent.records.envelope import integer
from edge_agent.records.pack import pack, unpack
from edge_agent.records.values import HASH_BYTES

FORMAT = 1
MAX_DICTIONARY_BYTES = 1 << 20
"""About ten thousand points."""


@dataclass(frozen=True, slots=True)
class PointEntry:
    """One point; its place in the dictionary is its alias. `value * scale + offset` of a sample is in
    `unit`; summaries and alarms carry values in the unit already."""

    device: str
    point: str
    unit: str
    type: str
    scale: float
    offset: float
    send: str
    title: str = ""
    enum: tuple[tuple[int, str], ...] = ()
    flags: tuple[tuple[int, str], ...] = ()

    def in_unit(self, value: int | float | str | None) -> int | float | str | None:
        """A sample's value in the unit; an integer stays one where there is nothing to scale."""
        if value is None or isinstance(value, str) or (self.scale == 1 and self.offset == 0):
            return value
        return value * self.scale + self.offset


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    name: str
    device: str
    point: str
    kind: str
    low: float
    high: float
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """What one configuration's aliases mean. Aliases are the places in `points`."""

    site: str
    agent: str
    window_ns: int
    points: tuple[PointEntry, ...]
    alarms: tuple[AlarmEntry, ...] = ()

    def encoded(self) -> bytes:
        """The canonical bytes; RecordError when they are more than a receiver would take."""
        data = pack(
            {
                "v": FORMAT,
                "site": self.site,
                "agent": self.agent,
                "window_ns": self.window_ns,
                "points": [_point_row(point) for point in self.points],
                "alarms": [
                    [a.name, a.device, a.point, a.kind, a.low, a.high, a.severity] for a in self.alarms
                ],
            }
        )
        if len(data) > MAX_DICTIONARY_BYTES:
            raise RecordError(f"the dictionary of {len(self.points)} points takes {len(data)} bytes")
        return data


def hash_of(encoded: bytes) -> bytes:
    """The name of a dictionary: the first 8 bytes of SHA-256 over its canonical bytes."""
    return hashlib.sha256(encoded).digest()[:HASH_BYTES]


def of_site(site: Site) -> Dictionary:
    """The dictionary a site's records refer to."""
    return Dictionary(
        site=site.site,
        agent=site.agent,
        window_ns=site.window_ns,
        points=tuple(_point_entry(point) for point in site.points),
        alarms=tuple(_alarm_entry(alarm) for alarm in site.alarms),
    )


def decode(data: bytes) -> Dictionary:
    """The dictionary in canonical bytes; RecordError for anything else. Keys and trailing elements it
    does not know are ignored: a later version may add some."""
    fields = unpack(data, MAX_DICTIONARY_BYTES)
    if type(fields) is not dict:
        raise RecordError("a dictionary is not a map")
    integer(fields.get("v"), "format of a dictionary", FORMAT, FORMAT)
    points, alarms = fields.get("points"), fields.get("alarms")
    if type(points) is not list or type(alarms) is not list:
        raise RecordError("a dictionary has no points or alarms")
    return Dictionary(
        site=_text(fields.get("site")),
        agent=_text(fields.get("agent")),
        window_ns=integer(fields.get("window_ns"), "window_ns"),
        points=tuple(_decode_point(row) for row in points),
        alarms=tuple(_decode_alarm(row) for row in alarms),
    )


def _point_entry(point: PointDef) -> PointEntry:
    # A filtered point's samples are final values already: nothing is left to scale.
    final = bool(point.filters)
    return PointEntry(
        device=point.device,
        point=point.name,
        unit=point.unit,
        type=str(point.type),
        scale=1.0 if final else float(point.scale),
        offset=0.0 if final else float(point.offset),
        send=str(point.send),
        title=point.title,
        enum=point.enum,
        flags=point.flags,
    )


def _alarm_entry(alarm: AlarmDef) -> AlarmEntry:
    return AlarmEntry(
        name=alarm.name,
        device=alarm.device,
        point=alarm.point,
        kind=str(alarm.kind),
        low=float(alarm.low),
        high=float(alarm.high),
        severity=str(alarm.severity),
    )


def _point_row(p: PointEntry) -> list[Any]:
    """Trailing empty fields are left out; that is most of a dictionary's last three columns."""
    row: list[Any] = [p.device, p.point, p.unit, p.type, p.scale, p.offset, p.send]
    tail: list[Any] = [p.title, _flat(p.enum), _flat(p.flags)]
    while tail and not tail[-1]:
        tail.pop()
    return row + tail


def _flat(pairs: Sequence[tuple[int, str]]) -> list[int | str]:
    return [item for pair in pairs for item in pair]


def _decode_point(row: Any) -> PointEntry:
    if type(row) is not list or len(row) < 7:
        raise RecordError("a point of a dictionary is not an array of at least 7")
    title, enum, flags = (row[7:10] + ["", [], []][len(row[7:10]) :])[:3]
    return PointEntry(
        device=_text(row[0]),
        point=_text(row[1]),
        unit=_text(row[2]),
        type=_text(row[3]),
        scale=_number(row[4]),
        offset=_number(row[5]),
        send=_text(row[6]),
        title=_text(title),
        enum=_pairs(enum),
        flags=_pairs(flags),
    )


def _decode_alarm(row: Any) -> AlarmEntry:
    if type(row) is not list or len(row) < 7:
        raise RecordError("an alarm of a dictionary is not an array of at least 7")
    return AlarmEntry(
        name=_text(row[0]),
        device=_text(row[1]),
        point=_text(row[2]),
        kind=_text(row[3]),
        low=_number(row[4]),
        high=_number(row[5]),
        severity=_text(row[6]),
    )


def _text(value: Any) -> str:
    if type(value) is not str:
        raise RecordError(f"a dictionary has {value!r:.40} where a text belongs")
    return value


def _number(value: Any) -> float:
    if type(value) is not float:
        raise RecordError(f"a dictionary has {value!r:.40} where a float belongs")
    return value


def _pairs(value: Any) -> tuple[tuple[int, str], ...]:
    if type(value) is not list or len(value) % 2:
        raise RecordError("an enum or flags of a dictionary is not a list of number, text, ...")
    if not all(type(number) is int for number in value[::2]):
        raise RecordError("an enum or flags of a dictionary has a number that is none")
    return tuple(zip(value[::2], map(_text, value[1::2]), strict=True))
