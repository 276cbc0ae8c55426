"""The devices of `edge-agent init`: a name and a profile for each unit, proposed where it can be. Shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agent.cli import _view
from edge_agent.cli._init_line import Line
from edge_agent.cli._init_task import Given
from edge_agent.clock import Clock
from edge_agent.commissioning import checks, naming
from edge_agent.commissioning.answers import Device, Unknown
from edge_agent.commissioning.asking_line import UnitReader, opened
from edge_agent.commissioning.identify import Proposal, proposed
from edge_agent.commissioning.naming import Named
from edge_agent.commissioning.terminal import WIDTH, Person, missing, told
from edge_agent.errors import InputError
from edge_agent.profiles import Library, Profile

_NONE = "-"
"""The answer for a unit whose profile nobody knows."""


def of(
    given: Given, line: Line, library: Library, person: Person, clock: Clock
) -> tuple[list[Device], list[Unknown]]:
    """Raises InputError where nothing is left that could be read."""
    profiles = _usable(library, person)
    naming_ = _Naming(given.devices, profiles, person)
    units = sorted({*line.units, *naming_.named})
    for unit in units:
        if line.scanned and unit not in line.units:
            told(person, f"warning: unit {unit} ({naming_.named[unit].name}) does not answer now")
    proposals = _proposals([unit for unit in units if naming_.is_open(unit)], line, profiles, person, clock)
    naming_.take_all(proposals)
    for unit in units:
        naming_.ask(unit, proposals.get(unit))
    if not naming_.devices:
        hint = "say --device NAME=UNIT:PROFILE with one of " + ", ".join(naming_.menu.ids)
        raise missing("--device", "no device has a profile, so there is nothing to read", hint)
    devices = sorted(naming_.devices.values(), key=lambda device: device.unit_id)
    left = [unit for unit in units if unit not in naming_.devices]
    return devices, [Unknown(unit_id=unit, heard=line.heard.get(unit, "")) for unit in left]


def _usable(library: Library, person: Person) -> list[Profile]:
    """Those that a configuration can use."""
    usable = []
    for profile_id in library.ids():
        try:
            profile = library.get(profile_id)
        except InputError:
            told(person, f"warning: profile {profile_id} has mistakes and is left out")
            continue
        if not profile.variants:
            usable.append(profile)
    return usable


def check(devices: Sequence[Named], library: Library) -> None:
    """InputError for a profile that is not there: before anything is searched."""
    for one in devices:
        if one.profile and not library.has(one.profile):
            hint = library.nearest(one.profile)
            raise missing("--device", f"{one.name}: there is no profile {one.profile}", hint)


def _proposals(
    units: Sequence[int], line: Line, profiles: Sequence[Profile], person: Person, clock: Clock
) -> dict[int, Proposal]:
    """By unit id; nothing is read where nothing was to be sent."""
    answering = [unit for unit in units if unit in line.units]
    if not line.scanned or not answering:
        return {}
    it = "it is" if len(answering) == 1 else "they are"
    told(person, f"Reading some values of {_listed(answering)} to see what {it} ...")
    found = {}
    with opened(line.link, clock) as open_line:
        for unit in answering:
            if one := proposed(profiles, UnitReader(open_line, unit, clock)):
                found[unit] = one
                told(person, f"unit {unit}: {one.profile}; {one.why}")
    return found


def _listed(units: Sequence[int]) -> str:
    return f"unit {units[0]}" if len(units) == 1 else f"{len(units)} units"


class _Menu:
    """The profiles of the library, shown once."""

    def __init__(self, profiles: Sequence[Profile], person: Person) -> None:
        self._profiles = profiles
        self._person = person
        self._shown = False
        self.ids = [profile.id for profile in profiles]

    def show(self) -> None:
        if self._shown:
            return
        self._shown = True
        rows = [(f"{number:5}", one.id, one.title) for number, one in enumerate(self._profiles, 1)]
        for line in _view.table([*rows, (f"{_NONE:>5}", "none", "leave it out for now")]):
            self._person.say(line[:WIDTH])

    def chosen(self, text: str) -> str:
        if text == _NONE:
            return ""
        try:
            return checks.one_of(text, self.ids)
        except ValueError:
            message = f"is no profile of this list: 1 to {len(self.ids)}, an id, or {_NONE}"
            raise ValueError(message) from None


class _Naming:
    """Units become devices, one by one or all that are proposed at once."""

    def __init__(self, named: Sequence[Named], profiles: Sequence[Profile], person: Person) -> None:
        self.named = {one.unit_id: one for one in named}
        self.menu = _Menu(profiles, person)
        self.devices: dict[int, Device] = {}
        self._person = person

    def is_open(self, unit: int) -> bool:
        """Nobody has said what it is."""
        return unit not in self.named or not self.named[unit].profile

    def take_all(self, proposals: Mapping[int, Proposal]) -> None:
        """What is proposed, unless a person wants to be asked for each."""
        for unit, proposal in proposals.items():
            self._add(unit, proposal.profile, self._default(unit, proposal.profile), proposal)
        if not self.devices or not self._person.is_there:
            return
        rows = [(f"  {one.unit_id:4}", one.name, one.profile) for one in self.devices.values()]
        for line in _view.table([("  UNIT", "NAME", "PROFILE"), *rows]):
            self._person.say(line)
        if not self._person.agree("Take these (n asks for each)?", default=True):
            self.devices.clear()

    def ask(self, unit: int, proposal: Proposal | None) -> None:
        if unit in self.devices:
            return
        profile = "" if self.is_open(unit) else self.named[unit].profile
        if not profile:
            profile = self._profile(unit, proposal)
        if not profile:
            who = f"unit {unit}" + (f", {self.named[unit].name}," if unit in self.named else "")
            told(self._person, f"{who} has no profile: it is in the file as a comment only")
            return
        self._add(unit, profile, self._name(unit, profile), proposal if self.is_open(unit) else None)

    def _profile(self, unit: int, proposal: Proposal | None) -> str:
        known = proposal.profile if proposal else ""
        if not self._person.is_there:
            return known
        self.menu.show()
        question = f"Profile of unit {unit} (number or id)"
        return self._person.ask(question, self.menu.chosen, default=known or _NONE, option="--device")

    def _name(self, unit: int, profile: str) -> str:
        if unit in self.named:
            return self.named[unit].name
        default = self._default(unit, profile)
        return self._person.ask(f"Name of unit {unit}", self._free, default=default, option="--device")

    def _default(self, unit: int, profile: str) -> str:
        if unit in self.named:
            return self.named[unit].name
        return naming.default_name(profile, unit, self._taken())

    def _free(self, text: str) -> str:
        name = str(checks.device_name(text))
        if name in self._taken():
            raise ValueError("is the name of another device")
        return name

    def _taken(self) -> set[str]:
        return {one.name for one in self.named.values()} | {one.name for one in self.devices.values()}

    def _add(self, unit: int, profile: str, name: str, proposal: Proposal | None) -> None:
        """The reason stands in the file where it is not a person's word."""
        by_itself = proposal is not None and proposal.profile == profile
        note = f"Taken for it because {proposal.why}." if proposal is not None and by_itself else ""
        self.devices[unit] = Device(name=name, unit_id=unit, profile=profile, note=note)
