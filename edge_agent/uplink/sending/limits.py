"""The uplink's bounds in one place; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model import NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    window: int = 20
    alarm_places: int = 4
    live_places: int = 4
    backlog_rate: int = 200
    """Records a second that are not live: backlog, replays, and what is offered again."""
    backlog_bytes: int = 64 * 1024
    """Of those in flight: on a slow link an alarm waits behind what is in the send queue."""
    ack_timeout_ns: int = 10 * NS
    """Without any progress while something is unanswered: the connection is given up."""
    pause_ns: int = NS
    pause_cap_ns: int = 60 * NS
    tries: int = 3
    """How often a record is sent on one connection when the broker asks to try later, and how often it
    may be alone in flight when the broker hangs up."""
    park_ns: int = 60 * NS
    park_cap_ns: int = 900 * NS
    """How long a refused class of topics waits for its next probe: at first, and at most."""
    suspect_ns: int = 5 * NS
    """How long others go first on a connection before a record that ended one is tried again."""
    confirm_ns: int = 60 * NS
    confirm_cap_ns: int = 3600 * NS
    """With receivers' acknowledgements: how long nothing new may be acknowledged before some of what the
    broker took is offered again: at first, and at most."""
