"""A TOML script to devices: addresses and types as in a configuration, and a signal for each point.

Owns the keys of a script; how keys are checked is `config.schema`'s. See docs/simulator.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.config import toml
from edge_agent.config.readers import array, enumerated, integer, named_tables, number, record, text
from edge_agent.config.schema import Key, Place, Refusal, Report, Table, read_table
from edge_agent.errors import InputError
from edge_agent.model import NS, Area, Order, PointDef, PointType
from edge_agent.simulator.device import SimDevice, SimPoint
from edge_agent.simulator.faults import Fault, parse_fault
from edge_agent.simulator.plant import Plant
from edge_agent.simulator.script_signals import build_signal, signal_terms
from edge_agent.simulator.signals import PointSignal, derive

ProfileSource = Callable[[str, str, int], SimDevice]
"""(profile id, device name, unit id) -> device; raises InputError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a script describes."""

    devices: tuple[SimDevice, ...]
    faults: Mapping[str, tuple[Fault, ...]]
    """By device, from the start on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a script needs from outside."""

    seed: int = 1
    start_of_day_s: float = 8 * 3600
    profiles: ProfileSource | None = None


def load_script(path: Path, setting: Setting) -> Script:
    """Read and check a script; InputError with all its problems."""
    return parse_script(toml.read(path), str(path), setting)


def parse_script(data: bytes, file: str, setting: Setting) -> Script:
    report = Report(toml.parse(data, file))
    faults: dict[str, tuple[Fault, ...]] = {}

    def build(place: Place, device: str, raw: Mapping[str, Any]) -> SimDevice | None:
        keys = read_table(place, raw, _DEVICE)
        if keys["fault"]:
            faults[device] = keys["fault"]
        return _device(place, device, keys, setting)

    top = Table("script", {"device": Key(named_tables(build, "device"), required=True)})
    devices = read_table(Place(report), report.document.data, top)["device"] or ()
    report.raise_if_any()
    return Script(devices=tuple(devices), faults=faults)


def _device(place: Place, device: str, keys: dict[str, Any], setting: Setting) -> SimDevice | None:
    unit_id, points = keys["unit_id"], keys["point"] or ()
    if keys["profile"] is None:
        if not points:
            place.refuse("has no points", "give it points, or a profile")
        return None if unit_id is None else _own_device(device, unit_id, points, setting)
    if points:
        (place / "point").refuse(
            "cannot be given beside a profile", "make it a device of its own, or leave it out"
        )
        return None
    if setting.profiles is None:
        (place / "profile").refuse("cannot be used here", "there is no library of profiles")
        return None
    try:
        return setting.profiles(keys["profile"], device, unit_id or 1)
    except InputError as error:
        place.report.adopt(error.problems, (place / "profile").path)
        return None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A point whose signal is not built yet: it may integrate another point's."""

    place: Place
    name: str
    keys: dict[str, Any]


def _own_device(device: str, unit_id: int, drafts: tuple[_Draft, ...], setting: Setting) -> SimDevice:
    points = {draft.name: _point(draft, device) for draft in drafts}
    plant = Plant.of(
        tuple(p for p in points.values() if p), derive(setting.seed, device), setting.start_of_day_s
    )
    signals: dict[str, PointSignal] = {}
    # Integrals last: what they integrate must be there.
    for draft in sorted(drafts, key=lambda draft: "integral" in (draft.keys["signal"] or {})):
        point, terms = points[draft.name], draft.keys["signal"]
        if point is None:
            continue
        if terms is None:
            signals[draft.name] = plant.signal(point)
        else:
            place, seed, day = draft.place / "signal", setting.seed, setting.start_of_day_s
            if built := build_signal(place, terms, point, signals, seed, day):
                signals[draft.name] = built
    entries = (SimPoint(point=p, signal=signals[n]) for n, p in points.items() if p and n in signals)
    return SimDevice(name=device, unit_id=unit_id, points=tuple(entries))


def _point(draft: _Draft, device: str) -> PointDef | None:
    keys = draft.keys
    if keys["area"] is None or keys["address"] is None or keys["type"] is None:
        return None
    if keys["type"] is PointType.STRING and not keys["length"]:
        draft.place.refuse("has no length", "a string needs its length in registers: length = 8")
    if keys["area"].is_bits and keys["type"] is not PointType.BOOL:
        (draft.place / "type").refuse("must be bool for coils and discrete inputs", value=keys["type"].value)
    return PointDef(
        device=device,
        name=draft.name,
        area=keys["area"],
        address=keys["address"],
        type=keys["type"],
        order=keys["order"],
        length_words=keys["length"],
        bits=keys["bits"],
        scale=keys["scale"],
        offset=keys["offset"],
        unit=keys["unit"],
        invalid=keys["invalid"],
        poll_ns=NS,
    )


def _fault_list(place: Place, raw: object) -> tuple[Fault, ...]:
    written = [raw] if isinstance(raw, str) else array(text())(place, raw)
    try:
        return tuple(parse_fault(item) for item in written)
    except InputError as error:
        problem = error.problems[0]
        raise Refusal(f"{problem.key}: {problem.message}", problem.hint) from None


def _address(place: Place, raw: object) -> int:
    if isinstance(raw, str):
        raise Refusal("must be a whole number", "write it without quotes; 0x64 works")
    return integer(0, 65535)(place, raw)


_BITS = record(integer(0, 63), integer(1, 64))

_POINT = Table(
    "point",
    {
        "area": Key(enumerated(Area), required=True),
        "address": Key(_address, required=True),
        "type": Key(enumerated(PointType), required=True),
        "order": Key(enumerated(Order), "abcd"),
        "length": Key(integer(0, 125), 0),
        "bits": Key(lambda place, raw: _BITS(place, raw) or None),
        "scale": Key(number(nonzero=True), 1.0),
        "offset": Key(number(), 0.0),
        "unit": Key(text(20, min_chars=0), ""),
        "invalid": Key(array(integer(0, 2**64 - 1)), []),
        "signal": Key(signal_terms),
    },
    hints={
        "poll": "the master decides when it reads",
        "filter": "filters are the agent's",
        "value": "see signal",
    },
)


def _draft(place: Place, point: str, raw: Mapping[str, Any]) -> _Draft:
    return _Draft(place, point, read_table(place, raw, _POINT))


_DEVICE = Table(
    "device",
    {
        "unit_id": Key(integer(1, 255), required=True),
        "profile": Key(text()),
        "fault": Key(_fault_list),
        "point": Key(named_tables(_draft, "point")),
    },
    hints={"bus": "a simulator is one bus"},
)
