"""Simulated devices from profiles: the same file tells the agent how to read and us what to serve."""

from __future__ import annotations

from edge_agent.errors import InputError, Problem
from edge_agent.model import Area, PointDef
from edge_agent.profiles import Library, Profile, as_device
from edge_agent.simulator.device import SimDevice, SimPoint
from edge_agent.simulator.plant import Plant
from edge_agent.simulator.signals import derive


def device_of(
    profile: Profile, name: str, unit_id: int, *, seed: int = 1, start_of_day_s: float = 8 * 3600
) -> SimDevice:
    """A device as `profile` describes it, every point with a believable signal.

    Points that share registers with one before them (two views of one value) are served through that
    one alone.
    """
    described = as_device(profile, name=name, bus="simulator", unit_id=unit_id)
    points = _distinct(described.points)
    plant = Plant.of(points, derive(seed, name), start_of_day_s)
    entries = (
        SimPoint(point=point, signal=plant.signal(point, profile.roles.get(point.name, "")))
        for point in points
    )
    return SimDevice(name=name, unit_id=unit_id, points=tuple(entries), quirks=described.quirks)


def _distinct(points: tuple[PointDef, ...]) -> tuple[PointDef, ...]:
    kept: list[PointDef] = []
    owner: dict[tuple[Area, int], PointDef] = {}
    for point in points:
        cells = [(point.area, point.address + word) for word in range(point.words)]
        others = [owner[cell] for cell in cells if cell in owner]
        if others and not (point.bits and all(other.bits for other in others)):
            continue
        kept.append(point)
        owner |= dict.fromkeys(cells, point)
    return tuple(kept)


def parse_choice(text: str) -> tuple[str, int, str]:
    """`"eastron/sdm630:1"` or `"eastron/sdm630:1=meter"` to profile id, unit id and device name."""
    choice, _, name = text.partition("=")
    profile_id, _, unit = choice.partition(":")
    unit = unit or "1"
    if not (unit.isascii() and unit.isdecimal() and len(unit) <= 3 and 1 <= int(unit) <= 255):
        hint = "write VENDOR/FAMILY:UNIT, for example eastron/sdm630:1"
        problem = Problem(
            file="--profile", line=0, key="", message="names no unit id from 1 to 255", value=text, hint=hint
        )
        raise InputError([problem])
    return profile_id, int(unit), name or f"{profile_id.rpartition('/')[2]}_{unit}"


def devices_of(choices: list[str], library: Library, *, seed: int, start_of_day_s: float) -> list[SimDevice]:
    """The devices of `--profile` options."""
    return [
        device_of(library.get(profile_id), name, unit_id, seed=seed, start_of_day_s=start_of_day_s)
        for profile_id, unit_id, name in map(parse_choice, choices)
    ]
