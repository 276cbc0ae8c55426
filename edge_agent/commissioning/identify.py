"""Which profile a unit that answers is read by: what it says of itself, else what its values look like. Pure.

Two kinds of sign, told apart because they are not worth the same:

* a step of a profile's `identify` with `match`: the device names its model. That is proof.
* every value of the profile that has plausible limits is there and within them. One or two registers look
  like a voltage by chance (two words of a counter do), a whole map does not; but devices of one make share
  maps, so the profile that explains the most values is taken, and none where two explain as many. A small
  integer speaks for nothing: a controller has hundreds of them, and nearly all are within such limits.

A profile whose device must name itself (`required`) is never proposed by values.

`Question`s are asked one at a time through `ask`, each a read of one value, so that no device is asked for a
range it may not like, and each at most once for all profiles together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.commissioning.toml_text import harmless
from edge_agent.config.tree import PointSpec
from edge_agent.model import Area, Order, PointType
from edge_agent.process.typed import Value, in_order, value_of
from edge_agent.profiles.rules import width
from edge_agent.profiles.tree import Profile

LEAST_SIGNS = 4
"""Telling values within their limits, for a profile to be proposed by values alone."""
_POLLED = ("fast", "normal", "slow")


@dataclass(frozen=True, slots=True)
class Question:
    area: Area
    address: int
    count: int


Ask = Callable[[Question], bytes | None]
"""The data of a good reply; None for an exception or silence."""


@dataclass(frozen=True, slots=True)
class Proposal:
    profile: str
    certain: bool
    """The device says what it is."""
    why: str
    """For people; may hold what the device said, made harmless."""


def proposed(profiles: Iterable[Profile], ask: Ask) -> Proposal | None:
    """The profile to read this unit by, or None when nothing, or more than one thing, speaks for one."""
    usable = [profile for profile in profiles if _is_usable(profile)]
    # Those that take a read of a foreign address badly first: one that names itself is asked nothing else.
    for profile in sorted(usable, key=lambda profile: profile.quirks.on_illegal_address != "stop"):
        if (said := _said(profile, ask)) is not None:
            return Proposal(profile.id, True, f"it says of itself: {harmless(said, 60)}")
    silent = [profile for profile in usable if not _must_name_itself(profile)]
    signs = sorted(((_signs(profile, ask), profile.id) for profile in silent), reverse=True)
    if not signs or signs[0][0] < LEAST_SIGNS or (len(signs) > 1 and signs[1][0] == signs[0][0]):
        return None
    count, profile_id = signs[0]
    return Proposal(profile_id, False, f"{count} of its values are there and plausible")


def _is_usable(profile: Profile) -> bool:
    """One with variants cannot be used yet, and one that swaps functions is asked in another way."""
    return not profile.variants and not profile.quirks.fc_swap


# --- by its own word ------------------------------------------------------------------------------


def _said(profile: Profile, ask: Ask) -> str | None:
    """What the device said, where every step of the profile that has a `match` is met."""
    steps = [step for step in profile.identify if step["match"] and step["area"] is not None]
    said = []
    for step in steps:
        value = _answer(step, profile, ask)
        if value is None or str(value) not in [str(wanted) for wanted in step["match"]]:
            return None
        said.append(f"{step['key']} {value}")
    return ", ".join(said) or None


def _must_name_itself(profile: Profile) -> bool:
    return any(step["match"] and step["required"] for step in profile.identify)


def _answer(step: Mapping[str, Any], profile: Profile, ask: Ask) -> Value:
    kind = step["type"] or PointType.U16
    words = step["length"] or kind.words or 1
    data = ask(Question(step["area"], step["address"], words))
    if data is None or step["area"].is_bits:
        return None
    value = value_of(data, kind, step["order"] or profile.quirks.order or Order.ABCD)
    return value.strip() if isinstance(value, str) else value


# --- by its values --------------------------------------------------------------------------------


def _signs(profile: Profile, ask: Ask) -> int:
    """Values that speak for the profile; 0 when one speaks against it."""
    count = 0
    for point in profile.points:
        if not _is_telling(point):
            continue
        verdict = _verdict(point, profile, ask)
        if verdict is None:
            return 0
        count += verdict
    return count


def _is_telling(point: PointSpec) -> bool:
    return (
        point.plausible is not None
        and point.poll in _POLLED
        and point.bits is None
        and point.area is not None
        and not point.area.is_bits
        and point.type is not PointType.STRING
    )


def _verdict(point: PointSpec, profile: Profile, ask: Ask) -> bool | None:
    """True: it is what the profile expects. False: it may be (zero, "no value", an integer that could be
    anything). None: it is not."""
    assert point.area is not None and point.address is not None and point.type is not None
    assert point.plausible is not None
    data = ask(Question(point.area, point.address, width(point)))
    if data is None:
        return None
    order = point.order or profile.quirks.order or Order.ABCD
    if int.from_bytes(in_order(data, order), "big") in _invalid(point, profile):
        return False
    raw = value_of(data, point.type, order)
    if not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    value = raw * (point.scale or 1.0) + (point.offset or 0.0)
    low, high = point.plausible
    if not low <= value <= high or 0 < abs(value) < _TINY:
        return None
    return raw != 0 and (isinstance(raw, float) or not low <= 0 <= high)


_TINY = 1e-9
"""Two registers of small integers read as one f32 give such numbers, and no quantity of a plant does."""


def _invalid(point: PointSpec, profile: Profile) -> set[int]:
    by_type = (profile.quirks.invalid or {}).get(point.type, ()) if point.type is not None else ()
    mask = (1 << 16 * width(point)) - 1
    return {raw & mask for raw in (point.invalid or by_type)}
