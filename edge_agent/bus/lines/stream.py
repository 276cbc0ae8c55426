"""RTU or ASCII over TCP, to a serial device server: a serial line with a network in between.

Owns what differs from a port of this machine: bytes come in packets, whole, whenever the server and the
network hand them over; the connection may be closed while the line behind it goes on.

Nothing on the wire tells a late reply from another, and the line behind the server does not notice that
a connection was lost: a reply that was owed to the old connection comes to the new one. So what is known
of the line's silence survives the connection, and a request that was cut off is waited for like one that
was not answered. Only a connection that was lost before the request was sent is made again unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.bus.line import Done
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.ports.socket_port import Stream
from edge_agent.bus.wire.frames import expect
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import MonoNs


class StreamPort:
    """A `port.Port` over a connection."""

    def __init__(self, stream: Stream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        # A reply comes in one piece, and how long it takes is not known here: sleeping to its last byte
        # gains nothing. Where only the silence is waited for, babble must not cost the processor.
        if quiet_until >= until:
            self._clock.sleep_until(quiet_until)
        return self._stream.read(until)

    def unsent(self) -> int:
        # What the far kernel has not taken yet ends the connection by itself (TCP_USER_TIMEOUT).
        return 0

    def descriptor(self) -> None:
        return None

    def failed(self, code: int) -> PortError:
        raise AssertionError(f"nothing compiled runs on a connection, yet it met errno {code}")

    def close(self) -> None:
        self._stream.close()


class StreamLine(SerialLine):
    """A `Line`: the serial one over a `StreamPort`."""

    _cut_off: ReadRequest | None = None
    """The request whose reply the last connection did not live to see."""

    def _begin(self) -> None:
        self._loud_bytes = 0
        request, self._cut_off = self._cut_off, None
        if request is not None:
            manners = self.manners[request.device]
            owed_ns = manners.timeout.configured_ns + manners.whole_late_ns
            self._quiet.after_silence(self._clock.mono_ns(), owed_ns, expect(request))

    def _try(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        was_open = self.is_open
        done = self._watched(plan, deadline)
        if not was_open or self.is_open or self._cut_off is not None:
            return done
        if self.fault is not None and self.fault.reason != "lost":
            return done
        try:
            self.open()
        except PortError:
            return [self._port_down()]
        return self._watched(plan, deadline)

    def _watched(self, plan: Sequence[ReadRequest], deadline: MonoNs) -> list[Done]:
        """Notes the request that a connection was lost behind."""
        was_open, sent_bytes = self.is_open, self.counts.sent_bytes
        done = super()._try(plan, deadline)
        if was_open and not self.is_open and self.counts.sent_bytes != sent_bytes:
            self._cut_off = plan[0]
        return done
