"""What is no dictionary is refused, however close to one it is."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.errors import RecordError
from edge_agent.records import dictionary
from edge_agent.records.pack import pack, unpack
from tests.unit.records.sites import press

GOOD = unpack(dictionary.of_site(press()).encoded())
POINT, ALARM = GOOD["points"][0], GOOD["alarms"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": 1.0},
        {"window_ns": True},
        {"window_ns": 2**63},
        {"window_ns": None},
        {"site": None},
        {"points": {}},
        {"points": [POINT[:6]]},
        {"points": [[*POINT[:4], 1, *POINT[5:]]]},
        {"points": [[*POINT[:7], "title", ["0", "off"]]]},
        {"points": [[*POINT[:7], "title", [0]]]},
        {"alarms": None},
        {"alarms": [ALARM[:6]]},
        {"alarms": [[*ALARM[:4], None, *ALARM[5:]]]},
    ],
)
def test_what_is_no_dictionary_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        dictionary.decode(pack(GOOD | change))


def test_a_receiver_ignores_what_a_later_version_adds_to_a_dictionary() -> None:
    later = GOOD | {"more": [1], "points": [[*POINT[:7], "t", [], [], "more"]], "alarms": [[*ALARM, 7]]}
    found = dictionary.decode(pack(later))
    assert (found.points[0].title, len(found.points), len(found.alarms)) == ("t", 1, 1)
