"""Rules of points and register maps, for profiles and configurations alike. Pure.

`point_faults` looks at one point, `map_faults` at all points of a device together with the quirks
they are read with. A fault names the key it is about; the caller knows the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_agent.config.tree import PointSpec, QuirksSpec
from edge_agent.model import Area, PointType

MAX_POINTS = 2000
"""Of one device."""

UNSIGNED = (PointType.U16, PointType.U32, PointType.U64)
INTEGERS = (*UNSIGNED, PointType.S16, PointType.S32, PointType.S64, PointType.BCD16, PointType.BCD32)
_NUMERIC_KEYS = ("bits", "scale", "offset", "invalid", "plausible", "enum", "flags", "filters", "resolution")
_MANUAL_AREAS = {"0": Area.COIL, "1": Area.DISCRETE, "3": Area.INPUT, "4": Area.HOLDING}
_FILE_KEY = {"filters": "filter"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`point` None: the fault is in the quirks."""

    point: PointSpec | None
    key: str
    message: str
    hint: str = ""
    value: object = None


def width(spec: PointSpec) -> int:
    """Registers, or bits in a bit area, that a sound point occupies."""
    assert spec.type is not None
    return spec.length or 1 if spec.type is PointType.STRING else spec.type.words


def point_faults(spec: PointSpec) -> Iterator[Fault]:
    """What is wrong with one point; `type` must have been filled in for bit areas."""
    missing = [key for key in ("area", "address", "type") if getattr(spec, key) is None]
    for key in missing:
        yield Fault(spec, key, "is missing", _MISSING_HINTS[key])
    if missing:
        return
    yield from _type_faults(spec)
    yield from _slice_faults(spec)
    yield from _text_faults(spec)
    yield from _invalid_faults(spec)
    yield from _address_faults(spec)


_MISSING_HINTS = {
    "area": "coil, discrete, input or holding",
    "address": "on the wire, zero-based: register 40001 of a manual is address 0",
    "type": 'for example "u16", "s32" or "f32"',
}


def _type_faults(spec: PointSpec) -> Iterator[Fault]:
    assert spec.area is not None
    if spec.area.is_bits and spec.type is not PointType.BOOL:
        yield Fault(spec, "type", f"must be bool in the area {spec.area}", value=spec.type)
    if spec.type is PointType.STRING and spec.length is None:
        yield Fault(spec, "length", "is missing", "how many registers the string occupies")
    if spec.type is not PointType.STRING and spec.length is not None:
        yield Fault(spec, "length", "is for type string only", "the width follows from the type")
    unfit: tuple[str, ...] = ()
    if spec.type is PointType.STRING:
        unfit = _NUMERIC_KEYS
    elif spec.type is PointType.BOOL:
        unfit = ("scale", "offset", "invalid", "flags")
    for key in unfit:
        if getattr(spec, key):
            yield Fault(spec, _FILE_KEY.get(key, key), f"does not fit type {spec.type}", "leave it out")
    if spec.resolution and not spec.filters:
        hint = "raw values are never rounded; give the point a filter, or leave it out"
        yield Fault(spec, "resolution", "is for filtered points only", hint)


def _slice_faults(spec: PointSpec) -> Iterator[Fault]:
    assert spec.area is not None and spec.type is not None
    if spec.type is PointType.BOOL and not spec.area.is_bits and (spec.bits is None or spec.bits[1] != 1):
        yield Fault(spec, "bits", "must name one bit of the register", "bits = [0, 1] is its lowest")
    if spec.bits is None or spec.type is PointType.STRING:
        return
    lowest, count = spec.bits
    if spec.area.is_bits:
        yield Fault(spec, "bits", f"does not fit the area {spec.area}", "a coil is one bit already")
    elif spec.type not in (*UNSIGNED, PointType.BOOL):
        yield Fault(spec, "bits", f"does not fit type {spec.type}", "take bits of u16, u32 or u64")
    elif lowest + count > 16 * spec.type.words:
        yield Fault(
            spec, "bits", f"reaches beyond the {16 * spec.type.words} bits of {spec.type}", value=spec.bits
        )


def _text_faults(spec: PointSpec) -> Iterator[Fault]:
    """Texts for values (`enum`) or for bits (`flags`)."""
    assert spec.type is not None
    if spec.enum and spec.flags:
        yield Fault(spec, "flags", "stands beside enum", "a point has texts for values or for bits, not both")
    if (spec.enum or spec.flags) and spec.type not in (*INTEGERS, PointType.BOOL, PointType.STRING):
        yield Fault(spec, "enum" if spec.enum else "flags", f"does not fit type {spec.type}")
        return
    bits = spec.bits[1] if spec.bits else 1 if spec.type is PointType.BOOL else 16 * spec.type.words
    for code, _ in spec.enum or ():
        if not -(2 ** (bits - 1)) <= code < 2**bits:
            yield Fault(spec, "enum", f"has a number that {bits} bits cannot hold", value=code)
    for bit, _ in spec.flags or ():
        if not 0 <= bit < bits:
            yield Fault(spec, "flags", f"has a bit that is not 0 to {bits - 1}", value=bit)


