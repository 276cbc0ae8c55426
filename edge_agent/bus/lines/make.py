"""From a bus's definition to its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_agent.bus.line import Line, Stopped, never_stopped
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.stream import StreamLine, StreamPort
from edge_agent.bus.lines.talker import Talk, Talker
from edge_agent.bus.lines.tcp import Connect, TcpLine
from edge_agent.bus.ports.ascii_port import AsciiPort, AsciiTracer, Characters
from edge_agent.bus.ports.port import Port, open_port
from edge_agent.bus.ports.resolver import Resolver
from edge_agent.bus.ports.socket_port import connect
from edge_agent.bus.wire.manners import Manners
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.bus.wire.trace import Trace
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.clock import Clock
from edge_agent.model import BusDef, DeviceServerLink, Framing, SerialLink, TcpLink, TlsLink


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
    if not isinstance(link, SerialLink | DeviceServerLink):
        connection = _connection(link)
        return TcpLine(link, clock, manners=manners, stopped=stopped, tracer=tracer, connect=connection)
    open_it = _port_of(link, clock, stopped)
    if link.framing is Framing.ASCII:
        characters = Characters()
        open_it = _in_ascii(open_it, characters)
        tracer = AsciiTracer(bus.name, timing, clock, trace, characters) if trace else None
    if isinstance(link, DeviceServerLink):
        return StreamLine(open_it, timing, clock, manners=manners, stopped=stopped, tracer=tracer)
    return SerialLine(
        open_it,
        timing,
        clock,
        manners=manners,
        stopped=stopped,
        tracer=tracer,
        talker=Talker(talk, timing) if talk else None,
    )


def _port_of(link: SerialLink | DeviceServerLink, clock: Clock, stopped: Stopped) -> Callable[[], Port]:
    if isinstance(link, SerialLink):
        return lambda: open_port(link, clock)
    resolver = Resolver(link, clock, stopped)
    return lambda: StreamPort(connect(link, resolver, clock, stopped), clock)


def _in_ascii(open_it: Callable[[], Port], characters: Characters) -> Callable[[], Port]:
    return lambda: AsciiPort(open_it(), characters)


def _connection(link: TcpLink) -> Connect:
    if not isinstance(link, TlsLink):
        return connect
    # Here and not above: `ssl` takes memory that a bus without it need not pay.
    from edge_agent.bus.ports import tls_port

    return tls_port.connect
