"""Delivery over networks that misbehave: what arrives is complete and in order, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.uplink.outbox import MemoryOutbox
from tests.contract.broker import Broker, Probe
from tests.contract.chaos_proxy import ChaosProxy
from tests.contract.uplink_rig import FAST, MS, ROOT, Running

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def _records(first: int, last: int) -> list[bytes]:
    return [b"record %05d" % number + b"." * 100 for number in range(first, last + 1)]


def _first_arrivals(probe: Probe, stream: str = "sample") -> list[bytes]:
    """In the order in which they first came, by either topic."""
    topics = {f"{ROOT}/data/{stream}", f"{ROOT}/hist/{stream}"}
    return list(dict.fromkeys(payload for topic, payload, _ in list(probe.messages) if topic in topics))


def _until_all(probe: Probe, expected: Sequence[bytes], timeout_s: float = 20.0) -> None:
    probe.wait_until(lambda _: set(_first_arrivals(probe)) >= set(expected), timeout_s)


def _outbox(count: int) -> MemoryOutbox:
    outbox = MemoryOutbox()
    for record in _records(1, count):
        outbox.append("sample", record)
    return outbox


def test_a_slow_link_is_not_taken_for_dead_and_alarms_pass_the_backlog(broker: Broker) -> None:
    """9600 bit/s, and an ack timeout far below the time the window needs on the line."""
    slow = replace(FAST, limits=replace(FAST.limits, ack_timeout_ns=1000 * MS), connack_timeout_ns=5000 * MS)
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy:
        proxy.bytes_per_s = 960
        proxy.delay_s = 0.1
        with Running(proxy.url, _outbox(22), tuning=slow) as running:
            running.until_state("connected")
            running.append("alarm", b"alarm")
            probe.wait_for(f"{ROOT}/data/alarm")
            assert len(_first_arrivals(probe)) < 22
            running.until(lambda: not running.outbox.waiting(), 30)
            assert running.count("uplink_connects") == 1 and running.count("uplink_failures") == 0
        assert _first_arrivals(probe) == _records(1, 22)


def test_a_link_with_long_delays_drains_in_order(broker: Broker) -> None:
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy:
        proxy.delay_s = 0.25
        tuning = replace(FAST, connack_timeout_ns=3000 * MS)
        with Running(proxy.url, _outbox(36), tuning=tuning, limits={"ack_timeout_ns": 2000 * MS}) as running:
            running.until_sent()
            assert running.count("uplink_connects") == 1
        assert _first_arrivals(probe) == _records(1, 36)
        assert running.count("uplink_sent") == 36


def test_a_half_open_link_is_noticed_while_data_go_on_coming(broker: Broker) -> None:
    """Each new record is taken by the system in between; that must not count as a sign of life."""
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy, Running(proxy.url) as running:
        running.until_state("connected")
        proxy.freeze()
        stop = threading.Event()

        def go_on() -> None:
            for record in _records(1, 16):
                running.append("sample", record)
                stop.wait(0.1)

        feeder = threading.Thread(target=go_on)
        feeder.start()
        running.until(lambda: running.counters.snapshot().get("uplink_failures{no_ack}", 0) == 1)
        taken = running.count("uplink_sent")
        stop.set()
        feeder.join()
        assert taken < 16, "it was noticed before the window was full"
        proxy.thaw()
        _until_all(probe, _records(1, 16))


def test_a_link_that_falls_silent_with_nothing_to_send_is_noticed_by_the_keep_alive(broker: Broker) -> None:
    with ChaosProxy(broker.port) as proxy, Running(proxy.url, keepalive_s=1) as running:
        running.until_state("connected")
        proxy.freeze()
        running.until(lambda: running.sender.snapshot()["state"] != "connected", 20)
        proxy.thaw()
        running.until_state("connected")


@pytest.mark.parametrize("after", [1, 30, 150, 777, 2000])
def test_a_connection_cut_in_the_middle_of_a_packet_loses_and_reorders_nothing(
    broker: Broker, after: int
) -> None:
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy, Running(proxy.url, _outbox(50)) as running:
        proxy.cut_after = after
        running.until(lambda: running.count("uplink_failures") >= 1)
        running.until_sent()
        _until_all(probe, _records(1, 50))
        assert _first_arrivals(probe) == _records(1, 50)
        assert not running.count("uplink_given_up")


@pytest.mark.parametrize("after", [60, 400, 1500])
def test_a_flipped_bit_costs_a_connection_at_most(broker: Broker, after: int) -> None:
    """TCP's checksum is weak; what a middlebox spoils inside a record only a receiver can tell (by its
    CRC-less msgpack: undecodable), but the stream of packets must find its way again."""
    with ChaosProxy(broker.port) as proxy, Running(proxy.url) as running:
        running.until_state("connected")
        proxy.corrupt_after = after
        running.append("sample", *_records(1, 50))
        running.until_sent()


def test_a_flapping_link_makes_progress_each_time_and_repeats_no_more_than_a_window(broker: Broker) -> None:
    """Up and down in turn; 5 s of the field are 0.25 s here."""
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy:
        with Running(proxy.url, _outbox(150), backlog_rate=150) as running:
            pause = threading.Event()
            while running.outbox.waiting() and running.count("uplink_connects") < 60:
                before = sum(running.outbox.waiting().values())
                proxy.accept()
                running.until(lambda b=before: sum(running.outbox.waiting().values()) < b)  # type: ignore[misc]
                pause.wait(0.25)
                proxy.refuse()
                pause.wait(0.25)
            proxy.accept()
            running.until_sent()
        _until_all(probe, _records(1, 150))
        assert _first_arrivals(probe) == _records(1, 150)
        repeats = running.count("uplink_sent") - 150
        assert repeats <= 20 * running.count("uplink_connects")
        assert not running.count("uplink_given_up")


def test_resets_while_live_data_come_lose_nothing(broker: Broker) -> None:
    with Probe(broker) as probe, ChaosProxy(broker.port) as proxy, Running(proxy.url) as running:
        running.until_state("connected")
        for number in range(0, 200, 20):
            running.append("sample", *_records(number + 1, number + 20))
            running.until(lambda n=number: running.count("uplink_acked") > n)  # type: ignore[misc]
            proxy.reset()
        running.until_sent()
        _until_all(probe, _records(1, 200))


@pytest.mark.parametrize("end", ["kill", "pause"])
def test_a_broker_that_dies_or_stops_in_the_middle_of_a_drain_loses_nothing(broker: Broker, end: str) -> None:
    """What it did not acknowledge is sent again. (What a killed one took with it is the business of
    receivers' acknowledgements.)"""
    with Probe(broker) as probe, Running(broker.url, _outbox(300), backlog_rate=500) as running:
        running.until(lambda: running.count("uplink_acked") > 50)
        getattr(broker, end)()
        running.until(lambda: running.sender.snapshot()["state"] != "connected")
        assert running.outbox.waiting()
        broker.resume() if end == "pause" else broker.start()
        running.until_sent()
        if end == "pause":
            _until_all(probe, _records(1, 300))
        assert not running.count("uplink_given_up")