def _invalid_faults(spec: PointSpec) -> Iterator[Fault]:
    assert spec.type is not None
    bits = 16 * spec.type.words
    for raw in spec.invalid or () if bits else ():
        if not -(2 ** (bits - 1)) <= raw < 2**bits:
            yield Fault(spec, "invalid", f"has a value that {bits} bits cannot hold", value=raw)


def _address_faults(spec: PointSpec) -> Iterator[Fault]:
    assert spec.address is not None
    if spec.address + width(spec) > 65536:
        yield Fault(spec, "address", "reaches beyond the last address 65535", value=spec.address)
    if spec.manual is not None:
        area, address = _MANUAL_AREAS[spec.manual[0]], int(spec.manual[1:]) - 1
        if (area, address) != (spec.area, spec.address):
            yield Fault(
                spec,
                "manual",
                f"means area {area}, address {address}, but area is {spec.area} and address {spec.address}",
                "registers of manuals count from 1, addresses on the wire from 0",
                spec.manual,
            )


# --- all points of a device -----------------------------------------------------------------------


def map_faults(points: Sequence[PointSpec], quirks: QuirksSpec) -> Iterator[Fault]:
    """What is wrong between sound points, and between them and how the device is read."""
    if len(points) > MAX_POINTS:
        yield Fault(None, "", f"has {len(points)} points; at most {MAX_POINTS} are allowed")
        return
    names = {point.name for point in points}
    for point in points:
        if point.alias is not None and (point.alias not in names or point.alias == point.name):
            yield Fault(point, "alias", "is not another point of this device", value=point.alias)
    yield from _overlaps(points)
    yield from _quirk_faults(quirks)
    for point in points:
        yield from _request_faults(point, *_span([point]), quirks)
    yield from _group_faults(points, quirks)


def _span(points: Sequence[PointSpec]) -> tuple[Area, int, int]:
    """Area, first and last address of what must come from one request."""
    area, first = points[0].area, min(point.address or 0 for point in points)
    assert area is not None
    return area, first, max((point.address or 0) + width(point) - 1 for point in points)


def _overlaps(points: Sequence[PointSpec]) -> Iterator[Fault]:
    ordered = sorted(points, key=lambda point: (str(point.area), point.address or 0))
    open_points: list[PointSpec] = []
    for point in ordered:
        area, first, last = _span([point])
        open_points = [
            other for other in open_points if _span([other])[0] == area and _span([other])[2] >= first
        ]
        for other in open_points:
            if not _may_overlap(point, other):
                place = f"{first}" if first == last else f"{first} to {last}"
                yield Fault(
                    point,
                    "address",
                    f"{area} {place} overlaps point {other.name}",
                    "if that is meant, say bits of each, or alias with the other's name",
                )
        open_points.append(point)


def _may_overlap(one: PointSpec, other: PointSpec) -> bool:
    if one.alias == other.name or other.alias == one.name:
        return True
    same = (one.address, one.type, one.bits) == (other.address, other.type, other.bits)
    return (one.bits is not None or other.bits is not None) and not same


def _quirk_faults(quirks: QuirksSpec) -> Iterator[Fault]:
    for area, first, last in quirks.forbidden or ():
        if first > last:
            yield Fault(None, "forbidden", f"has a range that runs backwards: {area} {first} to {last}")
    for area, start, count in quirks.read_whole or ():
        if start + count > 65536 or count > _limit(quirks, area):
            yield Fault(None, "read_whole", f"{area} {start}, {count} long, does not fit into one request")


def _limit(quirks: QuirksSpec, area: Area) -> int:
    said = quirks.max_read_bits if area.is_bits else quirks.max_read_words
    return area.max_count if said is None else said


def _request_faults(
    point: PointSpec, area: Area, first: int, last: int, quirks: QuirksSpec, key: str = "address"
) -> Iterator[Fault]:
    """Whether one request may cover first to last, which belongs to `point` or its group."""
    what = f"{area} {first} to {last}"
    if last - first + 1 > _limit(quirks, area):
        limit = f"this device answers at most {_limit(quirks, area)} in one request"
        yield Fault(point, key, f"{what} is too long to be read at once", limit)
    for other, low, high in quirks.forbidden or ():
        if other == area and first <= high and last >= low:
            yield Fault(point, key, f"{what} touches {low} to {high}, which is forbidden")
    for other, barrier in quirks.barriers or ():
        if other == area and first < barrier <= last:
            yield Fault(point, key, f"{what} crosses the barrier at {barrier}")
    for other, start, count in quirks.read_whole or ():
        inside = start <= first and last < start + count
        if other == area and first < start + count and last >= start and not inside:
            yield Fault(point, key, f"{what} is only partly in the block {start}, {count} long")


def _group_faults(points: Sequence[PointSpec], quirks: QuirksSpec) -> Iterator[Fault]:
    groups: dict[str, list[PointSpec]] = {}
    for point in points:
        if point.group:
            groups.setdefault(point.group, []).append(point)
    for name, members in groups.items():
        areas = {str(point.area) for point in members}
        if len(areas) > 1:
            yield Fault(
                members[-1], "group", f"{name} spans areas {', '.join(sorted(areas))}", "one area a group"
            )
        elif len(members) > 1:
            yield from _request_faults(members[-1], *_span(members), quirks, "group")
