"""Receivers' acknowledgements (`ack = "receiver"`) through brokers that lose what they took, with the real
spool, the real mosquitto and the reference receiver; and the same without, where the loss must show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.uplink.outbox import MemoryOutbox
from edge_agent.uplink.payloads import Ack
from edge_agent.uplink.reasons import Cause, Failure
from tests.contract.broker import Broker, Probe
from tests.contract.stored_agent import StoredAgent
from tests.contract.test_mqtt_receiver import Receiving
from tests.contract.uplink_rig import FAST, MS, Running

pytestmark = pytest.mark.needs("mosquitto")

A, B = b"\x01" * 8, b"\x02" * 8
DN = "ea1/plant-a/press/dn"
CONFIRMED = replace(FAST, limits=replace(FAST.limits, confirm_ns=400 * MS, confirm_cap_ns=1600 * MS))


@pytest.fixture(autouse=True)
def _quick_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gathers what it acknowledges for a second."""
    monkeypatch.setattr("edge_agent.receiver.receiver._ACK_EVERY_NS", 100 * MS)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[StoredAgent]:
    with StoredAgent(tmp_path / "spool") as stored:
        yield stored


def _running(broker: Broker, agent: StoredAgent, ack: str = "receiver", **options: Any) -> Running:
    return Running(broker.url, agent.outbox, tuning=CONFIRMED, ack=ack, backlog_rate=5000, **options)


def _until_forgotten(agent: StoredAgent, receiving: Receiving) -> None:
    """Until the spool has nothing to send any more, with a receiver at work."""
    receiving.until(lambda: not agent.unacked(), 20)


def _assert_complete(receiving: Receiving, values: int) -> None:
    counts = receiving.receiver.finish()
    assert counts.missing == 0 and counts.undecodable == 0
    assert sorted(receiving.values) == pytest.approx([n * 0.1 for n in range(1, values + 1)])


def test_records_are_forgotten_when_a_receiver_has_them(tmp_path: Path, agent: StoredAgent) -> None:
    with Broker(tmp_path) as broker, _running(broker, agent) as running:
        agent.samples(50)
        running.sender.wake()
        total = agent.unacked()
        running.until(lambda: running.sender.snapshot()["unconfirmed"] == total)
        assert agent.unacked() == total, "the broker has all of them, and nothing is forgotten"
        with Receiving(broker, ack=True) as receiving:
            _until_forgotten(agent, receiving)
            _assert_complete(receiving, 50)
        running.until(lambda: running.sender.snapshot()["unconfirmed"] == 0)


@pytest.mark.parametrize("ack", ["receiver", "broker"])
def test_a_broker_killed_and_restarted_empty_between_puback_and_receiver(
    tmp_path: Path, agent: StoredAgent, ack: str
) -> None:
    """The receiver has a durable session, but is away while the broker takes the records and dies."""
    with Broker(tmp_path) as broker, Receiving(broker, ack=True) as receiving:
        receiving.until_subscribed()
        with _running(broker, agent, ack) as running:
            _lose_and_come_back(broker, agent, receiving, running)
            if ack == "receiver":
                _until_forgotten(agent, receiving)
                _assert_complete(receiving, 315)
            else:
                receiving.until(lambda: len(receiving.values) >= 15)
                receiving.until(lambda: not agent.unacked())
                assert receiving.receiver.finish().missing == 300, "lost by the broker, and it shows"


def _lose_and_come_back(broker: Broker, agent: StoredAgent, receiving: Receiving, running: Running) -> None:
    agent.samples(10)
    running.sender.wake()
    receiving.until(lambda: len(receiving.values) == 10)
    running.until(lambda: running.count("uplink_acked") >= agent.records)
    receiving.receiver.link.abort(Failure(Cause.LOST, "away"))
    receiving.receiver.turn()
    agent.samples(300)
    running.sender.wake()
    running.until(lambda: running.count("uplink_acked") >= agent.records)
    broker.kill()
    running.until(lambda: running.sender.snapshot()["state"] != "connected")
    broker.start()
    receiving.until_subscribed()
    running.until_state("connected")
    agent.samples(5)
    running.sender.wake()


