"""Brokers that misbehave: a script of replies on a loopback socket, one connection after another."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Handler = Callable[[socket.socket, bytes], None]
"""Gets the connection and the CONNECT packet; returning closes the connection."""

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"


class StubBroker:
    """Each connection is handled by the next handler; the last one serves all that follow."""

    def __init__(self, *handlers: Handler) -> None:
        self._handlers = list(handlers)
        self.connects: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def versions(self) -> list[int]:
        """Protocol level of each CONNECT so far."""
        return [connect[6] for connect in self.connects]

    def __enter__(self) -> StubBroker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._server.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._server.accept()
                with connection:
                    connection.settimeout(2.0)
                    self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        connect = read_packet(connection)
        if connect is None:
            return
        body = connect[2:] if connect[1] < 0x80 else connect[3:]
        self.connects.append(body)
        handler = self._handlers.pop(0) if len(self._handlers) > 1 else self._handlers[0]
        handler(connection, connect)


def read_packet(connection: socket.socket) -> bytes | None:
    """One whole MQTT packet, None at the end of the connection."""
    head = _exactly(connection, 2)
    if head is None:
        return None
    length, shift = head[1] & 0x7F, 7
    while head[-1] & 0x80:
        more = _exactly(connection, 1)
        if more is None:
            return None
        head += more
        length |= (more[0] & 0x7F) << shift
        shift += 7
    body = _exactly(connection, length)
    return None if body is None else head + body


def replies(*packets: bytes, linger: bool = True) -> Handler:
    """Send these at once; then wait until the client leaves, or close at once."""

    def handle(connection: socket.socket, _connect: bytes) -> None:
        for packet in packets:
            connection.sendall(packet)
        while linger and read_packet(connection) is not None:
            continue

    return handle


def answers(connack: bytes, answer: Callable[[bytes], bytes]) -> Handler:
    """Accept, then answer every QoS 1 PUBLISH with `answer(packet id)`."""

    def handle(connection: socket.socket, _connect: bytes) -> None:
        connection.sendall(connack)
        while (packet := read_packet(connection)) is not None:
            if packet[0] >> 4 == 3:
                connection.sendall(answer(publish_id(packet)))

    return handle


def publish_id(packet: bytes) -> bytes:
    """The packet id of a QoS 1 PUBLISH."""
    body = packet[2:] if packet[1] < 0x80 else packet[3:]
    topic_bytes = int.from_bytes(body[:2])
    return body[2 + topic_bytes : 4 + topic_bytes]


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        try:
            piece = connection.recv(count - len(data))
        except OSError:
            return None
        if not piece:
            return None
        data += piece
    return data
