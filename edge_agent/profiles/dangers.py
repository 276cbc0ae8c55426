"""Which devices of the library must not be read blindly. Reads profiles, decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.errors import InputError
from edge_agent.profiles.library import Library
from edge_agent.profiles.tree import Profile


@dataclass(frozen=True, slots=True)
class Dangers:
    kinds: tuple[str, ...]
    """Titles, with the id of the profile, of devices that may restart on an illegal read."""
    unreadable: tuple[str, ...]
    """Ids of profiles with mistakes, which might say so too."""


def dangers(library: Library) -> Dangers:
    """`on_illegal_address = "stop"`, in the profile or in any of its variants."""
    kinds, unreadable = [], []
    for profile_id in library.ids():
        try:
            profile = library.get(profile_id)
        except InputError:
            unreadable.append(profile_id)
            continue
        if _stops(profile):
            kinds.append(f"{profile.title} ({profile.id})")
    return Dangers(tuple(kinds), tuple(unreadable))


def _stops(profile: Profile) -> bool:
    quirks = [profile.quirks, *(variant["quirks"] for variant in profile.variants)]
    return any(one is not None and one.on_illegal_address == "stop" for one in quirks)
