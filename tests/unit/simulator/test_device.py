"""The map of a device: what may be read, what is refused, and what counts."""

from __future__ import annotations

import struct

import pytest

from edge_agent.errors import InputError
from edge_agent.model import Area, PointType, Quirks
from edge_agent.simulator.device import Memory
from edge_agent.simulator.signals import Counter
from edge_agent.simulator.wire import ReadPdu
from tests.unit.simulator.factory import device, point, press


def read(memory: Memory, address: int, count: int, area: Area = Area.HOLDING) -> tuple[int, ...] | int:
    answer = memory.read(ReadPdu(area=area, address=address, count=count), 0.0)
    if isinstance(answer, int):
        return answer
    return tuple(answer) if area.is_bits else struct.unpack(f">{count}H", answer)


def test_each_read_of_a_counter_gives_another_value():
    memory = Memory(press())
    assert [read(memory, 102, 2) for _ in range(3)] == [(0, 0), (0, 1), (0, 2)]
    read(memory, 100, 1)
    assert read(memory, 102, 2) == (0, 3)


def test_counter_wraps_at_the_end_of_its_type():
    memory = Memory(device((point(), Counter(start=65534))))
    assert [read(memory, 100, 1) for _ in range(4)] == [(65534,), (65535,), (0,), (1,)]


@pytest.mark.parametrize(("address", "count"), [(99, 1), (103, 2), (99, 3), (0, 1), (65535, 1)])
def test_address_outside_the_map_is_exception_2(address: int, count: int):
    assert read(Memory(press()), address, count) == 2


def test_areas_are_apart():
    assert read(Memory(press()), 100, 1, Area.INPUT) == 2


def test_bits_are_packed_first_bit_lowest():
    assert read(Memory(press()), 3, 10, Area.COIL) == (0b0000_0001, 0b10)


def test_half_of_a_value_may_be_read():
    memory = Memory(device((point(type=PointType.U32), 0x00010002)))
    assert read(memory, 101, 1) == (2,)


def test_holes_up_to_the_gap_of_the_quirks_read_as_zero_and_wider_ones_are_refused():
    far = device((point(), 1.0), (point("b", address=105), 2.0), (point("c", address=111), 3.0))
    memory = Memory(far)
    assert read(memory, 100, 6) == (1, 0, 0, 0, 0, 2)
    assert read(memory, 105, 7) == 2


def test_slices_of_bits_share_a_register():
    memory = Memory(device((point("low", bits=(0, 4)), 5.0), (point("high", bits=(12, 4)), 9.0)))
    assert read(memory, 100, 1) == (0x9005,)


def test_other_points_may_not_share_one():
    with pytest.raises(InputError, match="share a register"):
        Memory(device((point("a", type=PointType.U32), 1.0), (point("b", address=101), 1.0)))


@pytest.mark.parametrize(
    ("quirks", "address", "count", "answer"),
    [
        (Quirks(max_read_words=2), 100, 3, 2),
        (Quirks(max_read_words=2), 100, 2, (1234, 0)),
        (Quirks(forbidden=((Area.HOLDING, 101, 101),)), 100, 2, 2),
        (Quirks(forbidden=((Area.HOLDING, 101, 101),)), 100, 1, (1234,)),
        (Quirks(barriers=((Area.HOLDING, 101),)), 100, 2, 2),
        (Quirks(barriers=((Area.HOLDING, 101),)), 101, 1, (0,)),
        (Quirks(read_whole=((Area.HOLDING, 100, 2),)), 100, 2, (1234, 0)),
        (Quirks(read_whole=((Area.HOLDING, 100, 2),)), 100, 1, 2),
        (Quirks(read_whole=((Area.HOLDING, 98, 3),)), 98, 3, (0, 0, 1234)),
        (Quirks(read_alone=((Area.HOLDING, 100),)), 100, 2, 2),
        (Quirks(one_point_per_request=True), 101, 2, 2),
        (Quirks(one_point_per_request=True), 101, 1, (0,)),
    ],
)
def test_requests_against_the_quirks_are_refused(quirks: Quirks, address: int, count: int, answer: object):
    assert read(Memory(press(quirks=quirks)), address, count) == answer
