"""What every line with a port does alike: open it, keep it, give it up with its fault.

Owns the port's life, not what is said over it: that is the line's own `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from edge_agent.bus.line import Done, LineCounts
from edge_agent.bus.outcomes import PortDown
from edge_agent.bus.wire.manners import Manners
from edge_agent.clock import Clock
from edge_agent.errors import PortError


class Closable(Protocol):
    def close(self) -> None: ...


P = TypeVar("P", bound=Closable)


class KeptPort(Generic[P]):
    """Base of the lines. `open_port` makes the port anew each time, so that a replugged adapter is found."""

    def __init__(self, open_port: Callable[[], P], clock: Clock, manners: Mapping[int, Manners]) -> None:
        self._open_port = open_port
        self._clock = clock
        self._port: P | None = None
        self.manners = manners
        self.counts = LineCounts()
        self.fault: PortError | None = None

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def open(self) -> None:
        if self._port is not None:
            return
        try:
            self._port = self._open_port()
        except PortError as error:
            self.fault = error
            raise
        self.fault = None
        self.counts.opened += 1
        self._begin()

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def _begin(self) -> None:
        """A port was opened: whatever was known of the one before is forgotten."""
        raise NotImplementedError

    def _give_up(self, error: PortError) -> Done:
        """The port failed: close it; what the request in hand comes to."""
        self.fault = error
        self.close()
        return self._port_down()

    def _port_down(self) -> Done:
        reason = self.fault.reason if self.fault else "missing"
        return Done(PortDown(reason), self._clock.mono_ns(), 0)
