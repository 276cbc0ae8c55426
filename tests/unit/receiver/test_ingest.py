"""What the receiver does about a database that is away, without one and without a broker."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.model import NS
from edge_agent.receiver.database.door import Away
from edge_agent.receiver.database.entries import Batch
from edge_agent.receiver.database.shape import Written
from edge_agent.receiver.fill import Filler
from edge_agent.receiver.ingest import Ingest, IngestOptions
from edge_agent.receiver.intake import Intake
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.wire import ConnectOptions, Down, Event, Message, Received
from edge_agent.uplink.reasons import Cause, Failure
from tests.contract.agent_records import FakeAgent, sample, small_site

TOPIC = "ea1/plant-a/press/up/data/"


class _Store:
    """Away as often as it is told."""

    def __init__(self) -> None:
        self.away: list[str] = []
        self.attempts = 0
        self.stored: list[bytes] = []

    def dictionary(self, dict_hash: bytes) -> None:
        return None

    def resolve(self, reader: object) -> int:
        return 0

    def status(self, *_: object) -> None: ...

    def write(self, batch: Batch) -> Written:
        self.attempts += 1
        if self.away:
            raise Away(self.away.pop(0))
        self.stored += [entry.payload for entry in batch.entries]
        return Written(records=len(batch.entries))


class _Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = _Store()
        connect = ConnectOptions(address=address.parse("mqtt://127.0.0.1:1"), client_id="x")
        store: Any = self.store
        self.ingest = Ingest(connect, store, self.clock, Counters(), IngestOptions())
        self.events: list[Event] = []
        self.acknowledged: list[int] = []
        link: Any = self.ingest.link
        link.turn = lambda: [self.events.pop(0) for _ in range(len(self.events))]
        link.acknowledge = lambda received: self.acknowledged.append(received.mid)

    def turn(self, *events: Event, after_s: float = 0.1) -> None:
        self.events += events
        self.ingest.turn()
        self.clock.advance(round(after_s * NS))


@pytest.fixture
def messages() -> list[Received]:
    agent = FakeAgent(small_site(), b"\x01" * 8)
    agent.add(sample(1))
    return [
        Received(Message(topic=TOPIC + record.stream, payload=record.data), mid, 1)
        for mid, record in enumerate(agent.records, 1)
    ]


def test_nothing_is_acknowledged_before_it_is_stored(messages) -> None:
    rig = _Rig()
    rig.store.away = ["away"] * 3
    rig.turn(*messages)
    for _ in range(100):
        rig.turn()
        assert bool(rig.acknowledged) is bool(rig.store.stored)
    assert rig.acknowledged == [received.mid for received in messages]
    assert rig.store.attempts == 4 and not rig.ingest._intake


def test_pauses_grow_while_the_database_is_away(messages) -> None:
    rig = _Rig()
    rig.store.away = ["away"] * 1000
    rig.turn(*messages)
    for _ in range(6000):
        rig.turn()
    # Ten minutes: five attempts in the first 18.5 s, then one in 30 s.
    assert 20 <= rig.store.attempts <= 27


def test_each_reason_is_said_once_and_so_is_the_end(messages, caplog) -> None:
    rig = _Rig()
    rig.store.away = ["gone"] * 3 + ["full"] * 3
    rig.turn(*messages)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            rig.turn()
    said = [record.getMessage().splitlines()[0] for record in caplog.records]
    assert said == ["gone", "full", "the database is back"]


def test_what_was_read_is_stored_though_the_connection_went(messages) -> None:
    """The broker may have lost it. Its acknowledgement belongs to the connection that is gone."""
    rig = _Rig()
    rig.store.away = ["away"]
    rig.turn(*messages, Down(Failure(Cause.LOST, "gone")))
    again = [Received(received.message, 100 + received.mid, 1) for received in messages]
    rig.turn(*again)
    for _ in range(20):
        rig.turn()
    assert rig.store.stored == [received.message.payload for received in messages], "once each"
    assert rig.acknowledged == [received.mid for received in again]


def test_what_nobody_sends_again_gives_way_when_there_is_no_room() -> None:
    intake = Intake(lambda _: None, Filler(0), most=3)
    numbers = [Message(topic=TOPIC + "sample", payload=bytes([n])) for n in range(5)]
    assert [intake.put(message, sure=False) for message in numbers] == [True, True, True, False, False]
    assert intake.put(numbers[4], sure=True) and len(intake) == 4
    assert not intake.put(Message(topic="what/ever", payload=b"x"), sure=True)
