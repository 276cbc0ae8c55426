"""A listener between a daemon and its broker: passes every byte on at once, and notes when the PUBACK of an
alarm passes. How old the alarm is then says the record itself: by the monotonic clock of the machine, from
the last byte of the reply that raised it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from edge_agent.records import codec
from edge_agent.records.bodies import Alarm
from edge_agent.records.values import ALARM

_PUBLISH, _PUBACK = 3, 4
_LONGEST_ALARM = 512


class Tap:
    """One connection at a time; MQTT 5."""

    def __init__(self, url: str, enough: int) -> None:
        self.ages_ms: list[float] = []
        """Of every alarm that was raised or cleared, when its PUBACK came."""
        self.enough = threading.Event()
        self._wanted = enough
        self._broker = urlsplit(url)
        self._born: dict[int, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection((str(self._broker.hostname), self._broker.port or 1883))
                for link in (client, broker):
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(client, broker, self._sent), daemon=True).start()
                threading.Thread(target=self._pass, args=(broker, client, self._came), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, look: object) -> None:
        waiting = b""
        with suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                now = time.monotonic_ns()
                # As the daemon does: what it sees of the broker must not depend on the tap.
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                target.sendall(data)
                waiting += data
                for head, body in (found := _Packets(waiting)):
                    look(head, body, now)  # type: ignore[operator]
                waiting = waiting[found.used :]

    def _sent(self, head: int, body: bytes, _now: int) -> None:
        if head >> 4 != _PUBLISH or not head & 6 or len(body) > _LONGEST_ALARM:
            return
        at = 2 + int.from_bytes(body[:2])
        packet_id, at = int.from_bytes(body[at : at + 2]), at + 2
        properties, at = _number(body, at)
        payload = body[at + properties :]
        if payload[:1] != b"\x98":
            return
        record, what = codec.decode(payload)
        if record.stream == ALARM and isinstance(what, Alarm) and not what.repeated:
            self._born[packet_id] = record.t0.mono_ns

    def _came(self, head: int, body: bytes, now: int) -> None:
        if head >> 4 == _PUBACK and (born := self._born.pop(int.from_bytes(body[:2]), None)) is not None:
            self.ages_ms.append((now - born) / 1e6)
            if len(self.ages_ms) >= self._wanted:
                self.enough.set()


class _Packets:
    """The whole packets in `data`; `used` says how far they reach."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.used = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self.used + 2 <= len(self._data):
            try:
                length, begin = _number(self._data, self.used + 1)
            except IndexError:
                return
            if begin + length > len(self._data):
                return
            head, self.used = self._data[self.used], begin + length
            yield head, self._data[begin : begin + length]


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and where it ends. IndexError if it is cut short."""
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
