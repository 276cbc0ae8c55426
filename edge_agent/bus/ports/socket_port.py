"""A TCP connection that fails in one way and never blocks beyond its bound.

Owns connecting and the waits on the socket. Must not know what the bytes mean. `tls_port` is the same
inside TLS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from typing import Protocol

from edge_agent.bus.line import SLICE_NS, Stopped
from edge_agent.bus.ports.resolver import Resolver
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import NS, MonoNs, TcpLink

_CONNECT_NS = 3 * NS
_UNACKED_MS = 10_000
"""A peer whose kernel acknowledges nothing for so long has gone: without this a connection to a
machine that lost its power looks open for a quarter of an hour."""
_MISSING = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENETDOWN)


class Stream(Protocol):
    """Bytes in, bytes out, over a connection."""

    def write(self, data: bytes) -> None:
        """Raises PortError when the connection has gone or takes no more."""

    def read(self, until: MonoNs) -> bytes:
        """What has come, as soon as there is something; empty when nothing came by `until`. Raises
        PortError when the connection has gone."""

    def close(self) -> None: ...


class SocketPort:
    """An open connection. Made by `connect`."""

    def __init__(self, connection: socket.socket, name: str, clock: Clock) -> None:
        self._socket = connection
        self._name = name
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def write(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except OSError as error:
            raise lost(self._name, error) from error
        if sent < len(data):
            # Twelve bytes did not fit: the peer has not read for a long time.
            raise stuck(self._name)

    def read(self, until: MonoNs) -> bytes:
        left = until - self._clock.mono_ns()
        try:
            if not self._poll.poll(max(0, -(-left // 1_000_000))):
                return b""
            data = self._socket.recv(4096)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            raise lost(self._name, error) from error
        if not data:
            raise closed(self._name)
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


_HINT_LOST = "does the device allow another client? some allow one connection only"


def connect(link: TcpLink, resolver: Resolver, clock: Clock, stopped: Stopped) -> SocketPort:
    """Connect within a few seconds. Raises PortError."""
    return SocketPort(connected(link, resolver, clock, stopped), name_of(link), clock)


def name_of(link: TcpLink) -> str:
    return f"{link.host}:{link.port}"


def connected(link: TcpLink, resolver: Resolver, clock: Clock, stopped: Stopped) -> socket.socket:
    """A connected socket that does not block. Raises PortError."""
    name = name_of(link)
    family, address = resolver.address()
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        connection = socket.socket(family, kind)
    except OSError as error:  # No descriptor left, or a family that this machine does not speak.
        raise _refused(name, error.errno or 0) from error
    try:
        _finish(connection, connection.connect_ex(address), name, clock, stopped)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKED_MS)
    except OSError as error:
        connection.close()
        raise _refused(name, error.errno or 0) from error
    except PortError:
        connection.close()
        raise
    return connection


def _finish(connection: socket.socket, code: int, name: str, clock: Clock, stopped: Stopped) -> None:
    if code not in (0, errno.EINPROGRESS):
        raise _refused(name, code)
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    give_up = clock.mono_ns() + _CONNECT_NS
    while not poll.poll(SLICE_NS // 1_000_000):
        if stopped() or clock.mono_ns() >= give_up:
            raise _refused(name, errno.ETIMEDOUT)
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise _refused(name, code)


def _refused(name: str, code: int) -> PortError:
    text = os.strerror(code)
    if code == errno.ECONNREFUSED:
        return PortError(
            f"{name}: {text}", reason="refused", hint="is Modbus TCP switched on in the device, on this port?"
        )
    if code in _MISSING:
        return PortError(f"{name}: {text}", reason="missing", hint="is the device on this network? try ping")
    reason = "permission" if code in (errno.EACCES, errno.EPERM) else "io"
    return PortError(f"{name}: {text}", reason=reason, hint="check the network settings of this machine")


def closed(name: str) -> PortError:
    return PortError(f"{name}: the peer closed the connection", reason="lost", hint=_HINT_LOST)


def stuck(name: str) -> PortError:
    return PortError(f"{name}: the peer takes no more requests", reason="io", hint=_HINT_LOST)


def lost(name: str, error: OSError) -> PortError:
    return PortError(
        f"{name}: connection lost: {error.strerror or error}", reason="lost", hint="it is connected again"
    )
