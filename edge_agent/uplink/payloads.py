"""The small JSON documents of the agent's side: its status, and the present state of an alarm.

JSON, because people look at retained topics with whatever client is at hand. Times are Unix seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from edge_agent import __version__
from edge_agent.model import NS, WallNs
from edge_agent.process.results import AlarmTransition


def status(state: str, epoch: bytes, now: WallNs, reason: str = "", **more: object) -> bytes:
    """`state` is `online` or `offline`; `reason` says why it is offline."""
    document: dict[str, object] = {
        "state": state,
        "t": now / NS,
        "epoch": epoch.hex(),
        "version": __version__,
    }
    if reason:
        document["reason"] = reason
    return _encode(document | more)


def alarm(transition: AlarmTransition) -> bytes:
    """The retained state of an alarm; empty when it is normal, which removes the retained message."""
    if not transition.active:
        return b""
    value = transition.value
    return _encode(
        {
            "name": transition.name,
            "device": transition.device,
            "point": transition.point,
            "state": "active",
            "value": value if value is None or math.isfinite(value) else None,
            "t": transition.wall_ns / NS,
            "severity": str(transition.severity),
        }
    )


def health(document: Mapping[str, object], epoch: bytes, now: WallNs) -> bytes:
    """Now and then, not retained: how the agent, its buses, its spool and its counters stand."""
    return _encode({"t": now / NS, "epoch": epoch.hex()} | dict(document))


def maybe_status(payload: bytes) -> dict[str, Any] | None:
    """A received status document, None when it is none."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("state"), str) else None


def _encode(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
