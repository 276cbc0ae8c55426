"""Whether the broker lets us in: one CONNECT, its CONNACK, and goodbye. Shell around `uplink.connection`.

Nothing is published and nothing subscribed. A password that is not stored yet stands in a file that has no
name anywhere, so nothing of it is left behind however this ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edge_agent.clock import Clock
from edge_agent.counters import Counters
from edge_agent.errors import UplinkError
from edge_agent.model import NS, UplinkDef
from edge_agent.uplink.connection import address
from edge_agent.uplink.connection.address import Login
from edge_agent.uplink.connection.dial import Dialer
from edge_agent.uplink.connection.link import versions
from edge_agent.uplink.connection.mqtt import Connection
from edge_agent.uplink.connection.wire import ConnectOptions, Down, MqttVersion, Up
from edge_agent.uplink.reasons import Cause, Failure

_DIAL_NS = 10 * NS
_TURN_S = 0.5


@dataclass(frozen=True, slots=True)
class Reached:
    """`protocol` as in `MqttVersion.label`; `failure` None: the broker let us in."""

    protocol: str
    failure: Failure | None = None


def reach(uplink: UplinkDef, client_id: str, clock: Clock, *, password: str = "") -> Reached:
    """Try to connect as the agent will."""
    version, may_change = versions(uplink.protocol)
    with _login(uplink, password) as login:
        try:
            broker = address.parse(uplink.url, insecure=uplink.insecure)
        except UplinkError as error:
            return Reached(version.label, Failure(Cause.UNREACHABLE, str(error).partition("\n")[0]))
        options = ConnectOptions(
            address=broker, login=login, client_id=client_id, protocol=version, dial_timeout_ns=_DIAL_NS
        )
        reached = _try(options, clock)
        if reached.failure is not None and reached.failure.cause is Cause.PROTOCOL_VERSION and may_change:
            reached = _try(replace(options, protocol=MqttVersion.V311), clock)
    return reached


def _try(options: ConnectOptions, clock: Clock) -> Reached:
    connection = Connection(options, Dialer(clock), clock, Counters())
    try:
        while True:
            for event in connection.turn():
                if isinstance(event, Up):
                    return Reached(options.protocol.label)
                if isinstance(event, Down):
                    return Reached(options.protocol.label, event.failure)
            connection.wait(_TURN_S)
    finally:
        connection.close()


@contextmanager
def _login(uplink: UplinkDef, password: str) -> Iterator[Login]:
    login = Login(
        username=uplink.username,
        password_file=uplink.password_file,
        ca=uplink.ca,
        cert=uplink.cert,
        key=uplink.key,
    )
    if not password:
        yield login
        return
    descriptor = os.memfd_create("mqtt-password", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, password.encode())
        yield replace(login, password_file=f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
