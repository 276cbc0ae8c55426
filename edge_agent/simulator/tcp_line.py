"""A simulated Modbus TCP server: the same devices and faults, without the pace of a wire. Shell.

Several connections, one thread. Of the faults those of a wire are not played.
"""

from __future__ import annotations

import heapq
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.clock import Clock
from edge_agent.errors import EdgeAgentError, PortError
from edge_agent.model import NS, MonoNs
from edge_agent.simulator.device import SimDevice
from edge_agent.simulator.log import Answer, Entry, Served
from edge_agent.simulator.server import Server
from edge_agent.simulator.slave import Reply
from edge_agent.simulator.wire import split_tcp

_MAX_CONNECTIONS = 16
_IDLE_S = 1.0


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    heard: bytearray = field(default_factory=bytearray)


@dataclass(slots=True, order=True)
class _Due:
    when: MonoNs
    number: int
    data: bytes = field(compare=False)
    to: _Connection = field(compare=False)
    entry: Entry | None = field(compare=False)


class SimulatedTcp(Server):
    """Devices behind one TCP address; port 0 takes a free one, `address` says which."""

    def __init__(
        self,
        devices: Iterable[SimDevice],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        delay_ns: int = 0,
        log: Path | None = None,
        seed: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self._listener = _listen(host, port)
        try:
            super().__init__(devices, seed=seed, log=log, clock=clock)
        except EdgeAgentError:
            self._listener.close()
            raise
        self._delay_ns = delay_ns
        """From the request to its reply."""
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._connections: list[_Connection] = []
        self._due: list[_Due] = []
        self._numbers = 0
        self.requests = 0
        self.refused = 0
        """Connections beyond the limit, and those that spoke something else than Modbus TCP."""

    @property
    def path(self) -> str:
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def summary(self) -> dict[str, Any]:
        return {"requests": self.requests, "refused": self.refused, "foreign": self.slave.foreign}

    def disconnect(self) -> None:
        """Drop every connection, as a device does that restarts; new ones are welcome."""
        self._errand(self._drop_all)

    def _drop_all(self) -> None:
        for connection in list(self._connections):
            self._drop(connection)

    def _unplug(self) -> None:
        if self._listener.fileno() >= 0:
            self._close_ports()
            self.note("unplug")

    def _replug(self) -> None:
        if self._listener.fileno() < 0:
            self._listener = _listen(*self.address)
            self.note("replug", detail=self.path)

    def _turn(self) -> None:
        wait_s = _IDLE_S
        if self._due:
            wait_s = min(wait_s, max(0, self._due[0].when - self.clock.mono_ns()) / NS)
        by_fd = {connection.socket.fileno(): connection for connection in self._connections}
        listening = [self._listener.fileno()] if self._listener.fileno() >= 0 else []
        ready, _, _ = select.select([self._wake_read, *listening, *by_fd], [], [], wait_s)
        if self._wake_read in ready:
            self._do_errands()
            return
        for fd in ready:
            if fd in listening:
                self._accept()
            else:
                self._hear(by_fd[fd])
        self._send_due()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            # The client was gone before we came to it.
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            self.refused += 1
            accepted.close()
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(_Connection(accepted))

    def _hear(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.heard += data
        try:
            while request := split_tcp(connection.heard):
                now = self.clock.mono_ns()
                self.requests += 1
                if reply := self.slave.tcp(request, now, self.clock.wall_ns()):
                    self._schedule(connection, reply, now)
        except ValueError:
            self.refused += 1
            self._drop(connection)

    def _schedule(self, connection: _Connection, reply: Reply, now: MonoNs) -> None:
        if not reply.sends:
            self.log.add(reply.entry)
        at = now + self._delay_ns
        for place, send in enumerate(reply.sends):
            at += send.delay_ns
            self._numbers += 1
            entry = reply.entry if place == len(reply.sends) - 1 else None
            heapq.heappush(self._due, _Due(MonoNs(at), self._numbers, send.data, connection, entry))

    def _send_due(self) -> None:
        while self._due and self._due[0].when <= self.clock.mono_ns():
            due = heapq.heappop(self._due)
            if isinstance(due.entry, Served):
                due.entry = due.entry.at(self.clock.mono_ns(), self.clock.wall_ns())
            try:
                whole = due.to.socket.send(due.data) == len(due.data)
            except OSError:
                whole = False
            self._log(due, whole)
            if not whole:
                self._drop(due.to)

    def _log(self, due: _Due, whole: bool) -> None:
        entry = due.entry
        if isinstance(entry, Served) and not whole:
            entry = entry.answered(Answer.CUT)
        self.add((entry,))

    def _drop(self, connection: _Connection) -> None:
        """Close a connection; replies still on their way to it are cut."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        connection.socket.close()
        for due in [due for due in self._due if due.to is connection]:
            self._log(due, whole=False)
        self._due = [due for due in self._due if due.to is not connection]
        heapq.heapify(self._due)

    def _close_ports(self) -> None:
        self._drop_all()
        self._listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_MAX_CONNECTIONS)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise PortError(message, reason="busy", hint="port 0 takes a free one") from None
