"""A bound on what a broker may send, and a count of what really arrived.

paho-mqtt reads whatever length a packet announces: a rogue broker's 200 MB PUBLISH took 671 MB of
memory. `PacketGuard` follows the packet boundaries in the byte stream and refuses a packet when its
header is read, before any of its body is kept. `GuardedSocket` puts it under paho, in the place of the
socket.

Invariant: no byte reaches paho that the guard has not seen.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import ssl
import struct
import termios

from edge_agent.uplink.connection.wire import Traffic

_PUBLISH = 3
_CHUNK = 16384
_SIOCOUTQNSD = 0x894B
"""Bytes that were not even sent (linux/sockios.h)."""


class GuardError(ConnectionError):
    """The broker broke the bound. An OSError, so that paho ends the connection as for any other."""


class PacketGuard:
    """Pure: fed with received bytes in any pieces, raises GuardError at the first bad header."""

    def __init__(self, max_packet: int) -> None:
        self._max_packet = max_packet
        self._first: int | None = None
        self._length = 0
        self._shift = 0
        self._body_left = 0

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._body_left:
                skipped = min(self._body_left, len(data) - at)
                self._body_left -= skipped
                at += skipped
            else:
                self._header_byte(data[at])
                at += 1

    def _header_byte(self, byte: int) -> None:
        if self._first is None:
            # We subscribe with QoS 1 at most, so nobody may send QoS 2; paho would keep every such
            # message until a PUBREL that never comes.
            if byte >> 4 == _PUBLISH and byte & 0x06 > 0x02:
                raise GuardError("the broker sends QoS 2, which was not asked for")
            self._first = byte
            return
        self._length |= (byte & 0x7F) << self._shift
        self._shift += 7
        if byte & 0x80:
            if self._shift > 21:
                raise GuardError("the broker sends a packet whose length has no end")
            return
        if self._length > self._max_packet:
            raise GuardError(
                f"the broker sends a packet of {self._length} bytes, {self._max_packet} is the bound"
            )
        self._body_left = self._length
        self._first, self._length, self._shift = None, 0, 0


class GuardedSocket:
    """What paho sees of the connection. Non-blocking, buffered for reading, counting both ways."""

    def __init__(self, sock: socket.socket, max_packet: int) -> None:
        self._sock = sock
        self._guard = PacketGuard(max_packet)
        self._buffer = memoryview(b"")
        self.broken = False
        """The guard ended the connection."""
        self.error = ""
        """Why the connection ended, where the socket or the guard said so."""
        self._reset = False
        self.ended = False
        """The other side ended it."""
        self.received = 0
        self._sent = 0
        self._queues: dict[int, int] | None = None
        """What was queued when it was closed."""

    def recv(self, size: int) -> bytes:
        if not self._buffer:
            self._buffer = memoryview(self._receive())
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(part)

    def _receive(self) -> bytes:
        try:
            data = self._sock.recv(_CHUNK)
            self._guard.feed(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.broken = isinstance(error, GuardError)
            self._failed(error)
            raise
        self.ended = not data
        self.received += len(data)
        self._acknowledge_now()
        return data

    def _acknowledge_now(self) -> None:
        """Let the kernel answer at once what has arrived (tcp(7), TCP_QUICKACK, which does not last).

        A broker that leaves Nagle's algorithm on, as mosquitto does, keeps a PUBACK back until the one
        before it is acknowledged; our kernel would wait up to 40 ms with that for something to send. An
        alarm's PUBACK then came 25 ms late while a backlog was drained.
        """
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send(self, data: bytes | bytearray) -> int:
        try:
            count = self._sock.send(data)
        except ssl.SSLWantReadError:
            # Renegotiation does not exist in the TLS versions we allow; treat it like a full buffer.
            raise BlockingIOError from None
        except (BlockingIOError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self._failed(error)
            raise
        self._sent += count
        return count

    def close(self) -> None:
        self._queues = {which: self._queue(which) for which in (termios.TIOCOUTQ, _SIOCOUTQNSD)}
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    @property
    def has_pending(self) -> bool:
        """Bytes that were read already, for which poll() would not wake."""
        return bool(self._buffer) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def traffic(self, queued: bool) -> Traffic:
        """Tells a slow link from a dead one: a window of records may need minutes at 9600 bit/s, and as
        long as the send queue shrinks nothing is wrong. `queued`: there is more that is not even ours."""
        left = self._unsent()
        return Traffic(self.received, self._sent - left, left + queued)

    def was_taken(self, queued: bool) -> bool:
        """Whether the other side's system had every byte when the connection ended. A system resets a
        connection whose program closed it with bytes unread, often before it acknowledged them, and the
        acknowledgement that comes with the reset is not counted by ours: then what was sent counts."""
        if self._reset:
            return not queued and not self._queue(_SIOCOUTQNSD)
        return not self.traffic(queued).left

    def _failed(self, error: OSError) -> None:
        self.error = str(error.strerror or error)
        self._reset = self._reset or error.errno == errno.ECONNRESET

    def _unsent(self) -> int:
        """Bytes in the kernel's send queue that the peer has not acknowledged (tcp(7), SIOCOUTQ)."""
        return self._queue(termios.TIOCOUTQ)

    def _queue(self, which: int) -> int:
        if self._queues is not None:
            return self._queues[which]
        try:
            packed = fcntl.ioctl(self._sock.fileno(), which, b"\0\0\0\0")
        except OSError:
            return 0
        return int(struct.unpack("i", packed)[0])
