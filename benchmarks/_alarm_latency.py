"""How soon an alarm is decided, and how soon somebody hears of it.

Decided: the process stage of the daemon inside this process, a block of 100 words with filters, an alarm
and a window for each point, one block at a time; alone, and behind the queue between two threads.
Heard: the whole daemon and a real broker. The record says when the reply's last byte was there, by the
monotonic clock that all processes of a machine share; the subscriber reads the same clock. The broker
forwards a message and acknowledges it in one go, so with the subscriber's own delay this bounds the time
to the PUBACK from above.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from _common import Row
from _processes import Task, agent_id, running, script, simulated
from kernels import Case
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.bus.outcomes import Block, ReadRequest, Values
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.daemon.agent import SWITCH_INTERVAL_S
from edge_agent.daemon.intake import Intake
from edge_agent.kernels import load
from edge_agent.model import NS, Area, MonoNs, PointType, WallNs
from edge_agent.process.results import AlarmTransition, Result
from edge_agent.process.stage import Stage
from edge_agent.records import codec
from edge_agent.records.bodies import Alarm

_CASE = Case(PointType.S16, 100)
_DECISIONS = 3000
_HAND_OVERS = 1000
_BREAK_S = 0.002
"""Between two blocks that are handed over: long enough for the taking thread to sleep."""
_ALARMS = 100
_PATIENCE_S = 40.0


def decided_rows() -> list[Row]:
    what = "block of 100 words to alarm decision"
    return [
        *_both(what, _decisions_us(), "us", "<= 150"),
        *_both(f"{what}, handed over between threads", _hand_overs_us(), "us", ""),
    ]


def heard_rows(folder: Path, url: str) -> list[Row]:
    what = "reply's last byte to the alarm at a subscriber (PUBACK is no later)"
    return _both(what, _arrivals_ms(folder, url), "ms", "<= 20")


def _both(claim: str, values: Sequence[float], unit: str, budget: str) -> list[Row]:
    return [
        Row(claim=f"{claim}, median", value=median(values), unit=unit, budget=budget),
        Row(claim=f"{claim}, p99", value=quantiles(values, n=100)[98], unit=unit),
    ]


# --- decided ----------------------------------------------------------------------------------------


class _Source:
    """Blocks of a varying load with spikes, 100 ms apart by their own times: alarms come and go."""

    def __init__(self) -> None:
        clock = SystemClock()
        self._mono, self._wall = clock.mono_ns(), clock.wall_ns()
        self._payloads = _CASE.payloads()
        self._request = ReadRequest(0, 1, Area.HOLDING, 0, _CASE.words, tuple(range(_CASE.points)))
        self._made = 0
        self.stage = Stage.build(_CASE.site(), 1, load("native"), self._mono, self._wall)

    def block(self) -> Block:
        payload = self._payloads[self._made % len(self._payloads)]
        self._made += 1
        later = self._made * NS // 10
        mono, wall = MonoNs(self._mono + later), WallNs(self._wall + later)
        return Block(1, self._request, Values(payload, 0), mono, wall)


def _is_decision(results: Sequence[Result]) -> bool:
    return any(isinstance(result, AlarmTransition) for result in results)


def _decisions_us() -> list[float]:
    """Of the blocks that raised or cleared an alarm."""
    source, taken = _Source(), []
    feed = source.stage.feed
    for _ in range(_DECISIONS):
        events = [source.block()]
        begin = time.perf_counter_ns()
        results = feed(events)
        elapsed = time.perf_counter_ns() - begin
        if _is_decision(results):
            taken.append(elapsed / 1000)
    return taken


def _hand_overs_us() -> list[float]:
    """From `Intake.put` in one thread to the decision in another, as in the daemon."""
    source, taken, put_at = _Source(), [], [0]
    intake = Intake(SystemClock(), Counters())
    done = threading.Event()

    def take() -> None:
        while not done.is_set():
            results = source.stage.feed(intake.take(1.0))
            elapsed = time.perf_counter_ns() - put_at[0]
            if _is_decision(results):
                taken.append(elapsed / 1000)

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    pipeline = threading.Thread(target=take)
    pipeline.start()
    for _ in range(_HAND_OVERS):
        block = source.block()
        time.sleep(_BREAK_S)
        put_at[0] = time.perf_counter_ns()
        intake.put(block)
    done.set()
    intake.wake()
    pipeline.join()
    sys.setswitchinterval(before)
    return taken


# --- heard ------------------------------------------------------------------------------------------


class _Listener:
    """A subscriber that notes how old each alarm is."""

    def __init__(self, url: str, site: str, agent: str) -> None:
        self.ages_ms: list[float] = []
        self.enough = threading.Event()
        self._topic = f"ea1/{site}/{agent}/up/data/alarm"
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, 0)
        self._client.on_message = self._on_message
        address = urlsplit(url)
        self._client.connect(str(address.hostname), address.port or 1883)
        self._client.loop_start()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        now = time.monotonic_ns()
        head, body = codec.decode(message.payload)
        if isinstance(body, Alarm) and not body.repeated:
            self.ages_ms.append((now - head.t0.mono_ns) / 1e6)
        if len(self.ages_ms) >= _ALARMS:
            self.enough.set()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _arrivals_ms(folder: Path, url: str) -> list[float]:
    """Ages at the subscriber of alarms without delays, while the rest of the load goes on."""
    listener = _Listener(url, "bench", agent_id(folder))
    steps = script("{ step = { low = 0, high = 100, period = '620ms' } }")
    alarm = '[alarm.high]\npoint = "unit_1.p7"\nabove = 50\n'
    try:
        with simulated(folder, "--baud", "115200", devices=steps) as line:
            task = Task(port=line.path, units=1, period_s=0.05)
            with running(task.daemon(folder, url, alarm), folder / "log"):
                assert listener.enough.wait(_PATIENCE_S), f"{len(listener.ages_ms)} alarms in {_PATIENCE_S} s"
    finally:
        listener.close()
    return listener.ages_ms[:_ALARMS]
