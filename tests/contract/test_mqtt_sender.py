"""The sender against a real mosquitto: what arrives, in which order, and through broker trouble."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.model import MonoNs, Severity, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.uplink.outbox import Births, MemoryOutbox
from tests.contract.broker import Broker, Probe
from tests.contract.uplink_rig import ROOT, Running

pytestmark = pytest.mark.needs("mosquitto")


def _alarm(name: str, active: bool, mono: int = 1) -> AlarmTransition:
    return AlarmTransition(
        name=name, device="press", point="pressure", active=active, value=8.4 if active else None,
        mono_ns=MonoNs(mono), wall_ns=WallNs(1_700_000_000_000_000_000), severity=Severity.CRITICAL,
    )  # fmt: skip


def test_births_and_status_come_before_data_and_are_retained(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    outbox.set_births(Births((b"now", b"more"), (b"old",)))
    outbox.append("sample", b"before")
    with Broker(tmp_path) as broker, Probe(broker) as probe:
        with Running(broker.url, outbox) as running:
            running.until_sent()
            running.append("sample", b"after")
            running.until_sent()
        probe.wait_for(f"{ROOT}/data/sample")
        topics = [topic.removeprefix(ROOT + "/") for topic, _, _ in probe.messages]
        assert topics[:4] == ["hist/birth", "birth", "birth/1", "status"]
        assert topics[4:6] == ["hist/sample", "data/sample"]
        with Probe(broker) as late:
            assert late.wait_for(f"{ROOT}/birth") == b"now"
            assert json.loads(late.wait_for(f"{ROOT}/status"))["reason"] == "stopped"


def test_the_last_will_says_offline_when_the_agent_vanishes(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Probe(broker) as probe, Running(broker.url) as running:
        running.until_state("connected")
        probe.wait_until(lambda messages: len(messages) == 1)
        running.sender._link._connection._guarded.close()  # type: ignore[union-attr]
        probe.wait_until(lambda messages: any(b"connection lost" in p for _, p, _ in messages))
        running.until(lambda: running.count("uplink_connects") == 2)


def test_alarms_pass_a_backlog(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    for number in range(500):
        outbox.append("sample", b"%d" % number)
    with Broker(tmp_path) as broker, Probe(broker) as probe, Running(broker.url, outbox) as running:
        running.until_state("connected")
        running.append("alarm", b"alarm")
        probe.wait_for(f"{ROOT}/data/alarm")
        assert len(probe.payloads(f"{ROOT}/hist/sample")) < 400
        assert probe.payloads(f"{ROOT}/hist/sample") == [
            b"%d" % n for n in range(len(probe.payloads(f"{ROOT}/hist/sample")))
        ]


def test_the_alarm_mirror_shows_present_states_and_nothing_when_normal(tmp_path: Path) -> None:
    states = [_alarm("overpressure", True), _alarm("press.silent", False)]
    with Broker(tmp_path) as broker, Running(broker.url, alarms=lambda: states) as running:
        with Probe(broker) as probe:
            document = json.loads(probe.wait_for(f"{ROOT}/alarm/overpressure"))
            assert document["state"] == "active" and document["value"] == 8.4
            running.sender.alarm_changed(_alarm("overpressure", False, mono=2))
            probe.wait_for(f"{ROOT}/alarm/overpressure", b"")
        states.clear()
        with Probe(broker) as late:
            late.wait_for(f"{ROOT}/status")
            assert late.payloads(f"{ROOT}/alarm/overpressure") == []


def test_the_agent_starts_without_a_broker_and_sends_when_it_comes(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    with Running(broker.url) as running:
        running.append("sample", b"1", b"2")
        snapshot = running.until_cause("unreachable")
        assert "is a broker running there" in snapshot["hint"]
        with broker:
            running.until_sent()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_is_lost_over_a_restart_of_the_broker(tmp_path: Path, end: str) -> None:
    broker = Broker(tmp_path)
    with broker, Running(broker.url) as running:
        running.append("sample", b"1")
        running.until_sent()
        getattr(broker, end)()
        running.append("sample", b"2")
        running.until(lambda: running.sender.snapshot()["state"] != "connected")
        assert running.outbox.waiting()["sample"] == 1
        broker.start()
        running.until_sent()
        assert running.count("uplink_acked") == 2


def test_a_half_open_connection_is_noticed_within_the_ack_timeout(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Running(broker.url) as running:
        running.until_state("connected")
        broker.pause()
        running.append("sample", b"unanswered")
        running.until(lambda: running.counters.snapshot().get("uplink_failures{no_ack}", 0) >= 1)
        # Until it answers again, dialling it brings no CONNACK.
        running.until_cause("timeout")
        broker.resume()
        running.until_sent()


def test_two_agents_with_one_identity_soon_stop_throwing_each_other_out(tmp_path: Path) -> None:
    with (
        Broker(tmp_path) as broker,
        Running(broker.url) as first,
        Running(broker.url) as second,
    ):
        # This mosquitto hangs up without DISCONNECT 0x8E, so the pattern has to tell.
        first.until(lambda: "flapping" in {r.sender.snapshot()["cause"] for r in (first, second)})
        waiting = next(r for r in (first, second) if r.sender.snapshot()["cause"] == "flapping")
        assert "one site and id" in waiting.sender.snapshot()["hint"]


def test_a_stop_under_backlog_ends_in_time_and_says_offline(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    for number in range(5000):
        outbox.append("sample", b"%d" % number)
    with Broker(tmp_path) as broker:
        with Running(broker.url, outbox, backlog_rate=100) as running:
            running.until_state("connected")
            running.append("event", b"last words")
        assert outbox.waiting()["sample"] > 1000
        assert "event" not in outbox.waiting()
        with Probe(broker) as late:
            assert json.loads(late.wait_for(f"{ROOT}/status"))["state"] == "offline"


def test_health_is_said_again_and_again_and_not_retained(tmp_path: Path) -> None:
    topic = f"{ROOT}/health"
    with Broker(tmp_path) as broker:
        with Probe(broker) as probe, Running(broker.url, health=lambda: {"state": "ok"}) as running:
            probe.wait_until(lambda _: len(probe.payloads(topic)) >= 3)
            document = json.loads(probe.payloads(topic)[0])
            assert document["state"] == "ok"
            assert document["epoch"] == running.outbox.epoch.hex()
        with Probe(broker) as late:
            late.wait_for(f"{ROOT}/status")
            assert not late.payloads(topic)
