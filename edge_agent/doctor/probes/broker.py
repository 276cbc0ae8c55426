"""Dials the broker once, by the agent's own way to it, and hangs up when it has accepted.

The client id is one of the doctor's own: with the agent's, a broker would throw the running agent out.
Nothing is published or subscribed, there is no will, and the session is not kept.
"""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import replace
from pathlib import Path

from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.doctor.broker import Attempt
from edge_agent.doctor.certificates import Certificate
from edge_agent.doctor.probes import files, x509
from edge_agent.model import NS, Site
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.dial import Dialer
from edge_agent.uplink.connection.link import versions
from edge_agent.uplink.connection.mqtt import Connection
from edge_agent.uplink.connection.wire import ConnectOptions, Down, MqttVersion, Up
from edge_agent.uplink.reasons import Cause, Failure
from edge_agent.uplink.topics import client_id

BOUND_S = 25.0
_DIAL_NS, _CONNACK_NS = 10 * NS, 5 * NS
_PEER_S = 5.0
_TURN_S = 0.5


def attempt(site: Site, clock: Clock, *, agent_is_connected: bool = False) -> Attempt:
    uplink = site.uplink
    where = address.parse(uplink.url, insecure=uplink.insecure)
    login = address.Login(
        username=uplink.username,
        password_file=uplink.password_file,
        ca=uplink.ca,
        cert=uplink.cert,
        key=uplink.key,
    )
    about = Attempt(
        url=uplink.url,
        host=where.host,
        is_tls=where.tls,
        agent_is_connected=agent_is_connected,
        is_plain_and_away=not where.tls and not address.is_loopback(where.host),
    )
    named = (uplink.password_file, uplink.ca, uplink.cert, uplink.key)
    hidden = tuple(path for path in named if path and Path(path).exists() and not files.may_read(path))
    if hidden:
        return replace(about, unreadable=hidden)
    version, may_change = versions(uplink.protocol)
    options = ConnectOptions(
        address=where,
        login=login,
        client_id=own_client_id(uplink.client_id or client_id(site.site, site.agent)),
        protocol=version,
        dial_timeout_ns=_DIAL_NS,
        connack_timeout_ns=_CONNACK_NS,
    )
    began = clock.mono_ns()
    failure = _dial(options, clock)
    if failure is not None and failure.cause is Cause.PROTOCOL_VERSION and may_change:
        options = replace(options, protocol=MqttVersion.V311)
        failure = _dial(options, clock)
    # What has taken its whole time once is not tried once more.
    reached = failure is None or failure.cause not in (Cause.DNS, Cause.UNREACHABLE, Cause.TIMEOUT)
    return replace(
        about,
        failure=failure,
        took_ms=(clock.mono_ns() - began) / 1e6,
        protocol=options.protocol.label,
        addresses=_addresses(where.host) if reached else (),
        peer=_peer(where, login) if reached and where.tls else None,
    )


def own_client_id(agents: str) -> str:
    """Nobody else's, and yet recognised in the broker's log."""
    return f"{agents[:40]}-doctor-{os.urandom(4).hex()}"


def _dial(options: ConnectOptions, clock: Clock) -> Failure | None:
    """None when the broker accepted."""
    connection = Connection(options, Dialer(clock), clock, Counters())
    give_up = clock.mono_ns() + _DIAL_NS + _CONNACK_NS + NS
    try:
        while clock.mono_ns() < give_up:
            for event in connection.turn():
                if isinstance(event, Up):
                    return None
                if isinstance(event, Down):
                    return event.failure
            connection.wait(_TURN_S)
    finally:
        connection.close()
    return Failure(Cause.TIMEOUT, "the broker does not answer in time", "a firewall, or the wrong address?")


def _addresses(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def _peer(where: address.Address, login: address.Login) -> Certificate | None:
    """The certificate the broker shows, whether it is to be trusted or not: nothing is sent to it here."""
    if not x509.is_there():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        if login.cert:
            context.load_cert_chain(login.cert, login.key or None, password=lambda: "")
        with (
            socket.create_connection((where.host, where.port), timeout=_PEER_S) as plain,
            context.wrap_socket(plain, server_hostname=where.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
        return x509.of_der(shown) if shown else None
    except (OSError, ValueError):
        return None
