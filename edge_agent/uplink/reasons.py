"""What the broker's codes mean, and what follows from them.

Source: MQTT 5.0, 2.4 (reason codes), 3.2.2.2 (CONNACK), 3.4.2.1 (PUBACK), 3.14.2.1 (DISCONNECT). The
return codes of MQTT 3.1.1 (3.2.2.3) are translated to those of MQTT 5 before they get here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why there is no connection. The words are labels of counters and are shown in the status."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    FILES = "files"
    """A password, certificate or key file cannot be used."""
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_NAME = "tls_name"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS = "tls"
    PROTOCOL_VERSION = "protocol_version"
    CREDENTIALS = "credentials"
    NOT_AUTHORISED = "not_authorised"
    CLIENT_ID = "client_id"
    SERVER_BUSY = "server_busy"
    BANNED = "banned"
    REFUSED = "refused"
    """Any other refusal of the broker."""
    TAKEN_OVER = "taken_over"
    FLAPPING = "flapping"
    """Accepted and soon closed, again and again, without a word."""
    TOO_LARGE = "too_large"
    WINDOW = "window"
    """The broker says that more was in flight than it allows."""
    ALIAS = "alias"
    """The broker does not take the topic aliases it offered."""
    NO_ACK = "no_ack"
    PROTOCOL = "protocol"
    """The broker sent bytes that are no MQTT, or a packet beyond the bound."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a connection did not come about or ended, for people."""

    cause: Cause
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


_CONNACK = {
    0x84: (Cause.PROTOCOL_VERSION, "the broker does not speak this version of MQTT", ""),
    0x01: (Cause.PROTOCOL_VERSION, "the broker does not speak this version of MQTT", ""),
    0x85: (Cause.CLIENT_ID, "the broker refuses the client id", "set client_id under [uplink]"),
    0x86: (Cause.CREDENTIALS, "bad user name or password", "check username and password_file under [uplink]"),
    0x87: (
        Cause.NOT_AUTHORISED,
        "not authorised to connect",
        "the broker knows no such user, wants a password, or its access list refuses this client",
    ),
    0x88: (Cause.SERVER_BUSY, "the broker is not available", "it is tried again by itself"),
    0x89: (Cause.SERVER_BUSY, "the broker is busy", "it is tried again by itself"),
    0x97: (Cause.SERVER_BUSY, "a quota of the broker is exceeded", "it is tried again by itself"),
    0x9F: (Cause.SERVER_BUSY, "the broker limits new connections", "it is tried again by itself"),
    0x8A: (Cause.BANNED, "this client is banned by the broker", "ask who runs the broker"),
    0x9A: (Cause.REFUSED, "the broker does not keep retained messages", "allow them: the status needs them"),
    0x9B: (Cause.REFUSED, "the broker does not support QoS 1", "use a broker that does"),
    0x9C: (Cause.REFUSED, "the broker asks to use another server", "change url under [uplink]"),
    0x9D: (Cause.REFUSED, "the broker has moved", "change url under [uplink]"),
}


def refusal(code: int, name: str) -> Failure:
    """What a CONNACK with `code` says; `name` is used when the code has no words of its own."""
    cause, message, hint = _CONNACK.get(code, (Cause.REFUSED, f"the broker refuses: {name}", ""))
    return Failure(cause, f"{message} [0x{code:02x}]", hint)


_DISCONNECT = {
    0x8E: (
        Cause.TAKEN_OVER,
        "another client connected with the same client id",
        "two agents with one site and id? each needs an id of its own",
    ),
    0x95: (Cause.TOO_LARGE, "the broker says that a packet was too large", ""),
    0x93: (Cause.WINDOW, "the broker says that too much was in flight", ""),
    0x94: (Cause.ALIAS, "the broker refuses topic aliases it offered", "tried again without them"),
    0x87: (Cause.NOT_AUTHORISED, "no longer authorised", "the broker's access list may have changed"),
    0x89: (Cause.SERVER_BUSY, "the broker is busy", "it is tried again by itself"),
    0x96: (Cause.SERVER_BUSY, "the broker says that messages come too fast", ""),
    0x97: (Cause.SERVER_BUSY, "a quota of the broker is exceeded", ""),
}


def farewell(code: int, name: str) -> Failure:
    """What a DISCONNECT from the broker with `code` says."""
    cause, message, hint = _DISCONNECT.get(code, (Cause.LOST, f"the broker ended the connection: {name}", ""))
    return Failure(cause, f"{message} [0x{code:02x}]", hint)


class Verdict(StrEnum):
    """What becomes of a publish that was answered."""

    DONE = "done"
    PARK = "park"
    """Its topic is refused: all that would go there waits, and is probed with one record now and then."""
    REFUSE = "refuse"
    """This record is refused: it is set aside, and given up once others of its topic pass."""
    PAUSE = "pause"
    """It may pass later: everything waits a little, then it is sent again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer to a publish means."""

    words: str
    verdict: Verdict
    at_last: Verdict
    """Instead of a PAUSE that was tried often enough."""
    hint: str = ""


_PARK, _REFUSE, _PAUSE = Verdict.PARK, Verdict.REFUSE, Verdict.PAUSE
_ACCESS = "the broker's access list must let this agent write below its up/"
_FORM = "the broker must take topics of the form ea1/SITE/AGENT/up/..."
_RATE = "the broker limits this agent's rate: see backlog_rate"
_SIZE = "allow packets of at least 17 KiB at the broker"

PUBACK: Mapping[int, Rule] = {
    0x80: Rule("unspecified error", _PAUSE, _REFUSE),
    0x83: Rule("implementation specific error", _PAUSE, _REFUSE),
    0x87: Rule("not authorised", _PARK, _PARK, _ACCESS),
    # A topic is the stream's, not one record's: to give records up for it would be to give up all.
    0x90: Rule("topic name invalid", _PARK, _PARK, _FORM),
    0x91: Rule("packet identifier in use", _PAUSE, _REFUSE),
    0x95: Rule("packet too large", _REFUSE, _REFUSE, _SIZE),
    0x96: Rule("message rate too high", _PAUSE, _PARK, _RATE),
    0x97: Rule("quota exceeded", _PAUSE, _PARK, "a quota of the broker for this agent or topic"),
    0x99: Rule("payload format invalid", _REFUSE, _REFUSE, "the broker checks payloads: they are msgpack"),
}  # fmt: skip
"""Refusals of a PUBLISH, each by its rule. What is below 0x80 is success."""

HANGS_UP = Rule("the broker hangs up over it", _REFUSE, _REFUSE, _SIZE)
"""No code of MQTT: the connection ended again and again with this record alone in flight."""


def rule(code: int) -> Rule:
    """The rule for a refusal; codes that are not understood are treated as passing trouble."""
    return PUBACK.get(code) or Rule(f"0x{code:02x}", _PAUSE, _REFUSE)


def verdict(code: int) -> Verdict:
    return Verdict.DONE if code < 0x80 else rule(code).verdict
