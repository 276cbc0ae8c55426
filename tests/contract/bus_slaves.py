"""Slaves that behave by unit id, on a pseudo-terminal, on a TCP socket, inside TLS.

Unit 1 answers with register values that tell their address; 2 answers exception 2; 3 is silent; 4
answers as unit 104; 5 answers half a frame; 6 to 9 are in `framings`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
import tty
from functools import partial
from pathlib import Path

from tests.contract.framings import (
    BREAKS_OFF,
    MBAP,
    REFUSING,
    RTU,
    SILENT,
    WRONG_UNIT,
    Framing,
    answer,
    data_for,
)

__all__ = [
    "BREAKS_OFF",
    "REFUSING",
    "SILENT",
    "WRONG_UNIT",
    "Bridge",
    "PtySlave",
    "TcpSlave",
    "data_for",
    "rtu_reply",
    "tcp_reply",
]

rtu_reply = partial(answer, RTU)
tcp_reply = partial(answer, MBAP)


class Slave:
    """What slaves on a pseudo-terminal and on a socket do alike. `reply` may be replaced."""

    def __init__(self, reply, framing: Framing) -> None:
        self.reply = reply or partial(answer, framing)
        self.framing = framing
        self.requests: list[bytes] = []
        self.dribbles = False
        """Every byte by itself."""
        self._held: bytes | None = None

    def hold(self) -> None:
        """Keep the next reply back until `release`."""
        self._held = b""

    def release(self) -> None:
        held, self._held = self._held, None
        self.say(held or b"")

    def hear(self, heard: bytes) -> bytes:
        """Answer what is whole of `heard`; what is left."""
        while True:
            request, heard = self.framing.split(heard)
            if not request:
                return heard
            self.requests.append(request)
            reply = self.reply(request)
            if self._held == b"":
                self._held = reply
            elif self.dribbles:
                for at in range(len(reply)):
                    self.say(reply[at : at + 1])
                    time.sleep(0.0005)
            else:
                self.say(reply)

    def say(self, data: bytes) -> None:
        raise NotImplementedError


class PtySlave(Slave):
    """On the far end of a pseudo-terminal; `path` is the port.

    With `link` that is the port, and it is gone with the adapter: the number of an unplugged terminal is soon
    another test's, and who tries to open the port again by it would find that one.
    """

    def __init__(self, reply=None, framing: Framing = RTU, link: Path | None = None) -> None:
        super().__init__(reply, framing)
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._link = link
        if link:
            link.symlink_to(os.ttyname(slave))
        self.path = str(link) if link else os.ttyname(slave)
        # The slave side stays open here, so that closing the port does not hang up the master.
        self._slave = slave
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        heard = b""
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            heard = self.hear(heard + os.read(self._master, 4096))

    def say(self, data: bytes) -> None:
        if data:
            os.write(self._master, data)

    def unplug(self) -> None:
        """The adapter vanishes: whoever has the port open is hung up."""
        if self._master < 0:
            return
        os.write(self._waker, b"x")
        self._thread.join(5)
        if self._link:
            self._link.unlink()
        for descriptor in (self._slave, self._master, self._wake, self._waker):
            os.close(descriptor)
        self._master = -1

    close = unplug


class TcpSlave(Slave):
    """On loopback, one connection after the other; with `tls` inside TLS."""

    def __init__(
        self, reply=None, port: int = 0, framing: Framing = MBAP, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(reply, framing)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None
        self.connected = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Kept as it is, so that a close in the middle of a handshake ends that too.
            self._connection = connection
            with connection, contextlib.suppress(OSError):
                if self._tls is None:
                    self._talk(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secured:
                        self._talk(secured)

    def _talk(self, connection: socket.socket) -> None:
        self._connection = connection
        self.connected.set()
        heard = b""
        while data := connection.recv(4096):
            heard = self.hear(heard + data)

    def say(self, data: bytes) -> None:
        if data:
            assert self._connection is not None
            self._connection.sendall(data)

    def hang_up(self) -> None:
        """Close the connection, go on listening."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(5)


class Bridge:
    """Two ports whose bytes go across: what a peer's server needs that wants a port of its own."""

    def __init__(self) -> None:
        self._masters, slaves = zip(*(os.openpty() for _ in range(2)), strict=True)
        self._slaves = slaves
        for slave in slaves:
            tty.setraw(slave)
        self.ours, self.theirs = (os.ttyname(slave) for slave in slaves)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        one, other = self._masters
        while True:
            ready, _, _ = select.select([one, other, self._wake], [], [])
            if self._wake in ready:
                return
            for source, target in ((one, other), (other, one)):
                if source in ready:
                    os.write(target, os.read(source, 4096))

    def close(self) -> None:
        os.write(self._waker, b"x")
        self._thread.join(5)
        for descriptor in (*self._masters, *self._slaves, self._wake, self._waker):
            os.close(descriptor)
