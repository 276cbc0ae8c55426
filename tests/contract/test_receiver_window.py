"""Receivers against a broker that allows few messages ahead of its answers."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.receiver.database.sqlite import SqliteDatabase
from edge_agent.receiver.database.store import Store
from edge_agent.receiver.ingest import Ingest, IngestOptions
from edge_agent.receiver.receiver import Receiver
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.wire import ConnectOptions
from tests.contract.agent_records import FakeAgent, small_site
from tests.contract.stub_broker import StubBroker, publish_id, read_packet

AGENTS = 12
ALLOWED = 2
_PATIENCE_S = 30


class _Strict:
    """Sends the first record of every agent, and answers only when nothing more comes by itself."""

    def __init__(self) -> None:
        self.most = 0
        self.answered = 0
        self.done = threading.Event()

    def __call__(self, connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(b"\x20\x06\x00\x00\x03\x21" + ALLOWED.to_bytes(2))
        waiting: list[bytes] = []
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 8:
                _serve_records(connection)
            elif packet[0] >> 4 == 3:
                waiting.append(publish_id(packet))
                self.most = max(self.most, len(waiting))
            if not select.select([connection], [], [], 0.05)[0]:
                self.answered += len(waiting)
                connection.sendall(b"".join(b"\x40\x02" + number for number in waiting))
                waiting.clear()
            if self.answered >= AGENTS:
                self.done.set()


def _serve_records(connection: socket.socket) -> None:
    for number in range(AGENTS):
        record = FakeAgent(small_site(), bytes([number + 1]) * 8).records[0]
        topic = f"ea1/plant-a/agent{number}/up/data/{record.stream}".encode()
        body = len(topic).to_bytes(2) + topic + (number + 1).to_bytes(2) + b"\0" + record.data
        length = len(body)
        connection.sendall(b"\x32" + bytes([length & 0x7F | 0x80, length >> 7]) + body)


@contextmanager
def _receiving(kind: str, options: ConnectOptions, directory: Path) -> Iterator[Receiver | Ingest]:
    clock = SystemClock()
    if kind == "shown":
        receiver = Receiver(options, lambda _item: None, lambda: None, clock, Counters(), ack=True)
        with closing(receiver.link):
            yield receiver
    else:
        store = Store(SqliteDatabase(directory / "records.db"), clock)
        ingest = Ingest(options, store, clock, Counters(), IngestOptions(ack=True))
        with closing(store), closing(ingest.link):
            yield ingest


@pytest.mark.parametrize("kind", ["shown", "stored"])
def test_no_more_acknowledgements_are_on_their_way_than_the_broker_allows(kind: str, tmp_path: Path) -> None:
    strict = _Strict()
    with StubBroker(strict) as broker:
        options = ConnectOptions(address=address.parse(broker.url), client_id="receiver", manual_ack=True)
        deadline = time.monotonic() + _PATIENCE_S
        with _receiving(kind, options, tmp_path) as receiver:
            while not strict.done.is_set():
                assert time.monotonic() < deadline, "some were never acknowledged"
                receiver.turn()
                receiver.link.wait(0.02)
    assert strict.most <= ALLOWED
