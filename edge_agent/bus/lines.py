"""From a bus's definition to its line."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.bus.line import Line, Stopped, never_stopped
from edge_agent.bus.manners import Manners
from edge_agent.bus.port import open_port
from edge_agent.bus.serial_line import SerialLine
from edge_agent.bus.talker import Talk, Talker
from edge_agent.bus.tcp import TcpLine
from edge_agent.bus.timing import bus_timing
from edge_agent.bus.trace import Trace
from edge_agent.bus.tracing import Tracer
from edge_agent.clock import Clock
from edge_agent.model import BusDef, SerialLink


def make_line(
    bus: BusDef,
    manners: Mapping[int, Manners],
    clock: Clock,
    stopped: Stopped = never_stopped,
    trace: Trace | None = None,
    talk: Talk | None = None,
) -> Line:
    """The line, not yet opened. `trace` is given every frame; `talk` is the compiled loop, where there is
    one."""
    link, timing = bus.link, bus_timing(bus)
    tracer = Tracer(bus.name, timing, clock, trace) if trace else None
    if isinstance(link, SerialLink):
        return SerialLine(
            lambda: open_port(link, clock),
            timing,
            clock,
            manners=manners,
            stopped=stopped,
            tracer=tracer,
            talker=Talker(talk, timing) if talk else None,
        )
    return TcpLine(link, clock, manners=manners, stopped=stopped, tracer=tracer)
