"""The keys of points, filters and quirks, which configurations and profiles have in common.

docs/configuration.md is held against these tables by a test. Rules between the keys of a point are
in `profiles.rules`, because a profile may say what a configuration leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.config.readers import (
    array,
    boolean,
    choice,
    duration,
    enumerated,
    integer,
    interval,
    name,
    named_tables,
    number,
    numbered_texts,
    pattern,
    record,
    text,
)
from edge_agent.config.schema import Key, Place, Reader, Refusal, Table, kind, read_table
from edge_agent.config.tree import CONTINUOUS, POLL_CLASSES, PointSpec, QuirksSpec
from edge_agent.model import Area, Deadband, Filter, Lowpass, Median, Order, PointType, Send

_WRITING = "writing to devices is configured in the root-owned writes.toml only"
WRITE_HINTS = {"writ*": _WRITING, "allow_writ*": _WRITING}

_period = duration("10ms", "7d")


def period(place: Place, value: object) -> int | str:
    """A duration in nanoseconds, or `continuous`."""
    if value == CONTINUOUS:
        return CONTINUOUS
    return _period(place, value)


def poll(place: Place, value: object) -> int | str:
    """A duration in nanoseconds, a class, or `continuous`."""
    if isinstance(value, str) and value.replace("_", "").isalpha():
        word: str = choice(*POLL_CLASSES, CONTINUOUS)(place, value)
        return word
    return _period(place, value)


# --- filters --------------------------------------------------------------------------------------


def _odd(place: Place, value: object) -> int:
    samples: int = integer(3, 15)(place, value)
    if samples % 2 == 0:
        raise Refusal("must be odd", "so that there is one value in the middle")
    return samples


MEDIAN = Table("filter: median", {"samples": Key(_odd, required=True)})
LOWPASS = Table("filter: lowpass", {"tau": Key(duration("1ms", "1d"), required=True)})
DEADBAND = Table("filter: deadband", {"width": Key(number(0, nonzero=True), required=True)})
FILTERS: dict[str, tuple[Table, type[Filter]]] = {
    "median": (MEDIAN, Median),
    "lowpass": (LOWPASS, Lowpass),
    "deadband": (DEADBAND, Deadband),
}
_FIELD = {"tau": "tau_ns"}


def one_filter(place: Place, value: object) -> Filter:
    """`{ median = { samples = 5 } }`"""
    if not isinstance(value, dict) or len(value) != 1:
        raise Refusal("must be a table with one filter in it", "for example { median = { samples = 5 } }")
    word = choice(*FILTERS)(place, next(iter(value)))
    table, build = FILTERS[word]
    try:
        arguments = read_table(place / word, value[word], table)
    except Refusal as refusal:
        raise Refusal(f"{word} {refusal.message}", refusal.hint) from None
    return build(**{_FIELD.get(key, key): item for key, item in arguments.items()})


# --- points and quirks ----------------------------------------------------------------------------


def _raw_values(place: Place, value: object) -> tuple[int, ...]:
    result: tuple[int, ...] = array(integer(-(2**63), 2**64 - 1), max_items=64)(place, value)
    return result


POINT = Table(
    "device.NAME.point.NAME",
    {
        "title": Key(text(80)),
        "area": Key(enumerated(Area)),
        "address": Key(integer(0, 65535)),
        "manual": Key(pattern("[0134][0-9]{4,5}", 'is not a register number such as "40101" or "400101"')),
        "type": Key(enumerated(PointType)),
        "length": Key(integer(1, 125)),
        "order": Key(enumerated(Order)),
        "bits": Key(record(integer(0, 63), integer(1, 64))),
        "scale": Key(number(nonzero=True)),
        "offset": Key(number()),
        "unit": Key(text(16)),
        "invalid": Key(_raw_values),
        "plausible": Key(interval),
        "enum": Key(numbered_texts),
        "flags": Key(numbered_texts),
        "poll": Key(poll),
        "group": Key(name),
        "alias": Key(name),
        "filter": Key(array(one_filter, max_items=8)),
        "resolution": Key(number(0, nonzero=True)),
        "send": Key(enumerated(Send)),
    },
    WRITE_HINTS,
)

_POINT_FIELD = {"filter": "filters"}


def point_spec(place: Place, key: str, raw: Mapping[str, Any]) -> PointSpec:
    """One `[device.NAME.point.NAME]` table."""
    given = {_POINT_FIELD.get(word, word): item for word, item in read_table(place, raw, POINT).items()}
    return PointSpec(name=key, path=place.path, **given)


points: Reader = named_tables(point_spec, "device.NAME.point", limit=2000)

_area: Reader = enumerated(Area)
_address: Reader = integer(0, 65535)
_count: Reader = integer(1, 2000)


def _invalid_by_type(place: Place, value: object) -> dict[PointType, tuple[int, ...]]:
    if not isinstance(value, dict):
        raise Refusal(f"must be a table of types, not {kind(value)}", "for example { u16 = [0xFFFF] }")
    table = Table("quirks.invalid", {str(member): Key(_raw_values) for member in PointType})
    given = read_table(place, value, table)
    return {PointType(word): raw for word, raw in given.items() if raw is not None}


QUIRKS = Table(
    "quirks",
    {
        "max_read_words": Key(integer(1, 125)),
        "max_read_bits": Key(integer(1, 2000)),
        "max_gap_words": Key(integer(0, 124)),
        "max_gap_bits": Key(integer(0, 1999)),
        "forbidden": Key(array(record(_area, _address, _address))),
        "barriers": Key(array(record(_area, _address))),
        "read_whole": Key(array(record(_area, _address, _count))),
        "read_alone": Key(array(record(_area, _address))),
        "one_point_per_request": Key(boolean),
        "response_timeout": Key(duration("10ms", "60s")),
        "late_window": Key(duration("0s", "60s")),
        "turnaround": Key(duration("0s", "10s")),
        "interframe": Key(duration("0s", "1s")),
        "on_illegal_address": Key(choice("split", "stop")),
        "order": Key(enumerated(Order)),
        "fc_swap": Key(boolean),
        "invalid": Key(_invalid_by_type),
    },
    WRITE_HINTS,
)


def quirks(place: Place, value: object) -> QuirksSpec:
    return QuirksSpec(**read_table(place, value, QUIRKS))
