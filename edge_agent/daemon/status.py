"""The agent's two Unix sockets, served by one thread: the status, and commands.

    status.sock     whoever connects is given one JSON snapshot, and the connection is closed
    commands.sock   one JSON command on a line, one JSON reply on a line, and the connection is closed

The daemon opens no network port; these are its only windows, for its own user and group. No client is
waited for: one that does not speak or does not read is dropped after a second and holds up nobody; a
command waits for its bus while the others are served.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from edge_agent import __version__
from edge_agent.clock import Clock
from edge_agent.daemon.commands import MAX_LINE, CommandError, late
from edge_agent.daemon.sockets import (
    Client,
    NoAgent,
    commands_path,
    listen,
    stranger,
    unreachable,
)
from edge_agent.errors import EdgeAgentError
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS, MonoNs

log = logging.getLogger(__name__)

Snapshot = Callable[[], Mapping[str, Any]]
CLIENT_NS = NS
"""Of a client: to say its line, and to take what it is given."""
MAX_CLIENTS = 32
"""At once; whoever comes then waits to be taken."""
MAX_COMMANDS = 16
"""Of them, so that the status is told while commands wait; what is more is refused."""
_POLL_S = 0.5


class Desk(Protocol):
    """Who carries out commands."""

    patience_ns: int
    """Within it every command is replied to."""

    def take(self, line: bytes, reply: Callable[[bytes], None], who: str) -> None:
        """`reply` is called once, from any thread."""

    def failed(self, error: CommandError) -> bytes:
        """The reply to a command that is not even heard."""


class StatusServer:
    """Thread body. The snapshot is made in this thread, from values other threads replace whole. Without a
    `desk` there is no command socket."""

    def __init__(self, path: Path, snapshot: Snapshot, clock: Clock, desk: Desk | None = None) -> None:
        self.path = path
        self.heartbeat = Heartbeat("status", clock)
        self._snapshot = snapshot
        self._clock = clock
        self._desk = desk
        self._socket = listen(path, "status")
        self._commands = self._listen_for_commands() if desk is not None else None
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._doors_are_open = False
        self._clients: set[Client] = set()
        self._replies: deque[tuple[Client, bytes]] = deque()
        """From the threads of the buses."""

    def _listen_for_commands(self) -> socket.socket:
        try:
            return listen(commands_path(self.path), "command")
        except EdgeAgentError:
            self._socket.close()
            self.path.unlink(missing_ok=True)
            raise

    def wake(self) -> None:
        """Let `run` look at its stop event and at its replies now."""
        os.eventfd_write(self._wake_fd, 1)

    def run(self, stop: Event) -> None:
        self._selector.register(self._wake_fd, selectors.EVENT_READ, self._woken)
        try:
            while not stop.is_set():
                self.heartbeat.turn()
                self._open_doors()
                for key, _ in self._selector.select(_POLL_S):
                    if key.data() is False:
                        # Out of descriptors: the client waits, so `select` would return at once for ever.
                        stop.wait(_POLL_S)
                self._drop_late()
        finally:
            self._close()

    # --- the listening sockets ------------------------------------------------------------------

    def _open_doors(self) -> None:
        room = len(self._clients) < MAX_CLIENTS
        if room == self._doors_are_open:
            return
        self._doors_are_open = room
        for listening, _, accept in self._doors():
            if room:
                self._selector.register(listening, selectors.EVENT_READ, accept)
            else:
                self._selector.unregister(listening)

    def _doors(self) -> Iterator[tuple[socket.socket, Path, Callable[[], bool]]]:
        yield self._socket, self.path, self._accept_status
        if self._commands is not None:
            yield self._commands, commands_path(self.path), self._accept_command

    def _accept_status(self) -> bool:
        client = self._accept(self._socket)
        if client is None:
            return False
        self._give(client, json.dumps(self._snapshot()).encode())
        return True

    def _accept_command(self) -> bool:
        assert self._commands is not None and self._desk is not None, "registered only with both"
        client = self._accept(self._commands)
        if client is None:
            return False
        client.commands = True
        if sum(one.commands for one in self._clients) > MAX_COMMANDS:
            error = CommandError("too many clients", reason="full", hint="try again in a moment")
            self._give(client, self._desk.failed(error))
        else:
            self._selector.register(client, selectors.EVENT_READ, lambda: self._hear(client))
        return True

    def _accept(self, listening: socket.socket) -> Client | None:
        """None when the connection could not even be taken."""
        try:
            connection, _ = listening.accept()
        except OSError as error:
            log.warning("status socket: cannot accept a connection: %s", error)
            return None
        client = Client(connection, MonoNs(self._clock.mono_ns() + CLIENT_NS))
        self._clients.add(client)
        return client

    # --- clients --------------------------------------------------------------------------------

    def _hear(self, client: Client) -> None:
        assert self._desk is not None, "only clients of the command socket are heard"
        line = client.hear(MAX_LINE)
        if line is None:
            return
        if not line:
            self._drop(client)  # Somebody looked whether anybody is there.
            return
        self._selector.unregister(client)
        client.waits = True
        client.deadline = MonoNs(self._clock.mono_ns() + self._desk.patience_ns + CLIENT_NS)
        self._desk.take(line, lambda data: self._reply(client, data), client.who())

    def _reply(self, client: Client, data: bytes) -> None:
        """From any thread."""
        self._replies.append((client, data))
        self.wake()

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        while self._replies:
            client, data = self._replies.popleft()
            if client.waits:
                self._give(client, data)

    def _give(self, client: Client, data: bytes) -> None:
        client.waits = False
        client.give(data)
        client.deadline = MonoNs(self._clock.mono_ns() + CLIENT_NS)
        if client.send():
            self._drop(client)
        else:
            self._selector.register(client, selectors.EVENT_WRITE, lambda: self._give_more(client))

    def _give_more(self, client: Client) -> None:
        if client.send():
            self._drop(client)

    def _drop_late(self) -> None:
        now = self._clock.mono_ns()
        for client in [client for client in self._clients if client.deadline <= now]:
            if client.waits and self._desk is not None:
                self._give(client, self._desk.failed(late(self._desk.patience_ns)))
            else:
                self._drop(client)

    def _drop(self, client: Client) -> None:
        with suppress(KeyError):
            self._selector.unregister(client)
        self._clients.discard(client)
        client.close()

    def _close(self) -> None:
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        for listening, path, _ in self._doors():
            listening.close()
            with suppress(OSError):
                path.unlink()


def fetch(path: Path) -> dict[str, Any]:
    """What a running agent says; NoAgent when none answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5.0)
        try:
            client.connect(str(path))
            chunks = []
            while chunk := client.recv(65536):
                chunks.append(chunk)
        except OSError as error:
            raise unreachable(path, error) from error
    return _understood(path, b"".join(chunks))


def _understood(path: Path, data: bytes) -> dict[str, Any]:
    """The parts of a snapshot change from version to version: it is for commands of the agent's own."""
    try:
        snapshot: dict[str, Any] = json.loads(data)
        version = snapshot["agent"]["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise stranger(path) from error
    if version != __version__:
        raise NoAgent(
            f"the agent at {path} is edge-agent {version}, this command {__version__}",
            hint="restart the service",
            is_there=True,
        )
    return snapshot
