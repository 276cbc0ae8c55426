"""Each cause of a poor line, played by the simulator on a pseudo-terminal, is told by the worker.

The worker, its line and its port are the real ones. Nothing is timed: a case waits until the hint is
there, or until so much was asked that it would be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceDef,
    PointDef,
    PointType,
    SerialLink,
    Site,
    SpoolDef,
    UplinkDef,
)
from edge_agent.simulator import SimDevice, SimPoint, SimulatedLine
from edge_agent.simulator.signals import Sine

MS = 1_000_000
BAUD = 38400
DEVICES = {"meter": (1, 70), "press": (2, 110), "pump": (3, 130)}
"""Unit id and period in ms."""
PATIENCE_S = 60.0


def _points(name: str, count: int, poll_ms: int) -> tuple[PointDef, ...]:
    return tuple(
        PointDef(
            device=name,
            name=f"p{number}",
            area=Area.HOLDING,
            address=100 + number,
            type=PointType.U16,
            poll_ns=poll_ms * MS,
        )
        for number in range(count)
    )


def _site(path: str) -> Site:
    devices = tuple(
        DeviceDef(name=name, bus="line1", unit_id=unit, points=_points(name, 4 + 3 * unit, poll_ms))
        for name, (unit, poll_ms) in DEVICES.items()
    )
    bus = BusDef(name="line1", link=SerialLink(path=path, baud=BAUD), devices=devices, timeout_ns=200 * MS)
    return Site(
        site="s",
        agent="a",
        buses=(bus,),
        alarms=(),
        window_ns=10 * NS,
        uplink=UplinkDef(url="mqtt://localhost"),
        spool=SpoolDef(),
    )


class Bus:
    """A worker that polls the simulated line in its own thread."""

    def __init__(self, line: SimulatedLine) -> None:
        self.line = line
        self.counters = Counters()
        self._worker = BusWorker(_site(line.path), 0, 1, lambda _: None, SystemClock(), self.counters)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._worker.run, args=(self._stop,))
        self._thread.start()

    def wait(self, ready: Callable[[Any], bool]) -> Any:
        """The first snapshot that is `ready`, or the last one."""
        left = PATIENCE_S
        while not ready(snapshot := self._worker.snapshot()) and left > 0:
            self._stop.wait(0.1)
            left -= 0.1
        return snapshot

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def make_bus() -> Iterator[Callable[..., Bus]]:
    made: list[Bus] = []

    def make(*faults: str, chunks: str = "fifo") -> Bus:
        devices = [
            SimDevice(
                name=name,
                unit_id=unit,
                points=tuple(
                    SimPoint(point=point, signal=Sine(amplitude=900.0, period_s=7.0))
                    for point in _points(name, 4 + 3 * unit, 1)
                ),
            )
            for name, (unit, _) in DEVICES.items()
        ]
        line = SimulatedLine(devices, baud=BAUD, chunks=chunks)
        line.__enter__()
        for fault in faults:
            device, _, kind = fault.partition("=")
            line.faults.set(device, *kind.split(";"))
        made.append(Bus(line))
        return made[-1]

    yield make
    for bus in made:
        bus.close()
        bus.line.__exit__(None, None, None)


def rules(snapshot: Any) -> set[tuple[str, int | None]]:
    return {(hint["rule"], hint["unit"]) for hint in snapshot["hints"]}


CAUSES = {
    "termination": ("*=bad_crc:p=0.1;glitch_after:p=0.1,bytes=3", ("termination", None)),
    "bias": ("*=glitch_before:p=0.3", ("bias", None)),
    "one poor branch": ("press=bad_crc:p=0.2", ("one_poor", 2)),
    "two devices, one unit id": ("press=second_device", ("duplicate_unit_id", 2)),
    "wrong speed": ("*=wrong_speed", ("wrong_speed", None)),
    "a second master": ("press=second_master:gap=6ms", ("second_master", None)),
    "a slow device": ("press=late:timeout=200ms,factor=1.2-1.8,p=0.5", ("slow", 2)),
    "local echo": ("*=echo", ("echo", None)),
    "a jammed line": ("press=babble:burst=20s", ("line_jammed", None)),
    "a dead device": ("press=silence", ("one_silent", 2)),
    "a dead line": ("*=silence", ("all_silent", None)),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_is_told_by_its_hint_and_by_no_other(make_bus, cause):
    fault, expected = CAUSES[cause]
    bus = make_bus(fault)
    snapshot = bus.wait(lambda one: expected in rules(one))
    assert rules(snapshot) == {expected}
    assert all(hint["seen"] and hint["do"] for hint in snapshot["hints"])


def test_silence_of_all_devices_never_closes_the_port(make_bus):
    bus = make_bus("*=silence")
    probing = bus.wait(
        lambda one: all(d["probing"] and d["outcomes"]["no_reply"] > 4 for d in one["devices"])
    )
    assert (probing["state"], probing["counts"]["opened"]) == ("open", 1)


def test_an_adapter_that_hands_over_in_steps_is_told(make_bus):
    bus = make_bus(chunks="usb")
    snapshot = bus.wait(lambda one: one["hints"])
    assert rules(snapshot) == {("adapter_latency", None)}


def test_a_line_in_order_gets_no_hint(make_bus):
    bus = make_bus()
    snapshot = bus.wait(lambda one: sum(d["quality"]["requests"] for d in one["devices"]) > 150)
    assert snapshot["hints"] == []
    for device in snapshot["devices"]:
        quality = device["quality"]
        assert quality["values"] == quality["requests"] > 0
        assert not any(quality["bad"].values())
        assert 0 < quality["reply_ms"]["p50"] <= quality["reply_ms"]["p99"]


def test_counters_tell_the_same(make_bus):
    bus = make_bus("*=glitch_before:p=0.5", "press=second_master:gap=6ms")
    bus.wait(
        lambda one: (
            one["counts"]["foreign_requests"] >= 3
            and one["counts"]["resyncs"]
            and one["devices"][0]["quality"]["glitched"]
        )
    )
    counted = bus.counters.snapshot()
    assert counted["bus_foreign_requests{line1}"] >= 3
    assert counted["bus_glitched{line1,meter}"] >= 1
    assert counted["bus_resyncs{line1}"] >= 1
