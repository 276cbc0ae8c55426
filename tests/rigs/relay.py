"""A TCP relay on loopback that can be cut and joined: one client's way to a server all share.

with Relay(broker.port) as relay:
    ... connect to relay.port ...
    relay.cut(); relay.join()

What a slow or lying network does is not its business.
"""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    def __init__(self, port: int) -> None:
        self._target = port
        self._joined = True
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Connections end, and new ones too as soon as they are made."""
        with self._lock:
            self._joined = False
            gone = list(self._sockets)
        for one in gone:
            _shut(one)

    def join(self) -> None:
        self._joined = True

    def close(self) -> None:
        self.cut()
        _shut(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                if not self._joined:
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                pair = (client.dup(), server)
                for source, sink in (pair, pair[::-1]):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with self._lock:
            self._sockets.add(source)
            joined = self._joined
        if not joined:
            _shut(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        _shut(sink)
        with self._lock:
            self._sockets.discard(source)
        # Each direction closes what it reads from, so that both are closed once.
        source.close()


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
