"""Slaves that behave by unit id, on a pseudo-terminal, on a TCP socket and in virtual time.

Unit 1 answers with register values that tell their address (address * 3 + 1), bits that are set at
every third address; 2 answers exception 2; 3 is silent; 4 answers as unit 104; 5 answers half a frame.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty

from edge_agent.bus.frames import with_crc

REFUSING, SILENT, WRONG_UNIT, BREAKS_OFF = 2, 3, 4, 5


def data_for(function: int, address: int, count: int) -> bytes:
    if function in (1, 2):
        packed = bytearray((count + 7) // 8)
        for number in range(count):
            if (address + number) % 3 == 0:
                packed[number // 8] |= 1 << number % 8
        return bytes(packed)
    return b"".join(((address + i) * 3 + 1 & 0xFFFF).to_bytes(2, "big") for i in range(count))


def pdu_for(pdu: bytes) -> bytes:
    data = data_for(pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big"))
    return bytes((pdu[0], len(data))) + data


def rtu_reply(request: bytes) -> bytes:
    """What the slave with this request's unit id puts on the line."""
    unit, pdu = request[0], request[1:-2]
    if unit == SILENT:
        return b""
    if unit == REFUSING:
        return with_crc(bytes((unit, pdu[0] | 0x80, 2)))
    if unit == WRONG_UNIT:
        return with_crc(bytes((unit + 100,)) + pdu_for(pdu))
    whole = with_crc(bytes((unit,)) + pdu_for(pdu))
    return whole[: len(whole) // 2] if unit == BREAKS_OFF else whole


def tcp_reply(request: bytes) -> bytes:
    header, unit, pdu = request[:4], request[6], request[7:]
    if unit == SILENT:
        return b""
    answer = bytes((pdu[0] | 0x80, 2)) if unit == REFUSING else pdu_for(pdu)
    if unit == WRONG_UNIT:
        unit += 100
    whole = header + (1 + len(answer)).to_bytes(2, "big") + bytes((unit,)) + answer
    return whole[: len(whole) // 2] if request[6] == BREAKS_OFF else whole


class PtySlave:
    """On the far end of a pseudo-terminal; `path` is the port. `reply` may be replaced."""

    def __init__(self, reply=rtu_reply) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
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
            heard += os.read(self._master, 4096)
            while len(heard) >= 8:
                request, heard = heard[:8], heard[8:]
                self.requests.append(request)
                self.say(self.reply(request))

    def say(self, data: bytes) -> None:
        if data:
            os.write(self._master, data)

    def unplug(self) -> None:
        """The adapter vanishes: whoever has the port open is hung up."""
        if self._master < 0:
            return
        os.write(self._waker, b"x")
        self._thread.join(5)
        for descriptor in (self._slave, self._master, self._wake, self._waker):
            os.close(descriptor)
        self._master = -1

    close = unplug


class TcpSlave:
    """Modbus TCP on loopback, one connection after the other."""

    def __init__(self, reply=tcp_reply, port: int = 0) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connection = connection
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(4096):
                while len(data) >= 12:
                    request, data = data[:12], data[12:]
                    self.requests.append(request)
                    connection.sendall(self.reply(request))

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
