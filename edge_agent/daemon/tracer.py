"""`run --trace`: frames of one bus to stdout, without letting a slow terminal slow down the bus.

The bus thread only appends to a bounded queue; a thread of its own prints. When the terminal is
slower than the line the oldest frames give way, and the line that is printed next says how many.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TextIO

from edge_agent.bus.wire.trace import Frame, render
from edge_agent.clock import Clock
from edge_agent.heartbeat import Heartbeat
from edge_agent.model import NS

_CAPACITY = 2000
_POLL_S = 0.05
_PRINT_BOUND_NS = 3600 * NS
"""A person may stop a terminal with Ctrl-S: that is no reason to restart an agent."""


class Tracer:
    """`take` is the sink for the bus thread; `run` is the printing thread's body."""

    def __init__(self, bus: str, output: TextIO, clock: Clock) -> None:
        self.bus = bus
        self.heartbeat = Heartbeat("trace", clock)
        self._output = output
        self._frames: deque[Frame] = deque(maxlen=_CAPACITY)
        self._taken = 0
        self._printed = 0
        self._since = clock.mono_ns()

    def take(self, frame: Frame) -> None:
        self._taken += 1
        self._frames.append(frame)

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(_POLL_S):
            self.heartbeat.turn()
            with self.heartbeat.call("printing", _PRINT_BOUND_NS):
                self.drain()
        self.drain()

    def drain(self) -> None:
        """Print what waits. A reader that has gone (`| head`), a terminal that hung up or a full disk
        costs the trace, not the agent."""
        try:
            while self._frames:
                self._print(self._frames.popleft())
            self._output.flush()
        except (OSError, ValueError):
            self._frames.clear()

    def _print(self, frame: Frame) -> None:
        lost = self._taken - self._printed - len(self._frames) - 1
        if lost > 0:
            print(f"... {lost} frames not shown: the output is slower than the line", file=self._output)
            self._printed += lost
        self._printed += 1
        print(render(frame, self._since), file=self._output)
