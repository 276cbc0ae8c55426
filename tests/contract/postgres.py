"""A PostgreSQL server of Debian on a free port of this machine, started and killed by tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.contract.broker import free_port

_PROGRAMS = Path("/usr/lib/postgresql")
_START_S = 30


def program(name: str) -> str:
    """Debian keeps the server's programs out of the path, one folder a version."""
    return str(max(_PROGRAMS.glob(f"*/bin/{name}")))


class Postgres:
    """`durable`: with fsync, for tests that kill it."""

    def __init__(self, *, durable: bool = False) -> None:
        self.port = free_port()
        self._durable = durable
        # Not below pytest's own directory: another user than root cannot reach into it.
        self._directory = Path(tempfile.mkdtemp(prefix="edge-agent-postgres-"))
        self._process: subprocess.Popen[Any] | None = None
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        command = [program("initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(
            [*command, "--locale=C", "--no-sync"], check=True, capture_output=True, cwd="/", **self._user()
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "jit=off"]
        if not self._durable:
            settings += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        with (self._directory / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [program("postgres"), "-D", str(self._data), "-p", str(self.port), *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self._user(),
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._directory / 'log').read_text()}")

    def kill(self) -> None:
        """As a crash: SIGKILL of the postmaster; its children notice and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None
        # A new postmaster waits for the old one's children, which still hold the shared memory.
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and _answers(self.port):
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), arguments)
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _user(self) -> dict[str, Any]:
        # The server refuses to run as root.
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    server = Postgres(durable=durable)
    try:
        server.create()
        try:
            server.start()
        except RuntimeError:
            # Somebody else took the port that was free.
            server.port = free_port()
            server.start()
        yield server
    finally:
        server.remove()
