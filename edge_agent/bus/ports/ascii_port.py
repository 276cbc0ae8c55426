"""A port that speaks RTU to the line above it and Modbus ASCII to the port below.

Owns the translation (`ascii`), and remembers the characters themselves for the trace: a technician sees
what was on the line, not what it stands for.
"""

from __future__ import annotations

from dataclasses import replace

from edge_agent.bus.ports.port import Port
from edge_agent.bus.wire.ascii import Decoder, encode
from edge_agent.bus.wire.timing import Timing
from edge_agent.bus.wire.trace import Direction, Frame, Trace
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import MonoNs

_KEPT = 1040
"""Characters kept for the trace: two of the longest frames."""


class Characters:
    """What went over the line since it was last traced. Outlives the port, which is opened anew."""

    def __init__(self) -> None:
        self.sent = b""
        self.heard = b""

    def take_heard(self) -> bytes:
        heard, self.heard = self.heard, b""
        return heard


class AsciiPort:
    """A `port.Port`."""

    def __init__(self, port: Port, characters: Characters) -> None:
        self._port = port
        self._characters = characters
        self._decoder = Decoder()

    def write(self, data: bytes) -> None:
        """`data` is an RTU request; its CRC is replaced by the LRC."""
        self._characters.sent = encode(data[:-2])
        self._port.write(self._characters.sent)

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        # Half a byte is nothing yet: listen on, up to the same moment.
        while heard := self._port.read(quiet_until, until):
            self._characters.heard = (self._characters.heard + heard)[-_KEPT:]
            if data := self._decoder.feed(heard):
                return data
        return b""

    def unsent(self) -> int:
        return self._port.unsent()

    def descriptor(self) -> None:
        return None

    def failed(self, code: int) -> PortError:
        return self._port.failed(code)

    def close(self) -> None:
        self._port.close()


class AsciiTracer(Tracer):
    """Shows the characters in the place of the frames they stand for."""

    def __init__(self, bus: str, timing: Timing, clock: Clock, sink: Trace, characters: Characters) -> None:
        def show(frame: Frame) -> None:
            sink(replace(frame, data=self._characters_of(frame.direction), is_text=True))

        super().__init__(bus, timing, clock, show)
        self._characters = characters

    def _characters_of(self, direction: Direction) -> bytes:
        if direction == "--":
            return b""
        return self._characters.sent if direction == "->" else self._characters.take_heard()
