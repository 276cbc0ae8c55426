"""Pure: how delivery stands, for the status, the health message and the journal."""

from __future__ import annotations

from typing import Any

from edge_agent.model import NS, MonoNs
from edge_agent.uplink.sending.confirm import Confirmations
from edge_agent.uplink.sending.session import Session


def delivery(now: MonoNs, session: Session, confirm: Confirmations | None) -> dict[str, Any]:
    """JSON-able."""
    return {
        "parked": [
            {
                "topic": one.topic,
                "reason": one.rule.words,
                "hint": one.rule.hint,
                "since_s": round((now - one.since) / NS, 1),
                "retry_in_s": round(max(0, one.probe_at - now) / NS, 1),
            }
            for one in session.refusals.parked()
        ],
        "set_aside": session.refusals.aside + len(session.suspects),
        "unconfirmed": confirm.waiting() if confirm else 0,
        "replays": [
            {
                "stream": one.asked.stream,
                "epoch": one.asked.epoch.hex(),
                "from": one.asked.first,
                "to": one.asked.last,
                "left": one.waiting + one.flying,
                "sent": one.sent,
                "absent": one.absent,
            }
            for one in session.replays.pending()
        ],
    }


def problems(now: MonoNs, session: Session, confirm: Confirmations | None, *, deaf: bool) -> list[str]:
    """What is wrong now, for people. The words stay the same while the trouble does: the journal says
    what is new. `deaf`: the broker refused the subscription below dn/."""
    found = [
        f"uplink: the broker refuses {one.topic}: {one.rule.words}" + _hint(one.rule.hint)
        for one in session.refusals.parked()
    ]
    if deaf:
        hint = "the broker's access list must let this agent read below its dn/"
        found.append("uplink: the broker refuses the requests of receivers" + _hint(hint))
    if confirm and confirm.is_stalled(now):
        hint = "is `edge-agent receive --ack` running, and may it write dn/ack?"
        found.append("uplink: no receiver acknowledges what the broker takes" + _hint(hint))
    return found


def _hint(hint: str) -> str:
    return f"; hint: {hint}" if hint else ""
