from __future__ import annotations

from typing import Any

import pytest

from edge_agent.cli import _view

SNAPSHOT: dict[str, Any] = {
    "agent": {
        "site": "plant-a",
        "id": "press-hall-1",
        "version": "0.1.0",
        "state": "degraded",
        "uptime_s": 7300.0,
        "kernels": "native",
        "clock_synchronised": False,
        "problems": ["spool: write: No space left on device"],
    },
    "buses": [
        {
            "name": "line1",
            "link": "/dev/ttyUSB0 19200 8N1",
            "state": "busy",
            "load": 0.0,
            "max_load": 0.9,
            "message": "/dev/ttyUSB0: in use by process 4711 (mbpoll)",
            "hint": "stop it",
            "counts": {"sent_bytes": 5000, "heard_bytes": 9000, "resyncs": 7},
            "hints": [],
            "devices": [
                {
                    "name": "meter",
                    "unit_id": 1,
                    "state": "down",
                    "since": 1.7e9,
                    "why": "/dev/ttyUSB0: in use by process 4711 (mbpoll)",
                    "quality": {
                        "requests": 40,
                        "values": 30,
                        "exceptions": 1,
                        "no_reply": 2,
                        "bad": {"crc": 4, "short": 3, "garbage": 0},
                        "reply_ms": {"p50": 5.5, "p99": 12.25},
                    },
                }
            ],
        }
    ],
    "points": [
        {
            "device": "meter",
            "point": "v",
            "unit": "V",
            "value": 231.25,
            "quality": "invalid",
            "age_s": 75.0,
        },
        {"device": "meter", "point": "text", "unit": "", "value": "ok", "quality": "good", "age_s": 0.25},
        {"device": "meter", "point": "never", "unit": "", "value": None, "quality": "stale", "age_s": None},
    ],
    "alarms": [
        {"name": "high", "active": True, "value": 9.5, "severity": "critical", "since": 1.7e9},
        {"name": "low", "active": False, "value": None, "severity": "info", "since": 1.7e9},
    ],
    "spool": {
        "memory_only": True,
        "bytes_used": 5 << 20,
        "max_bytes": 512 << 20,
        "unacked": {"alarm": 1, "sample": 2},
        "problem": "write: No space left on device",
    },
    "uplink": {
        "broker": "mqtt://10.0.0.9:1883",
        "state": "waiting",
        "since_s": 3.0,
        "protocol": "5",
        "backlog": 3,
        "error": "connection refused",
        "hint": "is the broker running?",
        "unconfirmed": 7,
        "set_aside": 1,
        "replays": [{"stream": "sample", "from": 5, "to": 9, "left": 2}],
    },
}


def test_the_overview_says_who_is_down_and_why() -> None:
    text = "\n".join(_view.overview(SNAPSHOT))
    for part in (
        "plant-a/press-hall-1",
        "degraded, 1 of 1 devices down",
        "up 2 h",
        "NOT synchronised",
        "! spool: write: No space left",
        "busy",
        "in use by process 4711 (mbpoll)",
        "hint: stop it",
        "14 KiB  resyncs 7",
        "40  75%    1     2    7  5.5/12.2",
        "ALARM high at 9.5 (critical)",
        "MEMORY ONLY",
        "3 records wait",
        "connection refused",
        "hint: is the broker running?",
        "7 records wait for a receiver",
        "refuses 1 records",
        "replay sample 5 to 9: 2 left",
    ):
        assert part in text, part
    assert "low" not in text


HINT = {
    "rule": "one_silent",
    "unit": 2,
    "seen": "nothing heard from press (unit 2), while 3 others answer",
    "do": "the line works: check this device's power, terminals (A/B), unit id, speed and format",
    "seconds": 90,
}


def bus_lines(width=100, hints=(), whys=("", "nothing heard"), message="") -> list[str]:
    bus = SNAPSHOT["buses"][0]
    devices = [
        bus["devices"][0] | {"name": name, "unit_id": unit, "why": why}
        for (name, unit), why in zip((("meter", 1), ("press", 2)), whys, strict=True)
    ]
    changed = bus | {"message": message, "hint": "", "hints": list(hints), "devices": devices}
    lines = _view.overview(SNAPSHOT | {"buses": [changed]}, width)
    start = next(at for at, line in enumerate(lines) if line.startswith("bus "))
    return lines[start : next(at for at, line in enumerate(lines) if line.startswith("ALARM"))]


def test_a_device_has_one_row_and_its_why_a_line_below() -> None:
    _, headings, meter, press, why = bus_lines()
    assert headings.split()[:5] == ["DEVICE", "UNIT", "STATE", "SINCE", "ASKED"]
    assert meter.split()[:2] == ["meter", "1"]
    assert press.split()[:2] == ["press", "2"]
    assert why == "  ! press: nothing heard"


def test_a_hint_says_what_was_seen_how_long_and_what_to_do_in_place_of_the_why() -> None:
    assert bus_lines(hints=[HINT])[4:] == [
        "  ? one silent: nothing heard from press (unit 2), while 3 others answer, in 90 s",
        "    hint: the line works: check this device's power, terminals (A/B), unit id, speed and format",
    ]


def test_what_a_port_suffers_from_is_not_repeated_for_each_device() -> None:
    assert not any("! press" in line for line in bus_lines(whys=("gone", "gone"), message="gone"))


@pytest.mark.parametrize("width", [80, 100])
def test_sentences_are_broken_at_the_width(width) -> None:
    long = HINT | {"rule": "termination", "unit": None, "seen": "very much " * 20, "do": "look " * 40}
    assert all(len(line) <= width for line in bus_lines(width, hints=[long]))


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "-"), (0, 5, "0%"), (5, 5, "100%"), (2, 3, "66.67%"), (99_999, 100_000, "99.99%")],
)
def test_a_share_is_never_all_while_anything_is_missing(part, whole, text) -> None:
    assert _view._percent(part, whole) == text


def test_values_are_a_table_with_unit_quality_and_age() -> None:
    assert _view.values(SNAPSHOT) == [
        "POINT        VALUE   UNIT  QUALITY  AGE",
        "meter.v      231.25  V     invalid  75 s",
        "meter.text   ok            good     0.2 s",
        "meter.never  -             stale    -",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172800, "2 d"),
    ],
)
def test_ages_are_short(seconds, text) -> None:
    assert _view.age(seconds) == text
