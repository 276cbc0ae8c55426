"""Devices by option, and names by default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.commissioning import checks
from edge_agent.commissioning.naming import Named, default_name, doubles, named


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("meter=1:eastron/sdm630", Named("meter", 1, "eastron/sdm630")),
        ("pump=247", Named("pump", 247)),
    ],
)
def test_a_device_is_name_unit_and_profile(text, device):
    assert named(text) == device


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meter", "NAME=UNIT"),
        ("meter:1", "NAME=UNIT"),
        ("Meter=1", "names are a-z"),
        ("=1", "its name"),
        ("meter=", "unit ids"),
        ("meter=0", "1 to 247"),
        ("meter=248", "1 to 247"),
        ("meter=1-2", "one --device for each"),
        ("meter=1:", "empty"),
        ("meter=1:sdm630", "profile id"),
        ("meter=1:../../etc/passwd", "profile id"),
    ],
)
def test_what_is_none_is_refused_with_what_to_write(text, words):
    with pytest.raises(ValueError, match=words):
        named(text)


def test_a_name_and_a_unit_belong_to_one_device():
    given = [Named("a", 1), Named("b", 1), Named("a", 2)]
    assert [what for _, what in doubles(given)] == ["unit id 1 is given twice", "the name a is given twice"]


@given(
    st.from_regex(r"[a-z0-9_]{1,30}/[a-z0-9_]{1,80}", fullmatch=True),
    st.integers(1, 247),
    st.integers(0, 30),
)
def test_a_default_name_is_a_name_and_free(profile, unit, others):
    taken: set[str] = set()
    for _ in range(min(others, 25)):
        taken.add(default_name(profile, unit, taken))
    name = default_name(profile, unit, taken)
    assert name not in taken
    assert checks.device_name(name) == name


def test_units_of_one_make_are_told_apart_by_their_ids():
    assert default_name("eastron/sdm630", 7, ()) == "sdm630_7"
