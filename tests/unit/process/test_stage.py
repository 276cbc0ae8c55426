"""What comes out of the stage for what goes in: summaries, alarms, status."""

from __future__ import annotations

import itertools
import math
from typing import Any

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
    Lowpass,
    Median,
    PointType,
    Quality,
    Send,
    Severity,
    Site,
)
from edge_agent.process.results import AlarmTransition, Sample, Summary
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


def stage_of(definition: Site, counters: Counters | None = None) -> Stage:
    return Stage.build(definition, 1, KERNELS, *times(0), counters=counters)


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
