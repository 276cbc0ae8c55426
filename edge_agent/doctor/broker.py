"""Judges one attempt at the broker: name, TCP, TLS, CONNECT. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.doctor.certificates import Certificate, expiry
from edge_agent.doctor.findings import AS_ROOT, Finding, Subject
from edge_agent.uplink.reasons import Cause, Failure

CHECK = "broker"

_BEFORE_TLS = frozenset({Cause.DNS, Cause.UNREACHABLE})
_IN_TLS = frozenset(
    {Cause.TLS, Cause.TLS_UNTRUSTED, Cause.TLS_NAME, Cause.TLS_EXPIRED, Cause.TLS_NOT_YET_VALID}
)
_OF_THE_ID = frozenset({Cause.CLIENT_ID, Cause.NOT_AUTHORISED, Cause.BANNED})
"""Refusals that may be meant for the doctor's client id only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of dialling with everything that is configured but the client id."""

    url: str
    host: str
    is_offline: bool = False
    is_tls: bool = False
    unreadable: tuple[str, ...] = ()
    """Files without which nobody can log in, and which the doctor may not read."""
    failure: Failure | None = None
    took_ms: float = 0.0
    protocol: str = ""
    addresses: tuple[str, ...] = ()
    """Of the name."""
    peer: Certificate | None = None
    """The broker's certificate, trusted or not."""
    agent_is_connected: bool = False
    is_plain_and_away: bool = False
    """Plain MQTT to another machine."""


def judge(attempt: Attempt, now_s: float) -> Iterator[Finding]:
    about = Subject(CHECK, attempt.url)
    if attempt.is_offline:
        yield about.skipped("--offline")
        return
    if attempt.unreadable:
        yield about.skipped(f"you may not read {', '.join(attempt.unreadable)}", AS_ROOT)
        return
    cause = attempt.failure.cause if attempt.failure else None
    yield from _name(attempt, cause)
    yield from _tls(attempt, cause, now_s)
    yield _connect(about, attempt)
    if attempt.is_plain_and_away:
        yield Subject(CHECK, "secrecy").note(
            "plain MQTT: everybody on the way may read and change the data", "write mqtts:// as url"
        )


def _name(attempt: Attempt, cause: Cause | None) -> Iterator[Finding]:
    if attempt.addresses and attempt.addresses != (attempt.host,) and cause is not Cause.DNS:
        yield Subject(CHECK, f"name {attempt.host}").ok(", ".join(attempt.addresses[:3]))


def _tls(attempt: Attempt, cause: Cause | None, now_s: float) -> Iterator[Finding]:
    if not attempt.is_tls or cause in _BEFORE_TLS:
        return
    about = Subject(CHECK, "certificate")
    if attempt.peer is None:
        return
    if cause in _IN_TLS:
        one = attempt.peer
        names = f", made out to {', '.join(one.names[:4])}" if one.names else ""
        yield about.note(f"the broker shows {one.subject}, by {one.issuer}{names}")
        if cause is not Cause.TLS_EXPIRED and cause is not Cause.TLS_NOT_YET_VALID:
            return
    yield expiry(about, (attempt.peer,), now_s)


def _connect(about: Subject, attempt: Attempt) -> Finding:
    failure = attempt.failure
    if failure is None:
        how = "TLS, certificate trusted, " if attempt.is_tls else ""
        return about.ok(f"accepts us: {how}MQTT {attempt.protocol}, {attempt.took_ms:.0f} ms")
    if failure.cause in _OF_THE_ID and attempt.agent_is_connected:
        return about.ok(
            f"the running agent is connected (the doctor's own client id is not: {failure.message})"
        )
    hint = failure.hint
    if failure.cause in _OF_THE_ID:
        other = (
            "or it lets in only the agent's own client id, which the doctor does not use: edge-agent status"
        )
        hint = f"{hint}; {other}"
    if failure.cause is Cause.DNS:
        return about.fault(failure.message, hint, f"$ getent hosts {attempt.host}")
    return about.fault(failure.message, hint.removeprefix("; "))
