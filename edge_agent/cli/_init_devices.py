"""The devices of `edge-agent init`: a name and a profile for each unit, proposed where it can be. Shell."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.cli._init_line import Line
from edge_agent.cli._init_task import Given
from edge_agent.clock import Clock
from edge_agent.commissioning import checks, naming
from edge_agent.commissioning.answers import Device, Unknown
from edge_agent.commissioning.asking_line import UnitReader, opened
from edge_agent.commissioning.identify import Proposal, proposed
from edge_agent.commissioning.naming import Named
from edge_agent.commissioning.terminal import Person, missing
from edge_agent.errors import InputError
from edge_agent.profiles import Library, Profile

_NONE = "-"
"""The answer for a unit whose profile nobody knows."""


class Menu:
    """The profiles of the library, shown once."""

    def __init__(self, profiles: Sequence[Profile], person: Person) -> None:
        self._profiles = profiles
        self._person = person
        self._shown = False

    @property
    def ids(self) -> list[str]:
        return [profile.id for profile in self._profiles]

    def show(self) -> None:
        if self._shown:
            return
        self._shown = True
        widest = max(map(len, self.ids), default=0)
        for number, profile in enumerate(self._profiles, 1):
            self._person.say(f"  {number:3}  {profile.id:{widest}}  {profile.title}"[:79])
        self._person.say(f"  {_NONE:>3}  leave it out for now")

    def chosen(self, text: str) -> str:
        if text == _NONE:
            return ""
        try:
            return checks.one_of(text, self.ids)
        except ValueError:
            message = f"is no profile of this list: 1 to {len(self.ids)}, an id, or {_NONE}"
            raise ValueError(message) from None


def of(
    given: Given, line: Line, library: Library, person: Person, clock: Clock
) -> tuple[list[Device], list[Unknown]]:
    """Raises InputError where nothing is left that could be read."""
    menu = Menu(_profiles(library, person), person)
    named = {one.unit_id: one for one in given.devices}
    _check_profiles(given.devices, library)
    units = sorted({*line.units, *named})
    proposals = _proposals([unit for unit in units if _is_open(unit, named)], line, library, person, clock)
    devices: list[Device] = []
    unknown: list[Unknown] = []
    for unit in units:
        if line.scanned and unit not in line.units:
            person.say(f"warning: unit {unit} ({named[unit].name}) does not answer now")
        taken = {*(one.name for one in given.devices), *(device.name for device in devices)}
        device = _device(unit, named.get(unit), proposals.get(unit), menu, taken, person)
        if device is not None:
            devices.append(device)
        else:
            unknown.append(Unknown(unit_id=unit, heard=line.heard.get(unit, "")))
    if not devices:
        hint = "say --device NAME=UNIT:PROFILE with one of " + ", ".join(menu.ids)
        raise missing("--device", "no device has a profile, so there is nothing to read", hint)
    return devices, unknown


def _is_open(unit: int, named: dict[int, Named]) -> bool:
    return unit not in named or not named[unit].profile


def _profiles(library: Library, person: Person) -> list[Profile]:
    """Those that a configuration can use."""
    usable = []
    for profile_id in library.ids():
        try:
            profile = library.get(profile_id)
        except InputError:
            person.say(f"warning: profile {profile_id} has mistakes and is left out")
            continue
        if not profile.variants:
            usable.append(profile)
    return usable


def _check_profiles(devices: Sequence[Named], library: Library) -> None:
    for one in devices:
        if one.profile and not library.has(one.profile):
            hint = library.nearest(one.profile)
            raise missing("--device", f"{one.name}: there is no profile {one.profile}", hint)


def _proposals(
    units: Sequence[int], line: Line, library: Library, person: Person, clock: Clock
) -> dict[int, Proposal]:
    """By unit id; nothing is read where nothing was to be sent."""
    if not line.scanned or not units:
        return {}
    person.say(f"Looking what {'they are' if len(units) > 1 else 'it is'} ...")
    profiles = _profiles(library, person)
    found = {}
    with opened(line.link, clock) as open_line:
        for unit in units:
            if unit in line.units and (one := proposed(profiles, UnitReader(open_line, unit, clock))):
                found[unit] = one
                person.say(f"  unit {unit}: {one.profile}; {one.why}"[:79])
    return found


def _device(
    unit: int,
    named: Named | None,
    proposal: Proposal | None,
    menu: Menu,
    taken: set[str],
    person: Person,
) -> Device | None:
    """None: nobody knows a profile for it."""
    profile, note = (named.profile, "") if named else ("", "")
    if not profile:
        profile, note = _profile(unit, proposal, menu, person)
    if not profile:
        where = f"{named.name}: " if named else ""
        person.say(f"  {where}unit {unit} has no profile: it is in the file as a comment only")
        return None
    if named:
        return Device(name=named.name, unit_id=unit, profile=profile, note=note)
    name = person.ask(
        f"Name of unit {unit}",
        lambda text: _free(text, taken),
        default=naming.default_name(profile, unit, taken),
        option="--device",
    )
    return Device(name=name, unit_id=unit, profile=profile, note=note)


def _profile(unit: int, proposal: Proposal | None, menu: Menu, person: Person) -> tuple[str, str]:
    """(profile, why); the reason only where it is not a person's word."""
    known = proposal.profile if proposal else ""
    if person.is_there:
        menu.show()
        chosen = person.ask(
            f"Profile of unit {unit} (number or id)", menu.chosen, default=known or _NONE, option="--device"
        )
    else:
        chosen = known
    note = f"Taken for it because {proposal.why}." if proposal and chosen == known and chosen else ""
    return chosen, note


def _free(text: str, taken: set[str]) -> str:
    name = str(checks.device_name(text))
    if name in taken:
        raise ValueError("is the name of another device")
    return name
