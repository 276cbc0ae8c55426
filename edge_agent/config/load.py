"""From the bytes of a configuration file to a checked `Config`, with all problems at once.

Owns the rules between keys and between tables that need no profile. What needs profiles (points,
what alarms refer to) is checked by `profiles.resolve`, which goes on with the same report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.config import alarms, broker, identity, keys, links, toml
from edge_agent.config.pointkeys import WRITE_HINTS
from edge_agent.config.readers import named_tables
from edge_agent.config.schema import Key, Place, Report, Table, read_table
from edge_agent.config.tree import Config, DeviceConfig, QuirksSpec, Values
from edge_agent.model import NS, BusDef, Framing, Send, SerialLink, SpoolDef, TcpLink, UplinkDef

NO_UNIT = -1
"""Stands for a unit id that could not be read."""


def load(path: Path) -> Config:
    """The configuration in the file `path`; InputError with all its problems."""
    return parse(toml.read(path), str(path))


def parse(data: bytes, file: str, default_id: Callable[[], str] = identity.of_this_machine) -> Config:
    """The configuration in `data`; `file` is its name in messages."""
    config, report = read(data, file, default_id)
    report.raise_if_any()
    return config


def read(
    data: bytes, file: str, default_id: Callable[[], str] = identity.of_this_machine
) -> tuple[Config, Report]:
    """Like `parse`, but with what could be read of a flawed configuration, and the report.

    A syntax error still raises: nothing that follows it would make sense.
    """
    document = toml.parse(data, file)
    report = Report(document)
    place = Place(report)
    given = read_table(place, document.data, ROOT)
    buses, devices = _present(given["bus"]), _expanded(_present(given["device"]))
    _check_ports(place / "bus", buses)
    _check_devices(place / "device", devices, document.data)
    site, agent = _agent(place / "agent", given["agent"] or {}, default_id)
    summary = given["summary"] or {}
    return (
        Config(
            site=site,
            agent=agent,
            buses=buses,
            devices=tuple(devices),
            alarms=_present(given["alarm"]),
            window_ns=summary.get("window") or NS,
            checkpoint_ns=summary.get("checkpoint") or NS,
            send=summary.get("send") or Send.SUMMARY,
            batch_ns=(given["samples"] or {}).get("batch") or 0,
            uplink=given["uplink"] or UplinkDef(url=""),
            spool=given["spool"] or SpoolDef(),
            document=document,
            sha256=hashlib.sha256(data).hexdigest(),
        ),
        report,
    )


# --- one table each -------------------------------------------------------------------------------


# What is wrong with one key does not stop the others from being checked: a flawed table still
# becomes a value, with a stand-in where a key could not be read. It never leaves `parse`.


def _bus(place: Place, name: str, raw: Mapping[str, Any]) -> BusDef | None:
    given = read_table(place, raw, keys.BUS)
    links.check(place, raw, given)
    if given["serial"] is None and given["tcp"] is None and given["tls"] is None:
        return None
    return BusDef(
        name=name,
        link=_link(given),
        timeout_ns=given["timeout"],
        max_load=given["max_load"],
        retries=given["retries"],
        interframe_ns=given["interframe"],
    )


def _link(given: Values) -> SerialLink | TcpLink:
    if given["serial"] is None:
        return links.over_network(given)
    framing = given["framing"] or Framing.RTU
    data_bits, parity, stop_bits = given["format"] or links.USUAL_FORMAT[framing]
    return SerialLink(
        path=given["serial"],
        baud=given["baud"] or 19200,
        data_bits=data_bits,
        parity=parity,
        stop_bits=stop_bits,
        rs485=given["rs485"],
        framing=framing,
    )


def _device(place: Place, name: str, raw: Mapping[str, Any]) -> tuple[DeviceConfig, ...]:
    """The devices of one table: several with `unit_ids`."""
    given = read_table(place, raw, keys.DEVICE)
    _check_units(place, raw, given)
    if "profile" not in raw and not raw.get("point"):
        place.refuse("has neither a profile nor points", f"write profile or [device.{name}.point.NAME]")
    if "points" in raw and "profile" not in raw:
        (place / "points").refuse("selects points of a profile, but no profile is given")
    if given["unit_ids"] is not None:
        return tuple(_one_device(place, f"{name}_{unit}", unit, given) for unit in given["unit_ids"])
    unit_id = NO_UNIT if given["unit_id"] is None else given["unit_id"]
    return (_one_device(place, name, unit_id, given),)


def _one_device(place: Place, name: str, unit_id: int, given: Values) -> DeviceConfig:
    return DeviceConfig(
        name=name,
        path=place.path,
        bus=given["bus"] or "",
        unit_id=unit_id,
        profile=given["profile"] or "",
        periods=given["periods"] or {},
        selection=given["points"],
        points=given["point"] or (),
        quirks=given["quirks"] or QuirksSpec(),
        send=given["send"],
        shared=bool(given["shared"]),
    )


def _check_units(place: Place, raw: Mapping[str, Any], given: Values) -> None:
    if "unit_id" in raw and "unit_ids" in raw:
        (place / "unit_ids").refuse("stands beside unit_id", "keep one of them")
    elif "unit_id" not in raw and "unit_ids" not in raw:
        (place / "unit_id").refuse("is missing", "unit_id = 1, or unit_ids for several equal devices")
    single = () if given["unit_id"] is None else (given["unit_id"],)
    for key, units in (("unit_id", single), ("unit_ids", given["unit_ids"] or ())):
        here = place / key
        if 0 in units:
            here.refuse("must not be 0", "0 is the broadcast address: no device answers to it")
        if max(units, default=0) > 247 and not given["allow_reserved_unit"]:
            here.refuse(
                "is above 247, which the standard reserves",
                "say allow_reserved_unit = true if the device really has this address",
                max(units),
            )


def _uplink(place: Place, raw: object) -> UplinkDef | None:
    return broker.build(place, read_table(place, raw, keys.UPLINK))


_LEAST_AGE_NS = 3600 * NS
"""Less would give up what only waits for a broker that restarts."""


def _spool(place: Place, raw: object) -> SpoolDef | None:
    given = read_table(place, raw, keys.SPOOL)
    if place.report.is_flawed(place.path):
        return None
    if 0 < given["max_age"] < _LEAST_AGE_NS:
        (place / "max_age").refuse("is too short", "0s for never, or at least 1h")
    return SpoolDef(
        path=given["path"],
        max_bytes=given["max_size"],
        min_free_bytes=given["min_free"],
        commit_ns=given["commit"],
        keep_bytes=given["keep"],
        max_age_ns=given["max_age"],
    )


def _agent(place: Place, given: Values, default_id: Callable[[], str]) -> tuple[str, str]:
    agent = given.get("id")
    if agent is None and not place.report.is_flawed((*place.path, "id")):
        try:
            agent = default_id()
        except ValueError as error:
            (place / "id").refuse(str(error), "write id")
    return given.get("site") or "", agent or ""


ROOT = Table(
    "",
    {
        "agent": Key(
            lambda place, raw: read_table(place, raw, keys.AGENT),
            required=True,
            example='[agent] with site = "..."',
        ),
        "bus": Key(named_tables(_bus, "bus", limit=64), required=True, example="[bus.NAME]"),
        "device": Key(named_tables(_device, "device"), required=True, example="[device.NAME]"),
        "alarm": Key(named_tables(alarms.build, "alarm"), {}),
        "summary": Key(lambda place, raw: read_table(place, raw, keys.SUMMARY), {}),
        "samples": Key(lambda place, raw: read_table(place, raw, keys.SAMPLES), {}),
        "uplink": Key(_uplink, required=True, example='[uplink] with url = "mqtts://..."'),
        "spool": Key(_spool, {}),
    },
    {**WRITE_HINTS, "point": "points stand in [device.NAME.point.NAME]"},
)


# --- between tables -------------------------------------------------------------------------------


def _present(items: Iterable[Any] | None) -> tuple[Any, ...]:
    return tuple(item for item in items or () if item is not None)


def _expanded(tables: Iterable[tuple[DeviceConfig, ...]]) -> list[DeviceConfig]:
    return [device for table in tables for device in table]


def _check_ports(place: Place, buses: Iterable[BusDef]) -> None:
    users: dict[str, str] = {}
    for bus in buses:
        key, line = links.line_of(bus.link)
        if line and (other := users.setdefault(line, bus.name)) != bus.name:
            (place / bus.name / key).refuse(
                f"is the port of bus {other} too", "one bus per port: put the devices on one", line
            )


def _check_devices(place: Place, devices: Iterable[DeviceConfig], data: Mapping[str, Any]) -> None:
    """Buses exist, names are unique, and so are unit ids on a bus unless shared."""
    buses = data.get("bus")
    known = list(buses) if isinstance(buses, dict) else []
    names: dict[str, DeviceConfig] = {}
    units: dict[tuple[str, int], DeviceConfig] = {}
    for device in devices:
        here = Place(place.report, device.path)
        if device.bus and device.bus not in known:
            (here / "bus").refuse("is not a bus of this file", _known_buses(known), device.bus)
        other = names.setdefault(device.name, device)
        if other is not device:
            here.refuse(f"makes a device {device.name}, but [{_header(other)}] makes one too", "rename one")
        other = units.setdefault((device.bus, device.unit_id), device)
        sound = bool(device.bus) and device.unit_id != NO_UNIT
        if sound and other is not device and not (other.shared and device.shared):
            (here / _unit_key(place, device)).refuse(
                f"unit id {device.unit_id} on {device.bus} is taken by device {other.name}",
                "if both are the same device on purpose, say shared = true in both",
            )


def _unit_key(place: Place, device: DeviceConfig) -> str:
    single = (*device.path, "unit_id") in place.report.document.positions
    return "unit_id" if single else "unit_ids"


def _header(device: DeviceConfig) -> str:
    return ".".join(str(part) for part in device.path)


def _known_buses(known: list[str]) -> str:
    if len(known) == 1:
        return f"did you mean {known[0]}?"
    return "buses here: " + ", ".join(known[:20]) if known else "write [bus.NAME]"
