"""Connects to a device or device server and closes again: nothing is sent but what TLS needs."""

from __future__ import annotations

import contextlib

from edge_agent.bus.ports import socket_port
from edge_agent.bus.ports.resolver import Resolver
from edge_agent.bus.report import describe_link
from edge_agent.clock import Clock
from edge_agent.doctor.probes import files
from edge_agent.doctor.servers import Server
from edge_agent.errors import PortError
from edge_agent.model import BusDef, TcpLink, TlsLink


def attempt(bus: BusDef, clock: Clock) -> Server:
    link = bus.link
    assert isinstance(link, TcpLink), "serial ports are not connected to"
    about = describe_link(bus)
    if isinstance(link, TlsLink):
        hidden = [path for path in (link.ca, link.cert, link.key) if path and not files.may_read(path)]
        if hidden:
            return Server(
                bus=bus.name, link=about, reason="local", error=f"you may not read {', '.join(hidden)}",
                hint="$ sudo edge-agent doctor",
            )  # fmt: skip
    began = clock.mono_ns()
    try:
        _connect(link, clock)
    except PortError as error:
        message, _, _ = str(error).partition("\n")
        return Server(bus=bus.name, link=about, error=message, hint=error.hint, reason=error.reason)
    return Server(bus=bus.name, link=about, took_ms=(clock.mono_ns() - began) / 1e6)


def _connect(link: TcpLink, clock: Clock) -> None:
    def stopped() -> bool:
        return False

    resolver = Resolver(link, clock, stopped)
    if isinstance(link, TlsLink):
        from edge_agent.bus.ports import tls_port

        tls_port.connect(link, resolver, clock, stopped).close()
    else:
        with contextlib.closing(socket_port.connected(link, resolver, clock, stopped)):
            pass
