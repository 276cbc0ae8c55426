"""Which profile a unit is read by."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from edge_agent.commissioning.identify import LEAST_SIGNS, Proposal, Question, proposed
from edge_agent.config.tree import PointSpec
from edge_agent.model import Area, Order, PointType
from edge_agent.profiles import Profile, default_library

LIBRARY = default_library()
PROFILES = [LIBRARY.get(profile_id) for profile_id in LIBRARY.ids()]
Registers = dict[tuple[Area, int], int]


class Unit:
    """Registers that exist; a read of any other is refused."""

    def __init__(self, registers: Registers) -> None:
        self.registers = registers
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> bytes | None:
        self.asked.append(question)
        wanted = [(question.area, question.address + word) for word in range(question.count)]
        if not all(cell in self.registers for cell in wanted):
            return None
        return b"".join(self.registers[cell].to_bytes(2, "big") for cell in wanted)


def registers_of(profile: Profile, value: float | None = None) -> Registers:
    """Every point in the middle of its limits, or at `value`."""
    registers: Registers = {}
    for point in profile.points:
        assert point.area is not None and point.address is not None
        for word, content in enumerate(_words(point, value)):
            registers[point.area, point.address + word] = content
    return registers


def _words(point: PointSpec, value: float | None) -> tuple[int, ...]:
    assert point.type is not None
    low, high = point.plausible or (0.0, 2.0)
    wanted = ((low + high) / 2 or high / 2) if value is None else value
    if point.type is PointType.F32:
        return struct.unpack(">2H", struct.pack(">f", wanted))
    raw = round(wanted / (point.scale or 1.0)) & (1 << 16 * point.type.words) - 1
    return tuple(
        raw >> 16 * word & 0xFFFF for word in reversed(range(point.type.words or (point.length or 1)))
    )


def profile(profile_id: str) -> Profile:
    return LIBRARY.get(profile_id)


@pytest.mark.parametrize("profile_id", ["eastron/sdm120", "eastron/sdm630"])
def test_a_device_with_all_values_of_one_profile_is_proposed_by_them(profile_id):
    found = proposed(PROFILES, Unit(registers_of(profile(profile_id))))
    assert found is not None
    assert (found.profile, found.certain) == (profile_id, False)


def test_a_device_that_has_the_values_of_both_is_the_one_that_explains_more():
    both = registers_of(profile("eastron/sdm120")) | registers_of(profile("eastron/sdm630"))
    found = proposed(PROFILES, Unit(both))
    assert found is not None and found.profile == "eastron/sdm630"


def test_two_profiles_that_explain_as_much_leave_it_to_a_person():
    """A single-phase meter whose maker answers zero for the phases it does not have."""
    registers = dict.fromkeys(registers_of(profile("eastron/sdm630")), 0)
    shared = {"v", "i", "p", "s", "q", "pf", "freq", "e_imp", "e_exp", "e_total"}
    small = profile("eastron/sdm120")
    for point in small.points:
        assert point.area is not None and point.address is not None
        words = _words(point, None) if point.name in shared else (0, 0)
        registers |= {(point.area, point.address + word): content for word, content in enumerate(words)}
    # Freq of the three-phase map stands at the same address, and so do all that are not zero.
    assert proposed([small, profile("eastron/sdm630")], Unit(registers)) is None


def test_zeros_speak_for_nobody():
    assert proposed(PROFILES, Unit(registers_of(profile("eastron/sdm630"), 0.0))) is None


def test_one_value_beyond_its_limits_speaks_against_the_profile():
    registers = registers_of(profile("eastron/sdm630"))
    registers[Area.INPUT, 70], registers[Area.INPUT, 71] = struct.unpack(">2H", struct.pack(">f", 400.0))
    assert proposed([profile("eastron/sdm630")], Unit(registers)) is None


@pytest.mark.parametrize("raw", [b"\x7f\xc0\x00\x00", b"\xff\x80\x00\x00", b"\x00\x03\x00\x07"])
def test_nan_infinity_and_small_integers_are_no_quantities(raw):
    registers = registers_of(profile("eastron/sdm630"))
    registers[Area.INPUT, 0], registers[Area.INPUT, 1] = struct.unpack(">2H", raw)
    assert proposed([profile("eastron/sdm630")], Unit(registers)) is None


def test_counters_at_the_places_of_a_map_are_not_taken_for_it():
    """Every register there is, each a small number, as in a controller: nothing a meter says."""
    for modulus in (7, 50, 100):
        unit = Unit({(area, address): address % modulus for area in Area for address in range(400)})
        assert proposed(PROFILES, unit) is None


def _without_a_name(profile_id: str) -> Profile:
    return replace(profile(profile_id), identify=())


def test_integers_whose_limits_hold_zero_speak_for_nothing():
    nameless = _without_a_name("saia/ale3")
    assert proposed([nameless], Unit(registers_of(nameless))) is None


def test_what_must_name_itself_is_not_proposed_by_values():
    step = {"key": "model", "area": Area.INPUT, "address": 900, "match": ["SDM"], "required": True}
    step |= {"type": PointType.U16, "length": None, "order": None}
    naming = replace(profile("eastron/sdm630"), identify=(step,))
    registers = registers_of(naming)
    assert proposed([_without_a_name("eastron/sdm630")], Unit(registers)) is not None
    assert proposed([naming], Unit(registers)) is None


def test_a_device_that_names_its_model_is_certain_and_asked_nothing_else():
    model = b"ALE3D5FD10C2A00\0"
    registers = {
        (Area.HOLDING, 6 + word): int.from_bytes(model[2 * word : 2 * word + 2], "big") for word in range(8)
    }
    unit = Unit(registers)
    found = proposed([profile("saia/ale3")], unit)
    assert found == Proposal("saia/ale3", True, "it says of itself: model ALE3D5FD10C2A00")
    assert unit.asked == [Question(Area.HOLDING, 6, 8)]


def test_a_model_that_only_begins_like_it_is_another():
    model = b"ALE3D5FD10C2A0\x1b\x00"
    registers = {
        (Area.HOLDING, 6 + word): int.from_bytes(model[2 * word : 2 * word + 2], "big") for word in range(8)
    }
    assert proposed([profile("saia/ale3")], Unit(registers)) is None


def test_silence_is_no_profile():
    assert proposed(PROFILES, Unit({})) is None


def test_few_signs_are_not_enough():
    registers = registers_of(profile("eastron/sdm630"), 0.0)
    freq = struct.unpack(">2H", struct.pack(">f", 50.0))
    registers[Area.INPUT, 70], registers[Area.INPUT, 71] = freq
    assert LEAST_SIGNS > 1
    assert proposed([profile("eastron/sdm630")], Unit(registers)) is None


def test_no_value_is_known_in_the_order_of_the_device():
    """As the decoder has it: the raw value is compared when its words are in order."""
    meter = profile("eastron/sdm630")
    nan = 0x7FC00000
    points = tuple(replace(point, order=Order.CDAB, invalid=(nan,)) for point in meter.points)
    swapped = replace(meter, points=points)
    registers = registers_of(meter)
    registers[Area.INPUT, 0], registers[Area.INPUT, 1] = nan >> 16, nan & 0xFFFF
    for point in points:
        assert point.area is not None and point.address is not None
        first, second = (point.area, point.address), (point.area, point.address + 1)
        registers[first], registers[second] = registers[second], registers[first]
    assert proposed([swapped], Unit(registers)) is not None
