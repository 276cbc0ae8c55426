"""Ends a connection whose server does not answer.

The server's own timeouts end a statement that takes too long. They end nothing where the server itself
hangs: a stopped process, a machine that is paused, a file system that blocks. The system there still
acknowledges what is sent, so no timeout of TCP helps either.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

_LOOKS = 10
"""In the time given: how exact the bound is."""


class Patience:
    """Used by one thread. `most_s` is how long a call may take before its socket is shut down under it."""

    def __init__(self, most_s: float) -> None:
        self._every_s = most_s / _LOOKS
        self._lock = Lock()
        self._fd: int | None = None
        self._left = 0
        self._closed = Event()
        self._thread: Thread | None = None

    @contextmanager
    def call(self, fd: int, times: int = 1) -> Iterator[None]:
        """What is done inside uses the socket `fd`; it may take `times` as long as usual."""
        if self._thread is None:
            self._thread = Thread(target=self._watch, name="database-patience", daemon=True)
            self._thread.start()
        with self._lock:
            self._fd, self._left = fd, _LOOKS * times
        try:
            yield
        finally:
            with self._lock:
                self._fd = None

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s):
            # Under the lock, so that the number cannot belong to another socket by now.
            with self._lock:
                self._left -= 1
                if self._fd is not None and self._left < 0:
                    _shut_down(self._fd)
                    self._fd = None


def _shut_down(fd: int) -> None:
    with contextlib.suppress(OSError):
        other = socket.socket(fileno=fd)
        try:
            other.shutdown(socket.SHUT_RDWR)
        finally:
            other.detach()
