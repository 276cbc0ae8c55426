"""Every key of a profile file: its reader, its range, its default.

docs/profiles.md is held against these tables by a test. A profile is pure data: no expressions, no
patterns that need an engine, no paths.
"""

from __future__ import annotations

from typing import Any

from edge_agent.config import values
from edge_agent.config.pointkeys import POINT, quirks
from edge_agent.config.readers import (
    array,
    boolean,
    choice,
    enumerated,
    integer,
    interval,
    name,
    notation,
    number,
    pattern,
    text,
)
from edge_agent.config.schema import Key, Place, Reader, Refusal, Table, kind, read_table
from edge_agent.config.tree import POLL_CLASSES
from edge_agent.model import Area, Order, PointType

CATEGORIES = (
    "energy-meter", "inverter", "heat-pump", "charge-controller", "drive", "sensor", "controller", "genset",
    "ups", "power-supply", "plc", "io", "scale", "barcode", "gnss", "other",
)  # fmt: skip
STATUSES = ("draft", "documented", "interop", "hardware")
ROLES = ("measurement", "counter", "state", "id", "setting", "command")
PROTOCOLS = ("modbus-rtu", "modbus-tcp")

# Written as UCUM does where it can be typed on a panel PC; `1` is a ratio.
UNITS = (
    "1", "%", "%RH", "ppm", "ppb",
    "V", "mV", "kV", "A", "mA", "kA", "W", "kW", "MW", "VA", "kVA", "var", "kvar", "Ohm", "kOhm", "MOhm",
    "Wh", "kWh", "MWh", "varh", "kvarh", "VAh", "kVAh", "Ah", "J", "MJ", "GJ",
    "Hz", "kHz", "rpm", "deg", "rad",
    "Cel", "K", "Fahr", "Pa", "hPa", "kPa", "MPa", "mbar", "bar", "psi",
    "ms", "s", "min", "h", "d",
    "mm", "cm", "m", "km", "mm/s", "m/s", "km/h", "g", "kg", "t", "N", "kN", "N.m",
    "l", "m3", "l/min", "l/h", "m3/h", "kg/h", "lx", "dB", "W/m2", "ug/m3", "mg/m3", "uS/cm", "pH",
)  # fmt: skip

_NO_WRITES = {"writ*": "profiles describe reading only"}


def unit(place: Place, value: object) -> str:
    word: str = text(16)(place, value)
    if word not in UNITS:
        raise Refusal(
            "is not a known unit", "units are written as in UCUM: V, A, W, kWh, Hz, Cel, 1 for a ratio"
        )
    return word


def _tables(table: Table, max_items: int) -> Reader:
    """`[[name]]`: an array of tables with the same keys."""
    return array(lambda place, value: read_table(place, value, table), max_items=max_items)


def _texts(place: Place, value: object) -> dict[str, str]:
    """A table whose values are texts, kept as it is."""
    if not isinstance(value, dict):
        raise Refusal(f"must be a table, not {kind(value)}")
    return {key: text(100)(place / key, item) for key, item in value.items()}


def _as_it_is(_place: Place, value: object) -> object:
    """Checked where all points are known."""
    return value


def _unit_id(place: Place, value: object) -> int | None:
    return None if value == "any" else integer(1, 247)(place, value)


def _scalar(place: Place, value: object) -> Any:
    if isinstance(value, str):
        return text(200)(place, value)
    if isinstance(value, int):  # booleans are equal to 0 and 1
        return int(value)
    return number()(place, value)


SOURCE = Table(
    "profile.sources",
    {
        "ref": Key(text(300), required=True),
        "title": Key(text(200)),
        "version": Key(text(60)),
        "date": Key(text(20)),
        "note": Key(text(300)),
    },
)
PROFILE = Table(
    "profile",
    {
        "id": Key(pattern("[a-z0-9_]+/[a-z0-9_]+", "is not an id such as eastron/sdm630"), required=True),
        "revision": Key(integer(1, 1_000_000), required=True),
        "title": Key(text(120), required=True),
        "vendor": Key(text(80), required=True),
        "models": Key(array(text(80), min_items=1), required=True),
        "category": Key(choice(*CATEGORIES), required=True),
        "status": Key(choice(*STATUSES), required=True),
        "sources": Key(
            array(lambda place, value: read_table(place, value, SOURCE), min_items=1, max_items=50),
            required=True,
        ),
    },
    {"name": "did you mean title?", "model": "write models = [...]"},
)
SERIAL_ALSO = Table(
    "link.serial.also",
    {
        "baud": Key(integer(300, 4_000_000), required=True),
        "format": Key(notation(values.character_format), "8N1"),
    },
)
SERIAL = Table("link.serial", {**SERIAL_ALSO.keys, "also": Key(_tables(SERIAL_ALSO, 20), [])})
LINK = Table(
    "link",
    {
        "protocol": Key(choice(*PROTOCOLS), required=True),
        "serial": Key(lambda place, value: read_table(place, value, SERIAL)),
        "unit": Key(_unit_id, "any"),
    },
)

