"""The status socket: whoever connects is given one JSON snapshot, and the connection is closed.

The daemon opens no network port; this Unix socket is its only window, readable by its own user and
group. A client that does not read is dropped after a second, so it cannot hold the thread.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from edge_agent.clock import Clock
from edge_agent.errors import EdgeAgentError
from edge_agent.heartbeat import Heartbeat

log = logging.getLogger(__name__)

Snapshot = Callable[[], Mapping[str, Any]]
_CLIENT_TIMEOUT_S = 1.0
_POLL_S = 0.5


class StatusServer:
    """Thread body. The snapshot is made in this thread, from values other threads replace whole."""

    def __init__(self, path: Path, snapshot: Snapshot, clock: Clock) -> None:
        self.path = path
        self.heartbeat = Heartbeat("status", clock)
        self._snapshot = snapshot
        self._socket = _listen(path)
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def wake(self) -> None:
        """Let `run` look at its stop event now."""
        os.eventfd_write(self._wake_fd, 1)

    def run(self, stop: Event) -> None:
        with selectors.DefaultSelector() as selector, self._socket:
            listening = selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake_fd, selectors.EVENT_READ)
            while not stop.is_set():
                self.heartbeat.turn()
                ready = [key for key, _ in selector.select(_POLL_S)]
                if listening in ready and not self._serve():
                    # Out of descriptors: the client still waits, so `select` would return at once for ever.
                    stop.wait(_POLL_S)
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _serve(self) -> bool:
        """False when the connection could not even be taken."""
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            log.warning("status socket: cannot accept a connection: %s", error)
            return False
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_CLIENT_TIMEOUT_S)
            connection.sendall(json.dumps(self._snapshot()).encode())
        return True


def _listen(path: Path) -> socket.socket:
    if _answers(path):
        raise EdgeAgentError(f"another edge-agent already serves {path}\n    hint: stop it, or use --socket")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _bind(server, path)
        server.listen(8)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise EdgeAgentError(
            f"cannot listen on the status socket {path}: {error.strerror or error}"
            "\n    hint: choose another place with --socket or $EDGE_AGENT_SOCKET"
        ) from error
    return server


def _bind(server: socket.socket, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Only what an agent that was killed left behind: a mistyped --socket must not cost a file.
    if path.is_socket():
        path.unlink()
    old_mask = os.umask(0o117)
    try:
        server.bind(str(path))
    finally:
        os.umask(old_mask)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_CLIENT_TIMEOUT_S)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def fetch(path: Path) -> dict[str, Any]:
    """What a running agent says; EdgeAgentError with a hint when none answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5.0)
        try:
            client.connect(str(path))
            chunks = []
            while chunk := client.recv(65536):
                chunks.append(chunk)
        except OSError as error:
            raise EdgeAgentError(
                f"no running agent answers at {path}: {error.strerror or error}"
                "\n    hint: is the service running (systemctl status edge-agent)? elsewhere: --socket PATH"
            ) from error
    try:
        snapshot: dict[str, Any] = json.loads(b"".join(chunks))
    except ValueError as error:
        raise EdgeAgentError(f"{path} does not speak like an edge-agent: {error}") from error
    return snapshot


def default_path() -> Path:
    """$EDGE_AGENT_SOCKET, else under systemd's $RUNTIME_DIRECTORY, else /run/edge-agent/status.sock."""
    if chosen := os.environ.get("EDGE_AGENT_SOCKET"):
        return Path(chosen)
    return Path(os.environ.get("RUNTIME_DIRECTORY", "/run/edge-agent")) / "status.sock"
