"""What goes into a connection and what comes out of it, as values: options, messages, events.

Owned here so that nothing but `mqtt` has to know which MQTT library is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from edge_agent.model import NS
from edge_agent.uplink.connection.address import Address, Login
from edge_agent.uplink.reasons import Failure

DEFAULT_MAX_PACKET = 256 * 1024
"""Bytes; sixteen times the largest record."""


class MqttVersion(Enum):
    """The values are the protocol levels of CONNECT (MQTT 5.0, 3.1.2.2)."""

    V311 = 4
    V5 = 5

    @property
    def label(self) -> str:
        return "5" if self is MqttVersion.V5 else "3.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    topic: str
    payload: bytes
    retain: bool = False
    alias: bool = False
    """The topic comes again and again on this connection: worth an alias, where the broker takes some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    address: Address
    login: Login = field(default_factory=Login)
    client_id: str
    protocol: MqttVersion = MqttVersion.V5
    keepalive_s: int = 30
    will: Message | None = None
    clean: bool = True
    """False: the broker keeps this client's subscriptions and messages for `session_expiry_s`."""
    session_expiry_s: int = 0
    manual_ack: bool = False
    """Messages are acknowledged to the broker by `acknowledge`, not on receipt."""
    max_packet_bytes: int = DEFAULT_MAX_PACKET
    topic_aliases: int = 16
    """Most topic aliases used, of those the broker offers."""
    receive_maximum: int = 0
    """Messages the broker may send ahead of our acknowledgements; 0 leaves it to the broker."""
    dial_timeout_ns: int = 20 * NS
    """Name lookup, TCP and TLS together."""
    connack_timeout_ns: int = 10 * NS


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one connection."""

    heard: int = 0
    """Bytes received."""
    taken: int = 0
    """Bytes the other side's system has taken."""
    left: int = 0
    """Bytes to be sent that it has not taken yet, as far as they were handed to ours; more than none
    where some were not."""


# --- what `turn` returns ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The broker accepted; `receive_maximum` and `max_packet_bytes` are its own limits."""

    session_present: bool
    receive_maximum: int
    max_packet_bytes: int


@dataclass(frozen=True, slots=True)
class Down:
    """The end of this connection; nothing follows it."""

    failure: Failure
    taken: bool = False
    """The other side's system had taken every byte that was to be sent, as far as one can know: see
    `GuardedSocket.was_taken`."""


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a publish. `code` is 0 under MQTT 3.1.1, which cannot refuse one."""

    mid: int
    code: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to a subscription, one code per filter; 0x80 and above is a refusal."""

    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Received:
    message: Message
    mid: int
    qos: int


Event = Up | Down | Published | Subscribed | Received
