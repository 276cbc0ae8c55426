from __future__ import annotations

import logging
from typing import Any

from edge_agent.daemon.chronicle import Chronicle, Look
from edge_agent.model import MonoNs, Severity, WallNs
from edge_agent.process.results import AlarmTransition


def bus(state: str, device: str = "unknown", **more: Any) -> dict[str, Any]:
    devices = [{"name": "meter", "unit_id": 1, "state": device, "why": "nothing heard"}]
    return {
        "name": "line1", "link": "/dev/ttyUSB0 19200 8N1", "state": state, "message": "", "hint": "",
        "devices": devices,
    } | more  # fmt: skip


def alarm(active: bool, value: float | None = None) -> AlarmTransition:
    return AlarmTransition("high", "press", "p", active, value, MonoNs(1), WallNs(1), Severity.CRITICAL)


def messages(chronicle: Chronicle, **look: Any) -> list[str]:
    return [entry.message for entry in chronicle.look(Look(**look))]


def test_a_bus_and_its_devices_are_told_when_they_change_and_only_then() -> None:
    chronicle = Chronicle()
    assert messages(chronicle, buses=(bus("opening"),)) == []
    missing = bus("missing", "down", message="/dev/ttyUSB0: no such file", hint="plug it in")
    assert messages(chronicle, buses=(missing,)) == [
        "bus line1: /dev/ttyUSB0: no such file; hint: plug it in",
        "device meter is down: nothing heard",
    ]
    assert messages(chronicle, buses=(missing,)) == []
    assert messages(chronicle, buses=(bus("open", "up"),)) == [
        "bus line1: /dev/ttyUSB0 19200 8N1 is open",
        "device meter answers",
    ]


def test_the_fields_find_an_entry_again() -> None:
    (entry,) = [e for e in Chronicle().look(Look(buses=(bus("opening", "down"),))) if "DEVICE" in e.fields]
    assert entry.level == logging.WARNING
    assert entry.fields == {"BUS": "line1", "DEVICE": "meter", "UNIT_ID": "1", "DEVICE_STATE": "down"}


def test_what_a_device_refuses_is_told_once_by_name() -> None:
    chronicle = Chronicle()
    illegal = [
        {"point": name, "exception": 2, "name": "illegal data address"} for name in ("e_imp_l1", "e_imp_l2")
    ]
    mute = {"point": "thd", "exception": None, "name": "no reply"}

    def told(*refused: dict[str, Any]) -> list[str]:
        seen = bus("open", "up")
        seen["devices"][0]["refused"] = list(refused)
        return [text for text in messages(chronicle, buses=(seen,)) if "not asked" in text]

    hint = (
        "; not asked again; hint: does this model and firmware have them? leave them out with points = [...]"
    )
    first = "device meter does not give e_imp_l1, e_imp_l2: exception 2, illegal data address" + hint
    second = "device meter does not give thd: nothing is heard although other reads are answered" + hint
    assert told(*illegal) == [first]
    assert told(*illegal, mute) == [second]
    assert told() == []
    assert told(*illegal, mute) == []


def test_alarms_are_told_when_raised_and_cleared_and_not_when_normal_from_the_start() -> None:
    chronicle = Chronicle()
    assert messages(chronicle, alarms=(alarm(False),)) == []
    assert messages(chronicle, alarms=(alarm(True, 9.5),)) == ["alarm high raised at 9.5"]
    assert messages(chronicle, alarms=(alarm(True, 9.5),)) == []
    assert messages(chronicle, alarms=(alarm(False, 7.0),)) == ["alarm high cleared at 7"]


def test_degraded_parts_and_losses_are_told_once_and_recovery_too() -> None:
    chronicle = Chronicle()
    assert messages(chronicle, problems=("spool: full",), lost=3) == [
        "degraded: spool: full",
        "3 records are lost; receivers are told which",
    ]
    assert messages(chronicle, problems=("spool: full",), lost=3) == []
    assert messages(chronicle, lost=5) == [
        "no longer degraded: spool: full",
        "2 records are lost; receivers are told which",
    ]
