"""An agent's real spool and sender on one side, a database on the other, a broker that loses what it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool
from edge_agent.uplink.outbox import SpoolOutbox
from tests.contract.agent_records import BOOT, sample, small_site, stamp
from tests.contract.broker import Broker
from tests.contract.test_receive_to_database import KINDS, Ingesting, Target
from tests.contract.uplink_rig import FAST, MS, Running

pytestmark = pytest.mark.needs("mosquitto")

QUICK = replace(FAST, limits=replace(FAST.limits, confirm_ns=400 * MS, confirm_cap_ns=1600 * MS))


class StoredAgent:
    """A record writer and a spool on a disk; a sender reads beside it."""

    def __init__(self, path: Path) -> None:
        self.spool = Spool(path, b"\x01" * 8, limits=Limits(min_free_bytes=0), counters=Counters())
        self.outbox = SpoolOutbox(self.spool)
        self._writer = RecordWriter(small_site(), b"\x01" * 8, boot_id=BOOT, counters=Counters())
        self._number = 0
        self.spool.append(self._writer.start(stamp(), self.spool.recovery))

    def samples(self, count: int) -> None:
        """So many records of one value each: 1, 2, 3 ..."""
        for _ in range(count):
            self._number += 1
            now = stamp(self._number)
            self.spool.append(self._writer.add([sample(self._number, self._number)], now))
            self.spool.append(self._writer.flush(now, now.wall_ns))
        self.spool.commit(MonoNs(0))

    def unacked(self) -> int:
        return sum(self.spool.stats().unacked.values())


@pytest.fixture(params=KINDS)
def target(request, tmp_path: Path) -> Target:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return Target(request.param, tmp_path, server)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[StoredAgent]:
    stored = StoredAgent(tmp_path / "spool")
    yield stored
    stored.spool.close(MonoNs(0))


def _values(target: Target) -> list[int]:
    return sorted(round(value * 10) for (value,) in target.rows("SELECT value FROM @sample"))


@pytest.mark.parametrize("by", ["ack", "fill"])
def test_what_a_broker_lost_comes_to_the_database_all_the_same(
    target: Target, tmp_path: Path, agent: StoredAgent, by: str, monkeypatch
) -> None:
    """By acknowledgements of the receiver, which the agent waits for; or because the receiver asks for it."""
    monkeypatch.setattr("edge_agent.receiver.ingest._ACK_EVERY_NS", 100 * MS)
    how: dict[str, Any] = {"ack": True} if by == "ack" else {"fill_after_ns": NS // 2}
    waits = "receiver" if by == "ack" else "broker"
    with Broker(tmp_path) as broker:
        first = Ingesting(broker, target, tmp_path, **how)
        first.until_subscribed()
        with Running(broker.url, agent.outbox, tuning=QUICK, ack=waits, backlog_rate=5000) as running:
            agent.samples(10)
            running.sender.wake()
            first.until(lambda: target.count("sample") == 10)
            first.die()
            acked = running.count("uplink_acked")
            agent.samples(40)
            running.sender.wake()
            running.until(lambda: running.count("uplink_acked") >= acked + 40)
            broker.kill()
            broker.start()
            with Ingesting(broker, target, tmp_path, **how) as second:
                second.until_subscribed()
                agent.samples(5)
                running.sender.wake()
                second.until(lambda: target.count("sample") == 55)
                second.until(lambda: not agent.unacked())
                second.until(lambda: target.count("missing") == 0)
    assert _values(target) == list(range(1, 56))
