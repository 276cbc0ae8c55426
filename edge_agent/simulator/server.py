"""What every simulated server has: a thread, a way to wake it, faults, a log. Shell."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_agent.clock import Clock, SystemClock
from edge_agent.errors import EdgeAgentError
from edge_agent.simulator.device import SimDevice
from edge_agent.simulator.faults import FaultBook
from edge_agent.simulator.log import Entry, Happened, ServedLog
from edge_agent.simulator.slave import Slave

_ANSWER_S = 10.0
"""Patience for the line's thread to unplug or stop; it never computes for long."""


@dataclass(slots=True)
class _Errand:
    """Something for the thread to do, and what came of it."""

    what: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    error: EdgeAgentError | None = None


class Server:
    """What every kind of simulated server has: a thread, a way to wake it, a log, faults."""

    def __init__(
        self, devices: Iterable[SimDevice], *, seed: int, log: Path | None, clock: Clock | None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.slave = Slave(devices, start=self.clock.mono_ns(), seed=seed)
        self.log = ServedLog(log)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._errands: list[_Errand] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._guarded, name="simulator", daemon=True)
        self.failure: BaseException | None = None
        """What ended the thread, if it was not `close`."""

    @property
    def faults(self) -> FaultBook:
        return self.slave.faults

    def start(self) -> Self:
        self.note("start", detail=f"seed {self.slave.faults.seed}")
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the thread, close the port and the log. May be called twice."""
        if self._thread.is_alive():
            self._errand(self._stop)
            self._thread.join(_ANSWER_S)
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1
            self._close_ports()
            self.note("stop")
            self.log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.failure is not None and error is None:
            raise self.failure

    def note(self, event: str, *, device: str = "", point: str = "", detail: str = "") -> None:
        """Put something that happened into the log, between the replies."""
        mono, wall = self.clock.mono_ns(), self.clock.wall_ns()
        happened = Happened(t_wall=wall, t_mono=mono, event=event, device=device, point=point, detail=detail)
        self.log.add(happened)

    def add(self, entries: Iterable[Entry | None]) -> None:
        for entry in entries:
            if entry is not None:
                self.log.add(entry)

    def unplug(self) -> None:
        """Pull the cable: whoever has the port or connection open loses it, and it cannot be opened."""
        self._errand(self._unplug)

    def replug(self) -> None:
        """Put it back: another device file behind the same link, the same TCP port."""
        self._errand(self._replug)

    # --- the thread -------------------------------------------------------------------------

    def _errand(self, what: Callable[[], None]) -> None:
        """Let the thread do something, and wait until it has."""
        errand = _Errand(what)
        self._errands.append(errand)
        os.write(self._wake_write, b"!")
        if not errand.done.wait(_ANSWER_S):
            raise EdgeAgentError("the simulator does not answer") from self.failure
        if errand.error is not None:
            raise errand.error

    def _do_errands(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while self._errands:
            errand = self._errands.pop(0)
            try:
                errand.what()
            except EdgeAgentError as error:
                errand.error = error
            errand.done.set()

    def _stop(self) -> None:
        self._stopping = True

    def _guarded(self) -> None:
        _shorten_timer_slack()
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self.failure = error
            raise

    # --- what a kind of server adds ---------------------------------------------------------

    @property
    def path(self) -> str:
        """What a master connects to."""
        raise NotImplementedError

    def summary(self) -> dict[str, Any]:
        """Counts for people, beside those of the log. Any thread may ask."""
        raise NotImplementedError

    def _turn(self) -> None:
        raise NotImplementedError

    def _unplug(self) -> None:
        raise NotImplementedError

    def _replug(self) -> None:
        raise NotImplementedError

    def _close_ports(self) -> None:
        raise NotImplementedError


def _shorten_timer_slack() -> None:
    """Ask the kernel to wake this thread 1 us late at most, not 50 (prctl PR_SET_TIMERSLACK)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(29, ctypes.c_ulong(1), 0, 0, 0)
