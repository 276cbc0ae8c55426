"""How fast the broker itself takes QoS 1: publishers that do nothing but publish what they were given.

Two of them: paho driven by hand with as many messages unanswered as the agent has, and a plain socket that
writes packets made beforehand, which is the broker's own limit more than any client's.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

WINDOW = 20
"""As the agent's."""


def paho_per_s(url: str, topic: str, payloads: Sequence[bytes]) -> float:
    """Acknowledged publishes a second."""
    acked = 0

    def on_publish(*_: Any) -> None:
        nonlocal acked
        acked += 1

    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id="bench-paho", protocol=MQTTProtocolVersion.MQTTv5
    )
    client.on_publish = on_publish
    client.max_inflight_messages_set(WINDOW)
    client.connect(*_address(url))
    while not client.is_connected():
        client.loop(0.1)
    sent, begin = 0, time.perf_counter()
    while acked < len(payloads):
        while sent < len(payloads) and sent - acked < WINDOW:
            client.publish(topic, payloads[sent], qos=1)
            sent += 1
        client.loop(1.0)
    elapsed = time.perf_counter() - begin
    client.disconnect()
    return len(payloads) / elapsed


def socket_per_s(url: str, topic: str, payloads: Sequence[bytes]) -> float:
    """The same without a client: packets are made before, and answers are counted, not read."""
    packets = [_publish(topic, number % 65535 + 1, payload) for number, payload in enumerate(payloads)]
    with socket.create_connection(_address(url)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(
            _packet(0x10, struct.pack(">H4sBBH", 4, b"MQTT", 5, 2, 60) + b"\0" + _text("bench-socket"))
        )
        link.recv(1024)
        sent = answered = 0
        begin = time.perf_counter()
        while answered < len(packets):
            free = min(len(packets) - sent, WINDOW - (sent - answered))
            link.sendall(b"".join(packets[sent : sent + free]))
            sent += free
            select.select([link], [], [])
            # A PUBACK without a reason is 4 bytes; mosquitto adds 2 where nobody has subscribed.
            answered += _pubacks(link.recv(65536))
            # As the agent does: mosquitto's Nagle would wait for our delayed ACK.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return len(packets) / (time.perf_counter() - begin)


def _pubacks(data: bytes) -> int:
    count, at = 0, 0
    while at < len(data):
        assert data[at] == 0x40, data[at:].hex()
        at += 2 + data[at + 1]
        count += 1
    assert at == len(data), "an answer came in two pieces"
    return count


def _publish(topic: str, packet_id: int, payload: bytes) -> bytes:
    return _packet(0x32, _text(topic) + packet_id.to_bytes(2) + b"\0" + payload)


def _packet(head: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes((digit | (0x80 if size else 0),))
        if not size:
            return bytes((head,)) + length + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2) + text.encode()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 1883
