"""The agent's Unix sockets: where they are, made safely, and one client of theirs.

Knows no snapshot and no command. A client is never waited for: it is given what it takes at once, the rest
when it takes more, and is dropped when its time is over.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from edge_agent.errors import EdgeAgentError
from edge_agent.model import MonoNs

_PROBE_S = 1.0
_BACKLOG = 64
_NOBODY = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


class NoAgent(EdgeAgentError):
    """No agent could be asked. `is_there`: something is, but does not answer or must not be asked."""

    def __init__(self, message: str, *, hint: str, is_there: bool) -> None:
        self.hint = hint
        self.is_there = is_there
        super().__init__(f"{message}\n    hint: {hint}")


def default_path() -> Path:
    """The status socket: $EDGE_AGENT_SOCKET, else under systemd's $RUNTIME_DIRECTORY, else
    /run/edge-agent/status.sock."""
    if chosen := os.environ.get("EDGE_AGENT_SOCKET"):
        return Path(chosen)
    return Path(os.environ.get("RUNTIME_DIRECTORY", "/run/edge-agent")) / "status.sock"


def commands_path(status_path: Path) -> Path:
    """The command socket beside a status socket: `commands.sock` beside `status.sock`."""
    name = status_path.name
    if "status" in name:
        return status_path.with_name(name.replace("status", "commands"))
    return status_path.with_name(f"{name}.commands")


def unreachable(path: Path, error: OSError) -> NoAgent:
    """Why a socket of the agent could not be used, for who wanted to."""
    if error.errno in _FORBIDDEN:
        return NoAgent(
            f"the agent at {path} may not be asked: {error.strerror}",
            hint=f"you are not in the agent's group: sudo usermod -aG {_group(path)} $USER and log in again,"
            " or use sudo",
            is_there=True,
        )
    return NoAgent(
        f"no running agent answers at {path}: {error.strerror or error}",
        hint="is the service running (systemctl status edge-agent)? elsewhere: --socket PATH",
        is_there=error.errno not in _NOBODY,
    )


def stranger(path: Path) -> NoAgent:
    return NoAgent(
        f"{path} does not speak like an edge-agent",
        hint="if the agent was just stopped, that is why; else it is of another version",
        is_there=True,
    )


def _group(path: Path) -> str:
    """Of the socket, or of the folder that hides it."""
    for place in (path, *path.parents):
        try:
            return place.group()
        except (OSError, KeyError):
            continue
    return "GROUP"


def listen(path: Path, what: str) -> socket.socket:
    """A listening socket for its user and group only. `what` names it in errors."""
    if _answers(path):
        raise EdgeAgentError(f"another edge-agent already serves {path}\n    hint: stop it, or use --socket")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _bind(server, path)
        server.listen(_BACKLOG)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise EdgeAgentError(
            f"cannot listen on the {what} socket {path}: {error.strerror or error}"
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
        client.settimeout(_PROBE_S)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


class Client:
    """One connection: what it has said, what it is still to be given. It is gone at `deadline`."""

    def __init__(self, connection: socket.socket, deadline: MonoNs) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._heard = b""
        self._out = memoryview(b"")
        self.deadline = deadline
        self.commands = False
        """It came to say a command."""
        self.waits = False
        """For the reply to its command."""

    def who(self) -> str:
        """Whose process it is, as the kernel says."""
        size = struct.calcsize("3i")
        with suppress(OSError):
            pid, uid, _ = struct.unpack(
                "3i", self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            )
            return f"local uid {uid}, pid {pid}"
        return "local"

    def fileno(self) -> int:
        return self._connection.fileno()

    def hear(self, most: int) -> bytes | None:
        """What it says up to a newline, or its end, or `most` bytes; None while there is more to come."""
        try:
            data = self._connection.recv(most + 1 - len(self._heard))
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            data = b""
        self._heard += data
        line, newline, _ = self._heard.partition(b"\n")
        return line if newline or not data or len(self._heard) > most else None

    def give(self, data: bytes) -> None:
        self._out = memoryview(data)

    def send(self) -> bool:
        """True when it has everything, or takes no more for ever."""
        try:
            while self._out:
                self._out = self._out[self._connection.send(self._out, socket.MSG_NOSIGNAL) :]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self.waits = False
        self._connection.close()
