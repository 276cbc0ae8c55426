"""A TCP proxy that does to a connection what networks do: delay, throttle, fall silent, reset, cut, corrupt.

    with ChaosProxy(broker.port) as proxy:
        ... proxy.url ...
        proxy.bytes_per_s = 960; proxy.freeze(); proxy.thaw(); proxy.reset()

One thread per direction of each connection; what is set holds from the next piece on.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque

_PIECE = 2048
_TICK_S = 0.01
_RESET = struct.pack("ii", 1, 0)


class ChaosProxy:
    def __init__(self, port: int) -> None:
        self._target = port
        self.delay_s = 0.0
        """One way, in both directions."""
        self.bytes_per_s = 0.0
        """To the broker and back, each; 0: as fast as it goes."""
        self.cut_after: int | None = None
        """So many more bytes to the broker, then the connection is reset, in the middle of a packet."""
        self.corrupt_after: int | None = None
        """So many more bytes to the broker, then one bit of the next is flipped."""
        self.connections = 0
        self._open = threading.Event()
        self._open.set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._stop = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        # A small buffer, or the sender's system would be done with everything before it is on the line.
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._server.settimeout(0.05)
        self.port: int = self._server.getsockname()[1]

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Half-open: nothing passes, nobody is told."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Both sides of every connection are told at once."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(*pair)

    def refuse(self) -> None:
        """The line is down: what comes is reset at once, what is there too."""
        self._open.clear()
        self.reset()

    def accept(self) -> None:
        self._open.set()

    def __enter__(self) -> ChaosProxy:
        self._start(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._flowing.set()
        self.reset()
        for thread in self._threads:
            thread.join(5)
        self._server.close()

    # --- inside -------------------------------------------------------------------------------

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._server.accept()
                self._one(client)

    def _one(self, client: socket.socket) -> None:
        if not self._open.is_set():
            _reset(client)
            return
        try:
            broker = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            _reset(client)
            return
        self.connections += 1
        with self._lock:
            self._pairs.append((client, broker))
        for source, target, up in ((client, broker, True), (broker, client, False)):
            self._start(self._pump, source, target, up)

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        """Read, hold for the delay, hand on at the rate; a bounded piece at a time, so that whoever sends
        feels the line."""
        held: deque[tuple[float, bytes]] = deque()
        with contextlib.suppress(OSError, ValueError):
            while not self._stop.is_set():
                if not self._flowing.wait(0.05):
                    continue
                room = sum(len(data) for _, data in held) < _PIECE
                readable, _, _ = select.select([source] if room else [], [], [], _TICK_S if held else 0.05)
                if readable:
                    size = max(16, int(self.bytes_per_s * _TICK_S)) if self.bytes_per_s else _PIECE
                    data = source.recv(size)
                    if not data:
                        break
                    held.append((time.monotonic() + self.delay_s, data))
                while held and held[0][0] <= time.monotonic() and self._flowing.is_set():
                    data = self._spoil(held.popleft()[1]) if up else held.popleft()[1]
                    target.sendall(data)
                    if up and self.cut_after is not None and self.cut_after <= 0:
                        self.cut_after = None
                        self.reset()
                        return
                    if self.bytes_per_s:
                        self._stop.wait(len(data) / self.bytes_per_s)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _spoil(self, data: bytes) -> bytes:
        if self.cut_after is not None:
            data = data[: max(1, self.cut_after)]
            self.cut_after -= len(data)
        if self.corrupt_after is not None:
            if self.corrupt_after < len(data):
                at, self.corrupt_after = self.corrupt_after, None
                return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
            self.corrupt_after -= len(data)
        return data


def _reset(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RD)
        with contextlib.suppress(OSError):
            end.close()
