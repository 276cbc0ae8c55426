"""The small documents beside the records: status and alarm states as JSON, requests as msgpack.

JSON, because people look at retained topics with whatever client is at hand. Times are Unix seconds.
What receivers send below `dn/` is msgpack like the records, and bounded before it is decoded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent import __version__
from edge_agent.errors import RecordError
from edge_agent.model import NS, WallNs
from edge_agent.process.results import AlarmTransition
from edge_agent.records.pack import pack, unpack
from edge_agent.records.values import EPOCH_BYTES

MAX_REQUEST_BYTES = 256
MAX_REPLAY = 1_000_000
"""Records one request may name."""
_MAX_SEQ = (1 << 63) - 1
_MAX_STREAM = 16


@dataclass(frozen=True, slots=True)
class Ack:
    """`dn/ack`: everything of this stream from `first` to `upto` has arrived at a receiver."""

    epoch: bytes
    stream: str
    upto: int
    first: int = 1
    """Above 1 for a receiver that joined later: it must not speak for what was before."""

    def encode(self) -> bytes:
        fields = {"epoch": self.epoch, "stream": self.stream, "upto": self.upto}
        return pack(fields if self.first == 1 else fields | {"from": self.first})

    @classmethod
    def decode(cls, payload: bytes) -> Ack:
        """RecordError for anything else."""
        fields = _fields(payload)
        first = _seq(fields, "from") if "from" in fields else 1
        return cls(_epoch(fields), _stream(fields), _seq(fields, "upto"), first)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """`dn/replay`: send `first` to `last` again, both included, as far as they are still kept."""

    epoch: bytes
    stream: str
    first: int
    last: int

    def encode(self) -> bytes:
        fields = {"epoch": self.epoch, "stream": self.stream, "from": self.first, "to": self.last}
        return pack(fields)

    @classmethod
    def decode(cls, payload: bytes) -> ReplayRequest:
        """RecordError for anything else, and for more than `MAX_REPLAY` records."""
        fields = _fields(payload)
        first, last = _seq(fields, "from"), _seq(fields, "to")
        if not 0 <= last - first < MAX_REPLAY:
            raise RecordError(f"`from` to `to` must name 1 to {MAX_REPLAY} records")
        return cls(_epoch(fields), _stream(fields), first, last)


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


def _fields(payload: bytes) -> dict[Any, Any]:
    fields = unpack(payload, MAX_REQUEST_BYTES)
    if type(fields) is not dict:
        raise RecordError("not a map")
    return fields


def _epoch(fields: Mapping[Any, Any]) -> bytes:
    epoch = fields.get("epoch")
    if type(epoch) is not bytes or len(epoch) != EPOCH_BYTES:
        raise RecordError(f"`epoch` is not {EPOCH_BYTES} bytes")
    return epoch


def _stream(fields: Mapping[Any, Any]) -> str:
    stream = fields.get("stream")
    if type(stream) is not str or not 0 < len(stream) <= _MAX_STREAM:
        raise RecordError("`stream` is not the name of a stream")
    return stream


def _seq(fields: Mapping[Any, Any], key: str) -> int:
    seq = fields.get(key)
    if type(seq) is not int or not 1 <= seq <= _MAX_SEQ:
        raise RecordError(f"`{key}` is not the number of a record")
    return seq


def _encode(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
