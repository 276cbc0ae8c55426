"""The receiver against a real mosquitto, with records of the real writer sent by the real sender."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.model import NS
from edge_agent.receiver.receiver import Receiver
from edge_agent.records.values import Recovery
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.backoff import BackoffPolicy
from edge_agent.uplink.connection.wire import ConnectOptions, MqttVersion
from edge_agent.uplink.outbox import Births, MemoryOutbox
from tests.contract.agent_records import FakeAgent, alarm, sample, small_site, summary
from tests.contract.broker import Broker, Probe
from tests.contract.uplink_rig import Running

pytestmark = pytest.mark.needs("mosquitto")

MS = 1_000_000
A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))


class Receiving:
    """A receiver turned by the test itself, so that it can be stopped anywhere, as by SIGKILL."""

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str = "receiver",
        version: MqttVersion = MqttVersion.V5,
        **options: Any,
    ) -> None:
        self.items: list[dict[str, Any]] = []
        self.receiver = Receiver(
            ConnectOptions(
                address=address.parse(broker.url), client_id=client_id, clean=False,
                session_expiry_s=600, manual_ack=True, protocol=version,
            ),
            self.items.append,
            lambda: None,
            SystemClock(),
            Counters(),
            policy=BackoffPolicy(floor_ns=20 * MS, cap_ns=50 * MS),
            **options,
        )  # fmt: skip

    def until(self, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self.receiver.finish()} {self.items[-5:]} {self.receiver.link.snapshot()}"
                )
            self.receiver.turn()
            self.receiver.link.wait(0.02)

    def until_subscribed(self) -> None:
        self.until(lambda: self.receiver.link.is_up)
        settled = time.monotonic() + 0.1
        self.until(lambda: time.monotonic() > settled)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.items if item["kind"] == kind]

    @property
    def values(self) -> list[Any]:
        return [item["value"] for item in self.of_kind("sample")]

    def __enter__(self) -> Receiving:
        return self

    def __exit__(self, *_: object) -> None:
        self.receiver.link.close()


def _die(receiving: Receiving) -> None:
    """The process is gone without a word."""
    receiving.receiver.link._connection._guarded.close()  # type: ignore[union-attr]


def test_every_value_arrives_once_and_none_is_missing(tmp_path: Path) -> None:
    agent = FakeAgent(small_site("pressure", "speed"), A)
    with Broker(tmp_path) as broker, Receiving(broker) as receiving:
        receiving.until_subscribed()
        with Running(broker.url, agent.outbox) as running:
            for number in range(100):
                agent.add(sample(number, number), sample(number * 2, number, point=1))
                running.sender.wake()
            agent.add(summary(5.0), alarm(True))
            running.sender.wake()
            receiving.until(lambda: bool(receiving.of_kind("alarm") and receiving.of_kind("summary")))
            receiving.until(lambda: len(receiving.values) == 200)
        pressure = [item["value"] for item in receiving.of_kind("sample") if item["point"] == "pressure"]
        # Live records and backlog are two orders; together they are everything once.
        assert sorted(pressure) == pytest.approx([number * 0.1 for number in range(100)])
        counts = receiving.receiver.finish()
        assert (counts.missing, counts.duplicates, counts.gaps, counts.undecodable) == (0, 0, 0, 0)
        first = receiving.of_kind("sample")[0]
        assert first["unit"] == "bar" and first["quality"] == "good" and first["epoch"] == A.hex()


@pytest.mark.parametrize("version", MqttVersion)
def test_a_receiver_that_was_away_gets_everything_from_the_broker(
    tmp_path: Path, version: MqttVersion
) -> None:
    agent = FakeAgent(small_site(), A)
    with (
        Broker(tmp_path, persistent=True) as broker,
        Running(broker.url, agent.outbox, protocol=version.label) as running,
    ):
        with Receiving(broker, version=version) as early:
            early.until_subscribed()
            agent.add(sample(1))
            running.sender.wake()
            early.until(lambda: len(early.values) == 1)
        for number in range(50):
            agent.add(sample(number))
            running.sender.wake()
        running.until_sent()
        with Receiving(broker, version=version) as late:
            late.until(lambda: len(late.values) == 50)


def test_what_was_not_acknowledged_is_not_lost_with_the_receiver(tmp_path: Path) -> None:
    state = tmp_path / "state"
    agent = FakeAgent(small_site(), A)
    with Broker(tmp_path) as broker:
        first = Receiving(broker, state_file=state)
        first.until_subscribed()
        # Killed while it prints: nothing of that turn is saved or acknowledged.
        first.receiver._emit = lambda item: (_ for _ in ()).throw(BrokenPipeError())
        with Running(broker.url, agent.outbox) as running:
            agent.add(sample(7))
            running.sender.wake()
            with pytest.raises(BrokenPipeError):
                first.until(lambda: False)
            _die(first)
            with Receiving(broker, state_file=state) as second:
                second.until(lambda: second.values == [pytest.approx(0.7)])
                assert second.receiver.finish().missing == 0


def test_the_state_file_recognises_duplicates_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    agent = FakeAgent(small_site(), A)
    records = list(agent.records)
    with Broker(tmp_path) as broker:
        with Receiving(broker, state_file=state) as first, Running(broker.url, agent.outbox) as running:
            first.until_subscribed()
            agent.add(sample(7))
            running.sender.wake()
            first.until(lambda: len(first.values) == 1)
        with Receiving(broker, state_file=state) as second, Probe(broker) as probe:
            second.until_subscribed()
            for record in agent.records[len(records) :]:
                probe.publish(f"ea1/plant-a/press/up/hist/{record.stream}", record.data)
            second.until(lambda: second.receiver.counts.duplicates == 1)
            assert second.values == []


def test_records_wait_for_their_dictionary(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), A)
    agent.add(sample(7))
    birth, data = agent.records[1], agent.records[-1]
    with Broker(tmp_path) as broker, Receiving(broker) as receiving, Probe(broker) as probe:
        receiving.until_subscribed()
        probe.publish("ea1/plant-a/press/up/data/sample", data.data)
        receiving.until(lambda: bool(receiving.receiver._held))
        assert receiving.values == []
        probe.publish("ea1/plant-a/press/up/birth", birth.data, retain=True)
        receiving.until(lambda: receiving.values == [pytest.approx(0.7)])


def test_a_backlog_from_before_a_change_decodes_with_its_own_dictionary(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    old = FakeAgent(small_site("pressure", "speed"), A, outbox=outbox)
    old.add(sample(1, point=0), sample(2, point=1))
    outbox.set_births(Births((), tuple(r.data for r in old.records if r.kind == 2)))
    previous = Recovery(epoch=A, last=old.last, certain={"sample": old.records[-1].until_ns})
    new = FakeAgent(small_site("speed", "pressure"), B, previous, outbox)
    new.add(sample(3, 5, point=0), sample(4, 5, point=1))
    with Broker(tmp_path) as broker, Receiving(broker) as receiving:
        receiving.until_subscribed()
        with Running(broker.url, outbox):
            receiving.until(lambda: len(receiving.values) == 4)
        found = {(i["epoch"][:2], i["point"]): round(i["value"], 6) for i in receiving.of_kind("sample")}
    assert found == {
        ("01", "pressure"): 0.1,
        ("01", "speed"): 0.2,
        ("02", "speed"): 0.3,
        ("02", "pressure"): 0.4,
    }
    gaps = receiving.of_kind("gap")
    assert [(gap["lost_stream"], gap["reason"]) for gap in gaps] == [("sample", "interrupted")]
    assert receiving.receiver.finish().missing == 0


def test_a_lost_record_is_reported_as_missing(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), A)
    for number in range(5):
        agent.add(sample(number))
    with Broker(tmp_path) as broker, Receiving(broker) as receiving, Probe(broker) as probe:
        receiving.until_subscribed()
        for record in agent.records:
            if (record.stream, record.seq) != ("sample", 4):
                probe.publish(f"ea1/plant-a/press/up/data/{record.stream}", record.data)
        receiving.until(lambda: len(receiving.values) == 4)
        missing = receiving.receiver.continuity.missing()
        assert [(m.stream, m.first, m.last) for m in missing] == [("sample", 4, 4)]


def test_application_acks_say_up_to_where_everything_arrived(tmp_path: Path) -> None:
    agent = FakeAgent(small_site(), A)
    wanted = {"epoch": A, "stream": "sample", "upto": 2}
    with (
        Broker(tmp_path) as broker,
        Probe(broker, "ea1/+/+/dn/#") as probe,
        Receiving(broker, ack=True) as receiving,
        Running(broker.url, agent.outbox) as running,
    ):
        receiving.until_subscribed()
        agent.add(sample(1))
        running.sender.wake()

        def acked() -> bool:
            """Whatever it missed before it was subscribed (`from`)."""
            said = [msgpack.unpackb(payload) for _, payload, _ in list(probe.messages)]
            return any(wanted.items() <= one.items() for one in said)

        receiving.until(acked)


def test_hostile_payloads_are_counted_and_do_not_stop_it(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Receiving(broker) as receiving, Probe(broker) as probe:
        receiving.until_subscribed()
        hostile = (b"", b"\xff" * 100, b"\x98", b"{}", b"\xdd\xff\xff\xff\xff", b"\x91" * 20000)
        for payload in hostile:
            probe.publish("ea1/plant-a/press/up/data/sample", payload)
            probe.publish("ea1/plant-a/press/up/hist/birth", payload)
            probe.publish("ea1/plant-a/press/up/status", payload)
        probe.publish("ea1/plant-a/press/up/status", b'{"state":"online","t":"x"}')
        receiving.until(lambda: bool(receiving.of_kind("status")))
        assert receiving.receiver.counts.undecodable >= 2 * len(hostile) - 2


def test_it_ends_when_told(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        receiving = Receiving(broker)
        stop = threading.Event()
        clock = SystemClock()
        thread = threading.Thread(target=receiving.receiver.run, args=(stop, clock.mono_ns() + 60 * NS))
        thread.start()
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