@pytest.mark.parametrize("ack", ["receiver", "broker"])
def test_a_broker_whose_queue_overflows_for_an_absent_receiver(
    tmp_path: Path, agent: StoredAgent, ack: str
) -> None:
    """mosquitto answers Success and drops what is beyond max_queued_messages."""
    with (
        Broker(tmp_path, options=["max_queued_messages 20", "max_inflight_messages 10"]) as broker,
        Receiving(broker, ack=True) as receiving,
    ):
        receiving.until_subscribed()
        with _running(broker, agent, ack) as running:
            agent.samples(1)
            running.sender.wake()
            receiving.until(lambda: len(receiving.values) == 1)
            receiving.receiver.link.abort(Failure(Cause.LOST, "away"))
            receiving.receiver.turn()
            agent.samples(400)
            running.sender.wake()
            running.until(lambda: running.count("uplink_acked") >= agent.records)
            receiving.until_subscribed()
            agent.samples(1)
            running.sender.wake()
            if ack == "receiver":
                _until_forgotten(agent, receiving)
                _assert_complete(receiving, 402)
            else:
                receiving.until(lambda: not agent.unacked() and receiving.values[-1:] == [402 * 0.1])
                assert receiving.receiver.finish().missing > 300


def test_after_a_restart_of_the_agent_what_no_receiver_acknowledged_comes_again(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        with StoredAgent(tmp_path / "spool", A) as agent, _running(broker, agent) as running:
            agent.samples(20)
            running.sender.wake()
            running.until(lambda: running.count("uplink_acked") >= agent.records)
        with (
            StoredAgent(tmp_path / "spool", B) as agent,
            _running(broker, agent),
            Receiving(broker, ack=True) as receiving,
        ):
            _until_forgotten(agent, receiving)
            _assert_complete(receiving, 20)


def test_nobody_s_word_but_for_what_the_broker_took(tmp_path: Path) -> None:
    """Acknowledgements ahead, of other epochs, malformed, retained or hostile do no harm, and are counted."""
    outbox = MemoryOutbox(A)
    with Broker(tmp_path) as broker, Probe(broker) as probe:
        probe.publish(f"{DN}/ack", Ack(A, "sample", 99).encode(), retain=True)
        with Running(broker.url, outbox, tuning=CONFIRMED, ack="receiver") as running:
            running.until(lambda: running.count("uplink_requests") == 1)
            running.append("sample", b"1", b"2", b"3")
            running.until(lambda: running.sender.snapshot()["unconfirmed"] == 3)
            for payload in (
                b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"[" * 200, b"\x91" * 100, bytes(300),
                Ack(B, "sample", 3).encode(), Ack(A, "nothing", 3).encode(), Ack(A, "alarm", 3).encode(),
            ):  # fmt: skip
                probe.publish(f"{DN}/ack", payload)
            running.until(lambda: running.count("uplink_requests") == 10)
            assert outbox.waiting() == {"sample": 3}
            probe.publish(f"{DN}/ack", Ack(A, "sample", 2**62).encode())
            running.until(lambda: not outbox.waiting())
            running.append("sample", b"4")
            running.until(lambda: running.count("uplink_acked") >= 4)
            assert outbox.waiting() == {"sample": 1}, "what came later is not covered"
        counts = running.counters.snapshot()
        results = {k: v for k, v in counts.items() if k.startswith("uplink_requests")}
        assert results == {
            "uplink_requests{ack,retained}": 1, "uplink_requests{ack,malformed}": 5,
            "uplink_requests{ack,too_large}": 1, "uplink_requests{ack,unknown}": 3,
            "uplink_requests{ack,ahead}": 1,
        }  # fmt: skip


def test_without_the_option_an_acknowledgement_means_nothing(tmp_path: Path) -> None:
    outbox = MemoryOutbox(A)
    outbox.append("sample", b"1")
    with Broker(tmp_path) as broker, Probe(broker) as probe, Running(broker.url, outbox) as running:
        running.until_sent()
        probe.publish(f"{DN}/ack", Ack(A, "sample", 1).encode())
        running.until(lambda: running.counters.snapshot().get("uplink_requests{ack,off}") == 1)


def test_a_receiver_that_stays_away_is_said_and_not_fed_the_same_again_and_again(tmp_path: Path) -> None:
    outbox = MemoryOutbox(A)
    limits = {"confirm_ns": 50 * MS, "confirm_cap_ns": 100 * MS}
    with Broker(tmp_path) as broker, Running(broker.url, outbox, limits=limits, ack="receiver") as running:
        running.append("sample", *(b"%d" % number for number in range(500)))
        running.until(lambda: any("no receiver" in problem for problem in running.sender.problems()))
        sent = running.count("uplink_sent")
        rounds = 10 + 2
        assert sent <= 500 + 64 * rounds * 2
        assert outbox.waiting() == {"sample": 500}
