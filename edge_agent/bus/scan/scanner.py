"""Asks on a real line what `scan` wants to know. Shell: owns the line while it is open.

Uses the same line as the daemon, so t3.5 is kept, an echo is set aside and the port is exclusive. A
trace gives the bytes that are no reply to the request in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from edge_agent.bus.line import Line, Stopped
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import NoReply, Outcome, PortDown, ReadRequest
from edge_agent.bus.scan.scan import Scan
from edge_agent.bus.scan.settings import Setting
from edge_agent.bus.scan.sounds import SILENCE, Sounds, sort_out
from edge_agent.bus.scan.unit import Probe
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.trace import Frame, Trace
from edge_agent.clock import Clock
from edge_agent.errors import PortError
from edge_agent.model import NS, Area, BusDef, MonoNs, Rs485, TcpLink

_PATIENCE_NS = 60 * NS
"""For a line that babbles; a request is given up long before."""

MakeLine = Callable[[BusDef, Mapping[int, Manners], Clock, Stopped, Trace], Line]


class Scanner:
    """`where` is a path or a TCP address; `ask` for one register of `area` at `address`."""

    def __init__(
        self,
        where: str | TcpLink,
        clock: Clock,
        stopped: Stopped,
        *,
        area: Area = Area.HOLDING,
        address: int = 0,
        rs485: Rs485 | None = None,
        make: MakeLine = make_line,
    ) -> None:
        self._where = where
        self._clock = clock
        self._stopped = stopped
        self._area = area
        self._address = address
        self._rs485 = rs485
        self._make = make
        self._line: Line | None = None
        self._setting: Setting | None = None
        self._heard = b""
        # Nothing is kept back for a late reply: it is as good a sign as one in time.
        self._manners = Manners(late_window_ns=0)

    def turn(self, scan: Scan) -> Probe | None:
        """Make the next request of `scan` and tell it what came; the request, or None when it is over or
        stopped. Raises PortError when the port goes, or cannot be had at all."""
        probe = None if self._stopped() else scan.next()
        if probe is None:
            return None
        try:
            line = self._line_at(probe.setting)
        except PortError as error:
            # "io": the port is there and free, and does not have this speed or format.
            if error.reason != "io" or probe.setting is None:
                raise
            scan.refuse(probe.setting, str(error).partition("\n")[0])
            if scan.is_hopeless:
                raise
            return probe
        answer = self._ask(line, probe)
        if answer is None:
            return None
        scan.note(probe, *answer)
        return probe

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _line_at(self, setting: Setting | None) -> Line:
        if self._line is not None and setting == self._setting:
            return self._line
        self.close()
        link = self._where
        if not isinstance(link, TcpLink):
            assert setting is not None, "a serial line has a speed"
            made = BusDef(name=link, link=replace(setting.link(link), rs485=self._rs485))
        else:
            made = BusDef(name=link.host, link=link)
        line = self._make(made, {0: self._manners}, self._clock, self._stopped, self._listen)
        line.open()
        self._line, self._setting = line, setting
        return line

    def _ask(self, line: Line, probe: Probe) -> tuple[Outcome, Sounds] | None:
        self._heard = b""
        self._manners.timeout = AdaptiveTimeout(probe.timeout_ns)
        request = ReadRequest(0, probe.unit_id, self._area, self._address, 1, ())
        done = line.run([request], MonoNs(self._clock.mono_ns() + _PATIENCE_NS))
        if not done:
            return None
        outcome = done[0].outcome
        if isinstance(outcome, PortDown):
            if probe.setting is not None or outcome.reason != "lost":
                raise line.fault or PortError("the port has gone", reason=outcome.reason, hint="plug it in")
            # There are servers that hang up on a unit id they do not know.
            line.open()
            return NoReply(), SILENCE
        # Modbus TCP numbers its requests: what is late there is known as such and says nothing new.
        sounds = SILENCE if probe.setting is None else sort_out(self._heard, expect(request).request)
        return outcome, sounds

    def _listen(self, frame: Frame) -> None:
        if frame.direction == "<-":
            self._heard += frame.data
