"""Devices by option and by default: `NAME=UNIT[:PROFILE]`, and names nobody has to think of. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from edge_agent.commissioning import checks

DEVICE_HINT = "for example meter=1:eastron/sdm630, or pump=7"


@dataclass(frozen=True, slots=True)
class Named:
    """One `--device`. `profile` empty: to be found out."""

    name: str
    unit_id: int
    profile: str = ""


def named(text: str) -> Named:
    """`meter=1:eastron/sdm630`; ValueError with what is wrong."""
    name, equals, rest = text.partition("=")
    unit, colon, profile = rest.partition(":")
    if not equals:
        raise ValueError(f"is not NAME=UNIT[:PROFILE] ({DEVICE_HINT})")
    try:
        checks.device_name(name)
    except ValueError as error:
        raise ValueError(f"its name {error}") from None
    units = checks.unit_ids(unit)
    if len(units) != 1:
        raise ValueError("names several unit ids: one --device for each")
    return Named(name, units[0], checks.profile_id(profile) if colon else "")


def doubles(given: Iterable[Named]) -> list[tuple[Named, str]]:
    """Those that use a name or a unit id again, and what is wrong."""
    found = []
    names: set[str] = set()
    units: set[int] = set()
    for one in given:
        if one.name in names:
            found.append((one, f"the name {one.name} is given twice"))
        if one.unit_id in units:
            found.append((one, f"unit id {one.unit_id} is given twice"))
        names.add(one.name)
        units.add(one.unit_id)
    return found


def default_name(profile_id: str, unit_id: int, taken: Container[str]) -> str:
    """`sdm630_1`: the family and the unit id; `sdm630_1_b` and so on where that is taken."""
    family = profile_id.partition("/")[2] or "unit"
    stem = family if family[:1].isalpha() else f"d{family}"
    name = f"{stem[:40]}_{unit_id}"
    for letter in ("", *"bcdefghijklmnopqrstuvwxyz"):
        candidate = f"{name}_{letter}" if letter else name
        if candidate not in taken:
            return candidate
    return f"unit_{unit_id}"
