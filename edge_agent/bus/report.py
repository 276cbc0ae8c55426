"""What a status says of a bus: plain data for JSON, made by the bus's own thread and then only read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from edge_agent.bus.device.deferrals import ILLEGAL_FUNCTION
from edge_agent.bus.device.device import Device
from edge_agent.bus.device.view import why
from edge_agent.bus.line import Line, LineCounts
from edge_agent.bus.plan.refusals import SILENT
from edge_agent.bus.quality.quality import Quality
from edge_agent.bus.schedule.load import LoadLimit
from edge_agent.bus.wire.frames import exception_name
from edge_agent.model import NS, BusDef, DeviceServerLink, Framing, SerialLink, TlsLink


def bus(
    definition: BusDef, line: Line, load: LoadLimit, devices: Iterable[Device], quality: Quality
) -> dict[str, Any]:
    """`state`: `open`, `opening` (never tried), or the reason of the fault (`missing`, `busy`, ...)."""
    fault = None if line.is_open else line.fault
    message, _, hint = str(fault or "").partition("\n    hint: ")
    return {
        "name": definition.name,
        "link": describe_link(definition),
        "state": "open" if line.is_open else fault.reason if fault else "opening",
        "message": message,
        "hint": hint,
        "load": round(load.load, 4),
        "max_load": definition.max_load,
        "counts": _counts(line.counts),
        "hints": [asdict(hint) | {"seconds": quality.seconds} for hint in quality.hints],
        "devices": [
            _device(device, message) | {"quality": quality.device(device, line.counts)} for device in devices
        ],
    }


def _counts(counts: LineCounts) -> dict[str, int]:
    own = {one.name: getattr(counts, one.name) for one in fields(counts) if one.name != "overheard"}
    heard = ("resyncs", "foreign_requests", "foreign_replies")
    return own | {name: getattr(counts.overheard, name) for name in heard}


def describe_link(definition: BusDef) -> str:
    link = definition.link
    if isinstance(link, SerialLink):
        speed = f"{link.path} {link.baud} {link.data_bits}{link.parity.value}{link.stop_bits}"
        return speed if link.framing is Framing.RTU else f"{speed} {link.framing}"
    where = f"{link.host}:{link.port}"
    if isinstance(link, DeviceServerLink):
        speed = f" {link.baud}" if link.baud else ""
        return f"{link.framing} over tcp {where}{speed}"
    return f"{'tls' if isinstance(link, TlsLink) else 'tcp'} {where}"


def describe_port(definition: BusDef) -> str:
    """The same in short: the port alone where its kind goes without saying."""
    link = definition.link
    if isinstance(link, SerialLink):
        return link.path if link.framing is Framing.RTU else f"{link.path} ({link.framing})"
    return describe_link(definition).removeprefix("tcp ")


def _device(device: Device, port_message: str) -> dict[str, Any]:
    view, timeout = device.view, device.manners.timeout
    return {
        "name": device.definition.name,
        "unit_id": device.definition.unit_id,
        "profile": device.definition.profile,
        "state": view.state,
        "since": None if view.since is None else view.since / NS,
        "last_good": None if view.last_good is None else view.last_good / NS,
        "why": why(view.last, view.outcomes, port_message),
        "probing": device.breaker.is_open,
        "outcomes": dict(view.outcomes),
        "latency_ms": {"last": timeout.last_ns / 1e6, "average": timeout.average_ns / 1e6},
        "timeout_ms": timeout.timeout_ns / 1e6,
        "refused": _exceptions(device, _facts(device)),
        "later": _exceptions(device, _later(device)),
    }


def _exceptions(device: Device, codes: Mapping[int, int]) -> list[dict[str, Any]]:
    names = device.planner.points
    return [
        {"point": names[number].name, "exception": None, "name": "no reply"}
        if code == SILENT
        else {"point": names[number].name, "exception": code, "name": exception_name(code)}
        for number, code in codes.items()
    ]


def _facts(device: Device) -> dict[int, int]:
    """Points the device will not give, whatever happens: what is configured does not fit it."""
    deferred = device.deferrals.points
    illegal = {number: code for number, code in deferred.items() if code == ILLEGAL_FUNCTION}
    return device.refusals.points | illegal


def _later(device: Device) -> dict[int, int]:
    """Points it could not give just now."""
    deferred = device.deferrals.points
    return {number: code for number, code in deferred.items() if code != ILLEGAL_FUNCTION}
