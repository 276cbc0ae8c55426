"""What mosquitto's log (-v) says of alarms: a look at PUBACKs that disturbs nobody."""

from __future__ import annotations

import re
import threading
from collections import Counter

from tests.contract.broker import Broker


class Acknowledged:
    """Counts the alarm records of each agent that the broker has acknowledged, by the broker's log."""

    _LINE = re.compile(
        rb"Received PUBLISH from ea1-e2e-(\S+) \(d\d, q1, r0, m(\d+), 'ea1/e2e/\S+/up/(data|hist)/alarm'"
        rb"|Sending PUBACK to ea1-e2e-(\S+) \(m(\d+), rc0\)"
    )

    def __init__(self, broker: Broker) -> None:
        self._log = broker.directory / "log"
        self._at = 0
        self._waiting: set[tuple[bytes, bytes]] = set()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, agent: str) -> int:
        with self._lock:
            self._read()
            return self._counts[agent]

    def _read(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._at += len(whole)
        for sender, number, _, receiver, acknowledged in self._LINE.findall(whole):
            if sender:
                self._waiting.add((sender, number))
            elif (receiver, acknowledged) in self._waiting:
                self._waiting.discard((receiver, acknowledged))
                self._counts[receiver.decode()] += 1