_SITE_ONLY = ("filter", "resolution", "send")
POINT_KEYS = Table(
    "point",
    {
        "id": Key(
            pattern("[a-z][a-z0-9_#]{0,47}", "is not a name", "a-z, 0-9, _ and # for the index"),
            required=True,
        ),
        **{word: key for word, key in POINT.keys.items() if word not in _SITE_ONLY},
        "unit": Key(unit),
        "poll": Key(choice(*POLL_CLASSES)),
        "role": Key(choice(*ROLES), "measurement"),
        "index": Key(array(integer(0, 9999), min_items=1, max_items=256)),
        "stride": Key(integer(1, 65535)),
    },
    {
        **_NO_WRITES,
        "name": "id names the point, title is shown to people",
        "filter": "filters are the site's choice: [device.NAME.point.NAME] filter",
        "resolution": "rounding is the site's choice, for points that it filters",
        "send": "what is sent is the site's choice",
        "words": "write length for the registers of a string",
    },
)

_FC43 = Table(
    "identify.fc43",
    {"code": Key(integer(1, 4), required=True), "object": Key(integer(0, 255), required=True)},
)
IDENTIFY = Table(
    "identify",
    {
        "key": Key(name, required=True),
        "area": Key(enumerated(Area)),
        "address": Key(integer(0, 65535)),
        "type": Key(enumerated(PointType)),
        "length": Key(integer(1, 125)),
        "order": Key(enumerated(Order)),
        "fc43": Key(lambda place, value: read_table(place, value, _FC43)),
        "probe": Key(choice("answers", "illegal")),
        "match": Key(array(_scalar, min_items=1)),
        "plausible": Key(interval),
        "required": Key(boolean, False),
        "parse": Key(
            choice("dotted", "int", "hundredths", "nibbles", "nibbles_4_4_8", "bytes", "bcd", "hex")
        ),
    },
)
VARIANT = Table(
    "variant",
    {
        "id": Key(name, required=True),
        "when": Key(_texts, required=True),
        "extends": Key(name, "base"),
        "remove": Key(array(text(48)), []),
        "set": Key(_as_it_is, {}),
        "quirks": Key(quirks, {}),
        "point": Key(_tables(POINT_KEYS, 2000), []),
    },
)
BASE = Table("base", {"when": Key(_texts, {})})
POLICY = Table(
    "policy",
    {
        "unknown_firmware": Key(choice("refuse", "safe_subset", "extrapolate"), "safe_subset"),
        "verified_up_to": Key(text(40)),
    },
)
TEST = Table(
    "test",
    {
        "point": Key(pattern("[a-z][a-z0-9_]*", "is not a point's name"), required=True),
        "raw": Key(array(integer(0, 65535), min_items=1, max_items=125), required=True),
        "value": Key(_scalar),
        "invalid": Key(boolean, False),
    },
)
ROOT = Table(
    "",
    {
        "schema": Key(integer(1, 1), required=True),
        "profile": Key(lambda place, value: read_table(place, value, PROFILE), required=True),
        "link": Key(lambda place, value: read_table(place, value, LINK), required=True),
        "quirks": Key(quirks, {}),
        "base": Key(lambda place, value: read_table(place, value, BASE), {}),
        "policy": Key(lambda place, value: read_table(place, value, POLICY), {}),
        "identify": Key(_tables(IDENTIFY, 50), []),
        "point": Key(_tables(POINT_KEYS, 2000), required=True),
        "variant": Key(_tables(VARIANT, 50), []),
        "test": Key(_tables(TEST, 2000), []),
    },
    _NO_WRITES,
)
TABLES = (
    ROOT,
    PROFILE,
    SOURCE,
    LINK,
    SERIAL,
    SERIAL_ALSO,
    POINT_KEYS,
    BASE,
    POLICY,
    IDENTIFY,
    _FC43,
    VARIANT,
    TEST,
)
