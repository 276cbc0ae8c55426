"""The pace: the first at which the line carries everything."""

from __future__ import annotations

import pytest

from edge_agent.commissioning.answers import Device
from edge_agent.commissioning.proof import PACES, paced
from edge_agent.errors import InputError
from edge_agent.model import SerialLink
from edge_agent.profiles import default_library
from tests.unit.commissioning.factory import answers

LIBRARY = default_library()


def meters(count: int, baud: int):
    devices = tuple(Device(name=f"m{n}", unit_id=n, profile="eastron/sdm630") for n in range(1, count + 1))
    return answers(devices=devices, link=SerialLink(path="/dev/ttyUSB0", baud=baud))


def test_where_the_line_carries_the_defaults_they_stay():
    told, _ = paced(meters(3, 19200), LIBRARY)
    assert told.pace == 1


def test_a_slow_line_with_many_devices_is_read_more_slowly_and_not_more_than_needed():
    told, (forecast,) = paced(meters(20, 9600), LIBRARY)
    assert told.pace > 1
    assert not forecast.is_overloaded
    quicker = PACES[PACES.index(told.pace) - 1]
    assert forecast.load * told.pace / quicker > 0.5 * forecast.bus.max_load


def test_where_even_the_slowest_is_too_much_it_is_said():
    told, (forecast,) = paced(meters(247, 300), LIBRARY)
    assert told.pace == PACES[-1]
    assert forecast.is_overloaded


def test_a_profile_that_is_not_there_is_a_problem_with_its_place():
    wrong = answers(devices=(Device(name="meter", unit_id=1, profile="nobody/nothing"),))
    with pytest.raises(InputError, match="not a known profile"):
        paced(wrong, LIBRARY)
