"""What comes out of the stage for what goes in: samples, changes, summaries, alarms, status."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import pytest

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    Block,
    DeviceException,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.counters import Counters
from edge_agent.kernels import load
from edge_agent.model import (
    BAD_FRAME,
    GOOD,
    IMPLAUSIBLE,
    INVALID,
    NO_REPLY,
    NS,
    PORT_DOWN,
    STALE,
    AlarmInput,
    AlarmKind,
    Area,
    Deadband,
    Lowpass,
    Median,
    Order,
    PointType,
    Quality,
    Send,
    Severity,
    Site,
)
from edge_agent.process.results import AlarmTransition, Sample, Summary, Value
from edge_agent.process.stage import Stage
from tests.unit.process.sites import (
    SILENT,
    Payload,
    alarm,
    block,
    f64,
    point,
    request,
    site,
    skipped,
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


# --- samples and changes ----------------------------------------------------------------------


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


def test_events_of_another_generation_are_dropped_and_counted():
    definition = site([point(**SAMPLES)])
    counters = Counters()
    stage = stage_of(definition, counters)
    read = request(definition, 0)
    events = [block(read, f64(1.0), 0, generation=g) for g in (0, 1, 2)] + [skipped([0], 0, generation=2)]
    assert len(stage.feed(events)) == 1
    assert counters.snapshot()["process_events_other_generation"] == 3
    assert counters.snapshot()["process_blocks_judged"] == 1


def test_events_are_taken_in_the_order_of_their_times():
    definition = site([point(**SAMPLES)])
    read = request(definition, 0)
    events = [block(read, f64(t), t) for t in (3.0, 1.0, 2.0)]
    sent = stage_of(definition).feed(events)
    assert [r.value for r in sent if isinstance(r, Sample)] == [1.0, 2.0, 3.0]


# --- summaries --------------------------------------------------------------------------------


def test_a_summary_says_what_was_seen_in_its_window():
    definition = site([point(filters=(Median(samples=3),), plausible=(0, 100))])
    stage = stage_of(definition)
    read = request(definition, 0)
    payloads: list[Payload] = [f64(2), f64(4), f64(9), SILENT, f64(500), f64(3)]
    assert stage.feed([block(read, data, t) for t, data in enumerate(payloads)]) == []
    assert stage.feed([skipped([0, 0], 6)]) == []
    (summary,) = stage.feed([block(read, f64(1), 10)])
    t0, t1 = times(0)[1], times(10)[1]
    filtered = [2.0, 2.0, 4.0, 4.0]
    assert isinstance(summary, Summary)
    assert (summary.point, summary.t0_ns, summary.t1_ns) == (0, t0, t1)
    assert (summary.count, summary.bad, summary.missing, summary.quality) == (4, 2, 2, NO_REPLY)
    assert (summary.min, summary.max, summary.first, summary.last) == (2.0, 9.0, 2.0, 3.0)
    assert (summary.mean, summary.std) == (sum(filtered) / 4, 1.0)


def test_a_window_without_good_values_has_no_numbers_and_its_worst_quality():
    definition = site([point()])
    stage = stage_of(definition)
    stage.feed(
        [block(request(definition, 0), SILENT, 1), block(request(definition, 0), DeviceException(6, 0), 2)]
    )
    (summary,) = stage.tick(*times(11))
    assert isinstance(summary, Summary)
    assert (summary.count, summary.bad, summary.quality) == (0, 2, Quality.exception(6))
    assert {summary.min, summary.max, summary.mean, summary.std, summary.first, summary.last} == {None}


def test_a_window_of_missed_polls_only_is_stale():
    definition = site([point()])
    stage = stage_of(definition)
    stage.feed([skipped([0], 1)])
    (summary,) = stage.tick(*times(11))
    assert isinstance(summary, Summary)
    assert (summary.count, summary.bad, summary.missing, summary.quality) == (0, 0, 1, STALE)


def test_a_point_that_was_never_due_gets_no_summary():
    definition = site([point(), point("q", address=4)])
    stage = stage_of(definition)
    stage.feed([block(request(definition, 1), f64(1), 1)])
    assert [r.point for r in stage.tick(*times(11)) if isinstance(r, Summary)] == [1]
    assert stage.tick(*times(21)) == []


def test_a_text_that_was_missed_has_no_summary():
    definition = site([point(type=PointType.STRING, length_words=1)])
    stage = stage_of(definition)
    stage.feed([skipped([0], 1)])
    assert stage.close(*times(2)) == []


def test_a_deviation_beyond_the_doubles_is_no_number():
    definition = site([point()])
    stage = stage_of(definition)
    stage.feed([block(request(definition, 0), f64(v), 0.1 * t) for t, v in enumerate([1e308, -1e308])])
    (summary,) = stage.close(*times(1))
    assert isinstance(summary, Summary)
    assert (summary.max, summary.std) == (1e308, None)
    assert summary.mean is not None


# --- alarms -----------------------------------------------------------------------------------


def test_a_raised_and_cleared_alarm_says_who_what_and_when():
    limit = alarm("hot", AlarmKind.ABOVE, high=8.0, severity=Severity.CRITICAL, input=AlarmInput.RAW)
    definition = site([point()], [limit])
    stage = stage_of(definition)
    read = request(definition, 0)
    got = stage.feed([block(read, f64(value), t) for t, value in enumerate([1.0, 9.0, 9.5, 2.0])])
    assert got == [
        AlarmTransition("hot", "d", "p", True, 9.0, *times(1), Severity.CRITICAL),
        AlarmTransition("hot", "d", "p", False, 2.0, *times(3), Severity.CRITICAL),
    ]


def test_alarm_states_repeat_what_was_said_last():
    definition = site([point()], [alarm("a", high=1.0), alarm("b", high=5.0)])
    stage = stage_of(definition)
    stage.feed([block(request(definition, 0), f64(2.0), 3)])
    states = stage.alarm_states()
    assert [(s.name, s.active, s.value, s.mono_ns, s.repeated) for s in states] == [
        ("a", True, 2.0, 3 * NS, True),
        ("b", False, None, 0, True),
        ("d.silent", False, None, 0, True),
    ]


def test_alarms_of_points_in_any_order_keep_their_names():
    points = [point(f"p{i}", type=PointType.U16, address=i) for i in range(3)]
    names = [("x2", "p2"), ("x0", "p0"), ("y2", "p2"), ("x1", "p1")]
    definition = site(points, [alarm(name, point=owner, high=5.0) for name, owner in names])
    stage = stage_of(definition)
    got = stage.feed([block(request(definition, 0, 1, 2), u16(0, 9, 9), 1)])
    assert {(r.name, r.point) for r in got if isinstance(r, AlarmTransition)} == {
        ("x1", "p1"), ("x2", "p2"), ("y2", "p2"),
    }  # fmt: skip


def test_a_rate_beyond_the_doubles_raises_without_a_value():
    definition = site([point()], [alarm(kind=AlarmKind.RATE_ABOVE, high=1.0)])
    stage = stage_of(definition)
    got = stage.feed([block(request(definition, 0), f64(v), t) for t, v in enumerate([-1e308, 1.7e308])])
    assert [(r.active, r.value) for r in got if isinstance(r, AlarmTransition)] == [(True, None)]


def test_a_device_is_silent_after_three_polls_and_heard_with_any_valid_reply():
    definition = site([point(), point(device="e")])
    stage = stage_of(definition)
    d, e = request(definition, 0), request(definition, 1)
    crc, no = BadFrame(BadCause.CRC, 3), DeviceException(2, 0)
    script: list[tuple[ReadRequest, Payload]] = [
        (d, SILENT),
        (e, SILENT),
        (d, crc),
        (e, f64(1)),
        (d, PortDown("lost")),
        (d, SILENT),
        (d, no),
    ]
    got = stage.feed([block(read, outcome, t) for t, (read, outcome) in enumerate(script)])
    assert got == [
        AlarmTransition("d.silent", "d", "", True, None, *times(4), Severity.WARNING),
        AlarmTransition("d.silent", "d", "", False, None, *times(6), Severity.WARNING),
    ]


# --- status -----------------------------------------------------------------------------------


def test_latest_has_the_last_poll_and_the_last_good_value():
    definition = site(
        [
            point("f", scale=2.0, filters=(Lowpass(tau_ns=NS),)),
            point("i", type=PointType.U64, address=4),
            point("t", type=PointType.STRING, address=8, length_words=1),
            point("never", address=20),
        ]
    )
    stage = stage_of(definition)
    read = request(definition, 0, 1, 2)
    stage.feed([block(read, f64(3.0) + b"\xff" * 8 + b"ok", 1)])
    got = [(p.value, p.quality, p.mono_ns, p.good_value, p.good_mono_ns) for p in stage.latest()]
    top = 2**64 - 1
    assert got[:2] == [(6.0, GOOD, NS, 6.0, NS), (top, GOOD, NS, float(top), NS)]
    assert got[2:] == [("ok", GOOD, NS, "ok", NS), (None, STALE, None, None, None)]
    stage.feed([block(read, SILENT, 2)])
    got = [(p.value, p.quality, p.mono_ns, p.good_value, p.good_mono_ns) for p in stage.latest()]
    assert got[0] == (None, NO_REPLY, 2 * NS, 6.0, NS)
    assert got[2] == (None, NO_REPLY, 2 * NS, "ok", NS)


def test_latest_shows_an_implausible_value_and_keeps_the_good_one():
    definition = site([point(plausible=(0, 1))])
    stage = stage_of(definition)
    stage.feed([block(request(definition, 0), f64(v), t) for t, v in enumerate([0.5, 7.0])])
    (latest,) = stage.latest()
    assert (latest.value, latest.quality, latest.good_value) == (7.0, IMPLAUSIBLE, 0.5)


# --- hostile ----------------------------------------------------------------------------------


def test_any_outcome_in_any_order_is_survived():
    definition = site([point(**SAMPLES)], [alarm(high=0.0)])
    stage = stage_of(definition)
    read = request(definition, 0)
    outcomes: list[Outcome] = [
        SILENT,
        PortDown("io"),
        BadFrame(BadCause.GARBAGE, 0),
        DeviceException(255, 0),
        Values(f64(math.inf), 0),
        Values(f64(1.0) + b"trailing", 0),
        Values(b"", 0),
    ]
    events: list[Block] = []
    for t, sequence in enumerate(itertools.permutations(outcomes, 3)):
        events += [block(read, outcome, t + i / 4) for i, outcome in enumerate(sequence)]
    samples = [r for r in stage.feed(events) if isinstance(r, Sample)]
    assert len(samples) == len(events)
    assert {s.quality for s in samples} == {
        NO_REPLY, PORT_DOWN, BAD_FRAME, Quality.exception(255), INVALID, GOOD,
    }  # fmt: skip
