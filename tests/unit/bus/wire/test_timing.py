"""Times of the serial line are the standard's."""

from __future__ import annotations

import pytest

from edge_agent.bus.wire.timing import ASSUMED_BAUD, bus_timing, rtu_timing, t1_5_ns, t3_5_ns
from edge_agent.model import BusDef, DeviceServerLink, Framing, Parity, SerialLink, TcpLink, TlsLink


@pytest.mark.parametrize(
    ("baud", "t1_5_us", "t3_5_us"),
    [(9600, 1718, 4010), (19200, 859, 2005), (19201, 750, 1750), (38400, 750, 1750), (115200, 750, 1750)],
)
def test_silences_count_eleven_bits_and_are_fixed_above_19200(baud, t1_5_us, t3_5_us):
    assert t1_5_ns(baud) // 1000 == t1_5_us
    assert t3_5_ns(baud) // 1000 == t3_5_us


@pytest.mark.parametrize(
    ("data", "parity", "stop", "bits"),
    [(8, Parity.NONE, 1, 10), (8, Parity.EVEN, 1, 11), (8, Parity.NONE, 2, 11), (7, Parity.ODD, 2, 11)],
)
def test_bytes_on_the_wire_take_the_format_in_use(data, parity, stop, bits):
    timing = rtu_timing(SerialLink(path="x", baud=10_000, data_bits=data, parity=parity, stop_bits=stop))
    assert timing.wire_ns(8) == 8 * bits * 100_000


def test_the_silence_before_a_request_may_be_replaced():
    link = SerialLink(path="x", baud=115200)
    assert rtu_timing(link).interframe_ns == 1_750_000
    assert rtu_timing(link, 300_000).interframe_ns == 300_000


def test_the_tolerated_gap_covers_usb_chunks_and_is_never_below_t3_5():
    assert rtu_timing(SerialLink(path="x", baud=115200)).chunk_gap_ns > 16_000_000
    slow = rtu_timing(SerialLink(path="x", baud=300))
    assert slow.chunk_gap_ns >= slow.interframe_ns


def test_ascii_takes_two_characters_a_byte_and_tolerates_longer_pauses():
    link = SerialLink(path="x", baud=10_000, data_bits=7, parity=Parity.EVEN, framing=Framing.ASCII)
    timing = bus_timing(BusDef(name="b", link=link))
    assert timing.wire_ns(8) == 16 * 10 * 100_000
    assert timing.chunk_gap_ns > rtu_timing(link).chunk_gap_ns
    assert timing.interframe_ns == t3_5_ns(10_000)


@pytest.mark.parametrize(("said", "baud"), [(None, ASSUMED_BAUD), (1200, 1200), (115200, 115200)])
def test_behind_a_device_server_the_line_is_what_is_said_of_it_or_a_slow_one(said, baud):
    timing = bus_timing(BusDef(name="b", link=DeviceServerLink(host="h", baud=said)))
    assert timing.char_ns == -(-11 * 1_000_000_000 // baud)
    assert timing.interframe_ns == t3_5_ns(baud)
    assert timing.held_ns(255) == 255 * timing.char_ns
    assert timing.chunk_gap_ns >= timing.interframe_ns


@pytest.mark.parametrize("link", [TcpLink(host="h"), TlsLink(host="h", ca="/ca")])
def test_modbus_tcp_has_no_times_of_its_own(link):
    timing = bus_timing(BusDef(name="b", link=link))
    assert (timing.char_ns, timing.interframe_ns, timing.held_ns(255)) == (0, 0, 0)


def test_on_a_port_of_this_machine_nothing_is_held_back():
    assert bus_timing(BusDef(name="b", link=SerialLink(path="x"))).held_ns(255) == 0
