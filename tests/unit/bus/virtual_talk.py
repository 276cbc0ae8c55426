"""The compiled loop's own body, run in virtual time on a `FakePort`: its system calls ask the fake."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from edge_agent.bus.lines.fake import FakePort
from edge_agent.clock import FakeClock
from edge_agent.errors import PortError
from edge_agent.kernels import talk as kernel
from edge_agent.model import MonoNs


class TalkingPort(FakePort):
    """A fake port that the body of `talk` may read and write."""

    _ready: bytes = b""
    _error: PortError | None = None

    def descriptor(self) -> int:  # type: ignore[override]
        return 77

    def failed(self, code: int) -> PortError:
        assert self._error is not None, f"errno {code} came from nowhere"
        return self._error

    # --- what the system would do ---------------------------------------------------------------

    def take(self, length: int) -> bytes:
        self._ready += self._arrived()
        data, self._ready = self._ready[:length], self._ready[length:]
        return data

    def wait(self, timeout_ns: int) -> bool:
        until = self._clock.mono_ns() + timeout_ns
        if not self._ready and not (self._coming and self._coming[0][0] <= until):
            self._clock.sleep_until(MonoNs(until))
            return False
        if not self._ready:
            self._clock.sleep_until(MonoNs(self._coming[0][0]))
        return True


class VirtualSystem:
    """Puts a `TalkingPort` and its clock in the place of `kernels.system`, for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
        self.port: TalkingPort | None = None
        self._clock = clock
        for name in ("sys_now", "sys_sleep_until", "sys_read", "sys_write", "sys_poll_in"):
            monkeypatch.setattr(kernel, name, getattr(self, name))

    def sys_now(self) -> int:
        return self._clock.mono_ns()

    def sys_sleep_until(self, when_ns: int) -> int:
        self._clock.sleep_until(MonoNs(when_ns))
        return 0

    def sys_read(self, _fd: int, data: Any, at: int, length: int) -> int:
        assert self.port is not None
        try:
            heard = self.port.take(length)
        except PortError as error:
            self.port._error = error
            return -errno.EIO
        data[at : at + len(heard)] = heard
        return len(heard)

    def sys_write(self, _fd: int, data: Any, at: int, length: int) -> int:
        assert self.port is not None
        self.port.write(bytes(data[at : at + length]))
        return length

    def sys_poll_in(self, _fd: int, timeout_ns: int) -> int:
        assert self.port is not None
        return int(self.port.wait(timeout_ns))
