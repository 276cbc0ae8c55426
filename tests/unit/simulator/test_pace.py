"""The pace of a line in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model import MonoNs
from edge_agent.simulator.pace import FIFO_BYTES, USB_BYTES, USB_TICK_NS, Chunks, Lateness, chunks
from edge_agent.simulator.wire import Timing

timings = st.sampled_from(
    [Timing(baud=b, bits_per_char=n) for b in (0, 1200, 9600, 115200) for n in (10, 11)]
)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 10**10), timings, st.sampled_from(Chunks))
def test_every_byte_arrives_once_in_order_and_not_before_it_was_sent(data, start, timing, mode):
    planned = list(chunks(data, MonoNs(start), timing, mode))
    assert b"".join(chunk.data for chunk in planned) == data
    sent = 0
    for chunk in planned:
        assert chunk.data
        sent += len(chunk.data)
        assert chunk.due >= start + sent * timing.char_ns
    assert [chunk.due for chunk in planned] == sorted(chunk.due for chunk in planned)


def test_single_bytes_come_one_character_apart():
    timing = Timing(baud=9600, bits_per_char=10)
    due = [chunk.due for chunk in chunks(b"abc", MonoNs(0), timing, Chunks.SINGLE)]
    assert due == [timing.char_ns, 2 * timing.char_ns, 3 * timing.char_ns]


def test_fifo_hands_over_sixteen_and_the_rest_at_its_end():
    timing = Timing(baud=9600)
    planned = list(chunks(bytes(40), MonoNs(0), timing, Chunks.FIFO))
    assert [len(chunk.data) for chunk in planned] == [FIFO_BYTES, FIFO_BYTES, 8]
    assert planned[-1].due == 40 * timing.char_ns


def test_usb_hands_over_at_its_own_ticks():
    planned = list(chunks(bytes(45), MonoNs(3_000_000), Timing(baud=19200), Chunks.USB))
    assert [chunk.due % USB_TICK_NS for chunk in planned] == [0] * len(planned)
    assert len(planned) == 2


def test_usb_sends_a_full_packet_before_the_tick():
    planned = list(chunks(bytes(200), MonoNs(1), Timing(baud=115200), Chunks.USB))
    assert len(planned[0].data) == USB_BYTES
    assert planned[0].due < USB_TICK_NS


@pytest.mark.parametrize(
    ("baud", "bits", "char_ns", "t35_ns"),
    [
        (9600, 10, 1_041_666, 4_010_416),
        (19200, 11, 572_916, 2_005_208),
        (115200, 10, 86_805, 1_750_000),
        (0, 10, 0, 0),
    ],
)
def test_character_has_the_bits_of_the_format_and_t35_those_of_the_standard(baud, bits, char_ns, t35_ns):
    timing = Timing(baud=baud, bits_per_char=bits)
    assert (timing.char_ns, timing.t35_ns) == (char_ns, t35_ns)


def test_lateness_knows_its_quantiles_and_what_was_overtaken():
    lateness = Lateness()
    for late_us in range(1, 101):
        lateness.add(late_us * 1000, slack_ns=97_500)
    report = lateness.report()
    assert report.writes == 100
    assert report.p50_us == pytest.approx(50, abs=5)
    assert report.p99_us == pytest.approx(99, abs=6)
    assert report.max_us == 100
    assert report.overtaken == 3
    assert not report.keeps_pace
    assert "cannot keep this pace" in str(report)


def test_writing_early_is_not_late_and_an_idle_line_keeps_its_pace():
    lateness = Lateness()
    assert lateness.report().keeps_pace
    lateness.add(-5, 10)
    assert lateness.report().max_us == 0
