"""What a point that sends samples or changes sends, and in which form."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    PortDown,
)
from edge_agent.counters import Counters
from edge_agent.kernels import load
from edge_agent.model import (
    GOOD,
    NS,
    Area,
    Deadband,
    Median,
    Order,
    PointType,
    Send,
    Site,
)
from edge_agent.process.results import Sample, Summary, Value
from edge_agent.process.stage import Stage
from tests.unit.process.sites import (
    SILENT,
    Payload,
    block,
    f64,
    point,
    request,
    site,
    times,
    u16,
)

KERNELS = load("python")
SAMPLES: dict[str, Any] = {"send": Send.SAMPLES}
CHANGES: dict[str, Any] = {"send": Send.CHANGES}


def stage_of(definition: Site, counters: Counters | None = None) -> Stage:
    return Stage.build(definition, 1, KERNELS, *times(0), counters=counters)


def values_sent(stage: Stage, definition: Site, payloads: list[Payload]) -> list[tuple[Value, str]]:
    read = request(definition, *range(len(definition.points)))
    blocks = [block(read, data, 0.1 * t) for t, data in enumerate(payloads)]
    return [(r.value, r.quality.label) for r in stage.feed(blocks) if isinstance(r, Sample)]


def test_every_poll_of_a_sampling_point_is_sent_bad_ones_without_value():
    definition = site([point(**SAMPLES, plausible=(0, 9))])
    outcomes: list[Payload] = [
        f64(1.5),
        SILENT,
        f64(math.nan),
        f64(10.0),
        DeviceException(2, 0),
        PortDown("lost"),
        f64(1.5),
    ]
    assert values_sent(stage_of(definition), definition, outcomes) == [
        (1.5, "good"),
        (None, "no_reply"),
        (None, "invalid"),
        (10.0, "implausible"),
        (None, "exception_2"),
        (None, "port_down"),
        (1.5, "good"),
    ]


def test_a_sample_has_the_times_of_the_replys_last_byte():
    definition = site([point(**SAMPLES)])
    event = block(request(definition, 0), f64(1.0), 1.25)
    (sample,) = stage_of(definition).feed([event])
    assert sample == Sample(0, event.mono_ns, event.wall_ns, 1.0, GOOD)


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (PointType.U64, b"\xff" * 8, 2**64 - 1),
        (PointType.U64, b"\x00\x20" + b"\0" * 5 + b"\x01", 2**53 + 1),
        (PointType.S64, b"\xff" * 8, -1),
        (PointType.S16, b"\x80\x00", -32768),
        (PointType.BCD32, b"\x12\x34\x56\x78", 12345678),
        (PointType.BOOL, b"\0\x05", 1),
        (PointType.F32, struct.pack(">f", 0.1), struct.unpack(">f", struct.pack(">f", 0.1))[0]),
    ],
)
def test_without_filter_a_sample_is_the_registers_own_number_before_scale(
    kind: PointType, payload: bytes, expected: Value
):
    definition = site([point(type=kind, scale=0.1, offset=5.0, **SAMPLES)])
    ((value, quality),) = values_sent(stage_of(definition), definition, [payload])
    assert (value, quality) == (expected, "good")
    assert type(value) is type(expected)


def test_with_a_filter_a_sample_is_the_filtered_value_in_the_unit():
    definition = site([point(type=PointType.U16, scale=0.5, filters=(Median(samples=3),), **SAMPLES)])
    sent = values_sent(stage_of(definition), definition, [u16(10), u16(10), u16(99), SILENT, u16(12)])
    assert sent == [(5.0, "good"), (5.0, "good"), (5.0, "good"), (None, "no_reply"), (6.0, "good")]


def test_an_implausible_value_before_any_good_one_has_no_filtered_value():
    definition = site([point(plausible=(0, 1), filters=(Median(samples=3),), **SAMPLES)])
    sent = values_sent(stage_of(definition), definition, [f64(5.0), f64(0.5), f64(5.0)])
    assert sent == [(None, "implausible"), (0.5, "good"), (0.5, "implausible")]


def test_changes_are_sent_when_value_or_quality_differ_from_what_was_sent_last():
    definition = site([point(type=PointType.U16, **CHANGES)])
    payloads: list[Payload] = [
        u16(1),
        u16(1),
        SILENT,
        SILENT,
        u16(1),
        u16(2),
        u16(2),
        BadFrame(BadCause.CRC, 4),
    ]
    sent = values_sent(stage_of(definition), definition, payloads)
    assert sent == [(1, "good"), (None, "no_reply"), (1, "good"), (2, "good"), (None, "bad_frame")]


def test_a_dead_band_thins_changes():
    definition = site([point(type=PointType.U16, filters=(Deadband(width=1.5),), **CHANGES)])
    sent = values_sent(stage_of(definition), definition, [u16(v) for v in (10, 11, 12, 13, 12, 10)])
    assert sent == [(10.0, "good"), (12.0, "good"), (10.0, "good")]


@pytest.mark.parametrize("poll_ns", [10 * NS, 11 * NS])
def test_a_point_not_read_more_often_than_once_a_window_sends_samples(poll_ns: int):
    definition = site([point(poll_ns=poll_ns)])
    stage = stage_of(definition)
    assert values_sent(stage, definition, [f64(1.0)]) == [(1.0, "good")]
    assert stage.close(*times(1)) == []


@pytest.mark.parametrize("poll_ns", [0, 10 * NS - 1])
def test_a_point_read_more_often_or_continuously_sends_summaries(poll_ns: int):
    definition = site([point(poll_ns=poll_ns)])
    stage = stage_of(definition)
    assert values_sent(stage, definition, [f64(1.0)]) == []
    assert [r.count for r in stage.close(*times(1)) if isinstance(r, Summary)] == [1]


def test_a_text_is_sent_when_it_changes_and_sanitised():
    definition = site([point(type=PointType.STRING, length_words=3, order=Order.BADC)])
    payloads: list[Payload] = [b"BAC\0\0\0", b"BAC\0\0\0", b"BA\x1bC\0\0", SILENT, b"BAC\0\0\0"]
    assert values_sent(stage_of(definition), definition, payloads) == [
        ("AB", "good"),
        ("ABC\ufffd", "good"),
        (None, "no_reply"),
        ("AB", "good"),
    ]


def test_texts_and_numbers_share_a_request():
    definition = site(
        [
            point("n", type=PointType.U16, **SAMPLES),
            point("t", type=PointType.STRING, address=1, length_words=1),
        ]
    )
    assert values_sent(stage_of(definition), definition, [u16(7) + b"ok"]) == [(7, "good"), ("ok", "good")]


def test_packed_bits_become_samples():
    points = [point(f"c{i}", area=Area.COIL, type=PointType.BOOL, address=3 + i, **SAMPLES) for i in range(9)]
    definition = site(points)
    sent = values_sent(stage_of(definition), definition, [b"\x05\x01"])
    assert [value for value, _ in sent] == [1, 0, 1, 0, 0, 0, 0, 0, 1]


def test_a_reply_that_is_too_short_is_bad_and_counted():
    definition = site([point(**SAMPLES)])
    counters = Counters()
    stage = stage_of(definition, counters)
    for length in range(8):
        assert values_sent(stage, definition, [b"\x40" * length]) == [(None, "bad_frame")]
    assert counters.snapshot()["process_replies_too_short"] == 8
