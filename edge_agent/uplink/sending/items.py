"""What the session hands out to be published: a message as it is, or a record by its identity."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.outbox import Ref


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this record; the shell reads its bytes from the outbox."""

    ref: Ref
    topic: str
    backlog: bool
    """Not live: it takes part in the rate of the backlog."""
    replay: bool = False
    """Asked for again by a receiver: its answer changes nothing in the account."""


Item = Message | Send
