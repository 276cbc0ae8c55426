"""`dn/replay` and `dn/rebirth`: what was sent is sent again when it is asked for, and that is audited."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model import MonoNs, Severity, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.records import envelope
from edge_agent.records.events import Audit
from edge_agent.uplink.outbox import Births, MemoryOutbox
from edge_agent.uplink.payloads import ReplayRequest
from tests.contract.broker import Broker, Probe
from tests.contract.stored_agent import StoredAgent
from tests.contract.stub_broker import CONNACK_5, StubBroker, read_packet
from tests.contract.uplink_rig import ROOT, Running

pytestmark = pytest.mark.needs("mosquitto")

A, B = b"\x01" * 8, b"\x02" * 8
DN = "ea1/plant-a/press/dn"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


class Audited:
    """What would become records of the stream `audit`."""

    def __init__(self) -> None:
        self.said: list[Audit] = []

    def __call__(self, audit: Audit) -> None:
        self.said.append(audit)

    @property
    def results(self) -> list[str]:
        return [f"{audit.what} {audit.result}" for audit in self.said]


def _ask(probe: Probe, first: int, last: int, epoch: bytes = A, stream: str = "sample") -> None:
    probe.publish(f"{DN}/replay", ReplayRequest(epoch, stream, first, last).encode())


def _sent(count: int) -> MemoryOutbox:
    outbox = MemoryOutbox(A)
    for number in range(1, count + 1):
        outbox.append("sample", b"%d" % number)
    return outbox


def test_a_replay_sends_what_is_kept_and_says_what_is_not(broker: Broker) -> None:
    audited, outbox = Audited(), _sent(10)
    with Probe(broker) as probe, Running(broker.url, outbox, audit=audited) as running:
        running.until_sent()
        _ask(probe, 8, 12)
        running.until(lambda: audited.results == ["replay accepted", "replay done"])
        expected = [b"%d" % n for n in range(1, 11)] + [b"8", b"9", b"10"]
        probe.wait_until(lambda _: probe.payloads(f"{ROOT}/hist/sample") == expected)
        assert audited.said[1].detail.endswith("8 to 12: 3 sent, 2 not there any more")
        assert running.count("uplink_replayed") == 3 and running.count("uplink_acked") == 10
        assert not outbox.waiting()


def test_a_replay_of_nothing_that_is_there_is_answered_too(broker: Broker) -> None:
    audited = Audited()
    with Probe(broker) as probe, Running(broker.url, _sent(3), audit=audited) as running:
        running.until_sent()
        _ask(probe, 1, 1_000_000, epoch=B)
        _ask(probe, 1, 5, stream="nothing")
        running.until(lambda: audited.results == ["replay done"] * 2)
        assert "0 sent, 1000000 not there" in audited.said[0].detail
        assert running.counters.snapshot()["uplink_requests{replay,unknown}"] == 2


def test_live_data_and_alarms_pass_a_replay_and_a_backlog_goes_on_beside_it(broker: Broker) -> None:
    with Probe(broker) as probe, Running(broker.url, _sent(300), backlog_rate=5000) as running:
        running.until_sent()
        _ask(probe, 1, 300)
        running.until(lambda: running.count("uplink_replayed") > 5)
        running.append("alarm", b"alarm")
        running.append("event", b"live")
        running.until_sent()
        probe.wait_for(f"{ROOT}/data/alarm")
        running.until(lambda: running.count("uplink_replayed") == 300)


def test_a_replay_is_rate_limited_with_the_backlog(broker: Broker) -> None:
    with Probe(broker) as probe, Running(broker.url, _sent(50), backlog_rate=50) as running:
        running.until_sent()
        _ask(probe, 1, 50)
        running.until(lambda: bool(running.sender.snapshot()["replays"]))
        (replay,) = running.sender.snapshot()["replays"]
        assert replay["left"] > 0 and replay["stream"] == "sample"


def test_a_replay_goes_on_after_a_lost_connection(broker: Broker) -> None:
    audited = Audited()
    with Probe(broker) as probe:
        with Running(broker.url, _sent(200), audit=audited, backlog_rate=400) as running:
            running.until_sent()
            _ask(probe, 1, 200)
            running.until(lambda: running.count("uplink_replayed") > 20)
            running.sender._link._connection._guarded.close()  # type: ignore[union-attr]
            running.until(lambda: "replay done" in audited.results, 20)
            assert running.count("uplink_connects") == 2
        assert "200 sent, 0 not there" in audited.said[-1].detail
        assert len(set(probe.payloads(f"{ROOT}/hist/sample")[200:])) == 200


def test_a_replay_comes_out_of_the_real_spool(tmp_path: Path, broker: Broker) -> None:
    with (
        StoredAgent(tmp_path / "spool") as agent,
        Probe(broker) as probe,
        Running(broker.url, agent.outbox, backlog_rate=5000) as running,
    ):
        agent.samples(30)
        running.sender.wake()
        running.until(lambda: not agent.unacked())
        # The agent hears of the last record before the subscriber does.
        probe.wait_until(lambda _: len(_records(probe)) == 31)
        before = _records(probe)
        _ask(probe, 5, 9)
        probe.wait_until(lambda _: len(_records(probe)) == len(before) + 5)
        assert _records(probe)[-5:] == _in_order(before)[4:9], "the same bytes as the first time"


def _records(probe: Probe) -> list[bytes]:
    messages = list(probe.messages)
    return [p for t, p, _ in messages if t in (f"{ROOT}/data/sample", f"{ROOT}/hist/sample")]


def _in_order(records: list[bytes]) -> list[bytes]:
    return sorted(records, key=lambda data: envelope.decode(data)[0].seq)


def test_a_rebirth_says_births_status_and_alarm_states_again_but_not_all_the_time(broker: Broker) -> None:
    alarm = AlarmTransition(
        name="over", device="press", point="p", active=True, value=1.0, mono_ns=MonoNs(1),
        wall_ns=WallNs(1), severity=Severity.CRITICAL,
    )  # fmt: skip
    audited, outbox = Audited(), MemoryOutbox(A)
    outbox.set_births(Births((b"now",), (b"old 1", b"old 2")))
    options: dict[str, Any] = {"alarms": lambda: [alarm], "audit": audited}
    with Probe(broker) as probe, Running(broker.url, outbox, **options) as running:
        probe.wait_for(f"{ROOT}/alarm/over")
        greeting = [topic for topic, _, _ in probe.messages]
        for _ in range(5):
            probe.publish(f"{DN}/rebirth", b"")
        running.until(lambda: running.counters.snapshot().get("uplink_requests{rebirth,too_often}") == 4)
        probe.wait_until(lambda _: len(_up(probe)) == 2 * len(greeting))
        assert _up(probe) == greeting * 2
        assert audited.results[0] == "rebirth accepted"
        assert audited.results[1:] == ["rebirth refused: too_often"] * 4


def _up(probe: Probe) -> list[str]:
    return [topic for topic, _, _ in list(probe.messages) if "/up/" in topic]


def test_retained_requests_are_refused_at_every_connection(broker: Broker) -> None:
    audited = Audited()
    with Probe(broker) as probe:
        probe.publish(f"{DN}/replay", ReplayRequest(A, "sample", 1, 3).encode(), retain=True)
        probe.publish(f"{DN}/rebirth", b"x", retain=True)
        with Running(broker.url, _sent(3), audit=audited) as running:
            running.until(lambda: running.count("uplink_requests") == 2)
            running.until_sent()
            # Published while we listen: MQTT 5 tells the flag then too.
            probe.publish(f"{DN}/replay", ReplayRequest(A, "sample", 1, 2).encode(), retain=True)
            running.until(lambda: running.count("uplink_requests") == 3)
            assert running.count("uplink_replayed") == 0
            assert running.counters.snapshot()["uplink_requests{replay,retained}"] == 2
        assert all("retained" in result for result in audited.results)


def test_a_flood_of_requests_is_counted_and_costs_no_data(broker: Broker) -> None:
    with Probe(broker) as probe, Running(broker.url, MemoryOutbox(A)) as running:
        running.until_state("connected")
        for number in range(300):
            _ask(probe, number + 1, number + 2)
            running.append("sample", b"%d" % number)
        running.until_sent()
        running.until(lambda: running.count("uplink_requests") == 300)
        counts = running.counters.snapshot()
        assert counts["uplink_requests{replay,too_often}"] >= 280
        assert running.count("uplink_connects") == 1


def test_a_broker_that_denies_the_requests_topics_is_said() -> None:
    def denies(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(CONNACK_5)
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 8:
                connection.sendall(b"\x90\x06" + packet[2:4] + b"\x00\x87\x87\x87")

    with StubBroker(denies) as broker, Running(broker.url) as running:
        running.until(lambda: any("below its dn/" in problem for problem in running.sender.problems()))
        snapshot = running.sender.snapshot()
        assert snapshot["state"] == "connected" and json.dumps(snapshot)
