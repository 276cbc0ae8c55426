from __future__ import annotations

import pytest

from edge_agent.cli import _view

SNAPSHOT = {
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
            "devices": [
                {
                    "name": "meter",
                    "unit_id": 1,
                    "state": "down",
                    "since": 1.7e9,
                    "why": "/dev/ttyUSB0: in use by process 4711 (mbpoll)",
                    "outcomes": {"ok": 3, "no_reply": 1},
                    "latency_ms": {"last": 5.0, "average": 5.5},
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
        "3 of 4 ok",
        "ALARM high at 9.5 (critical)",
        "MEMORY ONLY",
        "3 records wait",
        "connection refused",
        "hint: is the broker running?",
    ):
        assert part in text, part
    assert "low" not in text


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
