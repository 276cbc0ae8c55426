"""What the uplink's contract tests share: a site, fast tuning, and a sender in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.model import NS, Site, SpoolDef, UplinkDef
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.inbox import Auditor, no_audit
from edge_agent.uplink.outbox import MemoryOutbox, Outbox
from edge_agent.uplink.sender import Sender, Tuning
from edge_agent.uplink.sending.limits import Limits

MS = 1_000_000
ROOT = "ea1/plant-a/press/up"
FAST = Tuning(
    limits=Limits(ack_timeout_ns=400 * MS, pause_ns=20 * MS, pause_cap_ns=40 * MS),
    backoff=BackoffPolicy(floor_ns=20 * MS, cap_ns=80 * MS, lasted_ns=100 * MS, patient_ns=300 * MS),
    poll_s=0.05,
    dial_timeout_ns=2 * NS,
    connack_timeout_ns=300 * MS,
    drain_ns=500 * MS,
    goodbye_ns=300 * MS,
    health_ns=100 * MS,
    look_ns=20 * MS,
)


def site(url: str, **uplink: Any) -> Site:
    return Site(
        site="plant-a",
        agent="press",
        buses=(),
        alarms=(),
        window_ns=10 * NS,
        uplink=UplinkDef(url=url, **uplink),
        spool=SpoolDef(),
    )


class Running:
    """A sender on its thread; leaving the block stops it in order."""

    def __init__(
        self,
        url: str,
        outbox: Outbox | None = None,
        *,
        tuning: Tuning = FAST,
        alarms: Callable[[], Sequence[AlarmTransition]] = tuple,
        health: Callable[[], Mapping[str, Any]] | None = None,
        limits: dict[str, Any] | None = None,
        audit: Auditor = no_audit,
        **uplink: Any,
    ) -> None:
        self.outbox = outbox if outbox is not None else MemoryOutbox()
        self.counters = Counters()
        if limits:
            tuning = replace(tuning, limits=replace(tuning.limits, **limits))
        self.sender = Sender(
            site(url, **uplink), self.outbox, SystemClock(), self.counters, alarms, health,
            audit=audit, tuning=tuning,
        )  # fmt: skip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.sender.run, args=(self._stop,))

    def append(self, stream: str, *records: bytes) -> None:
        assert isinstance(self.outbox, MemoryOutbox)
        for record in records:
            self.outbox.append(stream, record)
        self.sender.wake()

    def count(self, name: str) -> int:
        return sum(value for series, _, value in self.counters if series == name)

    def until(self, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait for what the sender does by itself; says what it knows when that does not happen."""
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.sender.snapshot()} {self.counters.snapshot()}")
            time.sleep(0.005)

    def until_state(self, state: str) -> None:
        """`connected`: and the backlog is known, so that what is appended from here on is live."""

        def reached() -> bool:
            snapshot = self.sender.snapshot()
            return snapshot["state"] == state and (state != "connected" or snapshot["window"] > 0)

        self.until(reached)

    def until_sent(self) -> None:
        self.until(lambda: not self.outbox.waiting())

    def until_cause(self, cause: str) -> dict[str, Any]:
        self.until(lambda: self.sender.snapshot()["cause"] == cause)
        return self.sender.snapshot()

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.sender.wake()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the sender does not stop"
