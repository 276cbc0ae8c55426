"""Bodies of the streams `event` and `audit`: where a run begins and ends, what its aliases mean, what was
lost, what was done by whose order.

They are rare, so they are maps with words as keys: readable in a hex dump, and a later version can
add a key that older receivers ignore. Times are wall-clock nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.records.envelope import integer
from edge_agent.records.pack import pack
from edge_agent.records.values import EPOCH_BYTES, Loss, Recovery, Stamp

MAX_PARTS = 128
"""Parts of one dictionary: more than its largest size needs."""
MAX_AUDIT_TEXT = 1024
"""Bytes of a text in AUDIT; what is longer is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """First record of an epoch. Its t0 is when this run began to observe. With `previous` it declares
    what the interruption took: everything between `previous.certain` and t0 that no record holds."""

    site: str
    agent: str
    software: str
    config: str
    """SHA-256 of the configuration file, hex."""
    boot: bytes
    """The kernel's boot id: monotonic times compare only within one boot."""
    previous: Recovery

    def encode(self, t0: Stamp) -> bytes:
        previous = self.previous
        return pack(
            {
                "agent": self.agent,
                "boot": self.boot,
                "certain": dict(previous.certain),
                "certain_until": previous.certain_until,
                "clean": previous.clean,
                "config": self.config,
                "last": dict(previous.last),
                "observing_from": t0.wall_ns,
                "previous": previous.epoch,
                "site": self.site,
                "software": self.software,
            }
        )

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        epoch = _bytes(fields, "previous", 0, EPOCH_BYTES)
        return cls(
            site=_text(fields, "site"),
            agent=_text(fields, "agent"),
            software=_text(fields, "software"),
            config=_text(fields, "config"),
            boot=_bytes(fields, "boot", 16),
            previous=Recovery(
                epoch=epoch,
                last=_numbers(fields, "last"),
                certain={name: WallNs(ns) for name, ns in _numbers(fields, "certain").items()},
                certain_until=_maybe_wall(fields, "certain_until"),
                clean=_flag(fields, "clean"),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """One part of the dictionary whose hash stands in the envelope: the canonical bytes are cut into
    `parts` slices of at most 15 KiB, so that this record too stays below 16 KiB."""

    part: int
    parts: int
    data: bytes

    def encode(self, _t0: Stamp) -> bytes:
        return pack({"data": self.data, "part": self.part, "parts": self.parts})

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        parts = integer(fields.get("parts"), "parts", 1, MAX_PARTS)
        part = integer(fields.get("part"), "part", 0, parts - 1)
        data = fields.get("data")
        if type(data) is not bytes:
            raise RecordError("a birth has no data")
        return cls(part=part, parts=parts, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Records of any epoch that will never come."""

    loss: Loss

    def encode(self, _t0: Stamp) -> bytes:
        loss = self.loss
        return pack(
            {
                "count": loss.count,
                "epoch": loss.epoch,
                "from": loss.from_seq,
                "reason": loss.reason,
                "stream": loss.stream,
                "t0": loss.t0,
                "t1": loss.t1,
                "to": loss.to_seq,
            }
        )

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        first = integer(fields.get("from"), "from", 1)
        last = integer(fields.get("to"), "to", first)
        return cls(
            loss=Loss(
                epoch=_bytes(fields, "epoch", EPOCH_BYTES),
                stream=_text(fields, "stream"),
                from_seq=first,
                to_seq=last,
                count=integer(fields.get("count"), "count", 1, last - first + 1),
                reason=_text(fields, "reason"),
                t0=_maybe_wall(fields, "t0"),
                t1=_maybe_wall(fields, "t1"),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet:
    """The wall clock was set, or began or ceased to be synchronised. t0 is by the new clock; `before`
    is what the old one would have shown at the same monotonic time, so t0 - before is the step: it
    corrects earlier times of this epoch."""

    before_ns: WallNs
    before_synced: bool

    def encode(self, _t0: Stamp) -> bytes:
        return pack({"before": self.before_ns, "before_synced": self.before_synced})

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        return cls(
            before_ns=WallNs(integer(fields.get("before"), "before")),
            before_synced=_flag(fields, "before_synced"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Last record of an epoch that ended in order. `last`: the last seq of every other stream."""

    reason: str
    last: dict[str, int]

    def encode(self, _t0: Stamp) -> bytes:
        return pack({"last": dict(self.last), "reason": self.reason})

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        return cls(reason=_text(fields, "reason"), last=_numbers(fields, "last"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Something was done, or refused, because somebody asked for it. t0 is when."""

    who: str
    """`local uid 1000`, or the topic it came by."""
    what: str
    """The order in one word or two: `spool purge`, `replay`."""
    result: str
    """`done`, or `refused` or `failed` and why; `begun` where nobody lived to say."""
    detail: str = ""

    def encode(self, _t0: Stamp) -> bytes:
        fields = {"detail": self.detail, "result": self.result, "what": self.what, "who": self.who}
        return pack({key: _short(text) for key, text in fields.items()})

    @classmethod
    def decode(cls, raw: Any, _t0: Stamp) -> Self:
        fields = _map(raw)
        return cls(
            who=_text(fields, "who"),
            what=_text(fields, "what"),
            result=_text(fields, "result"),
            detail=_text(fields, "detail"),
        )


def _short(text: str) -> str:
    """What others wrote is in it: no text makes a record too large, or one that cannot be encoded."""
    return text.encode(errors="replace")[:MAX_AUDIT_TEXT].decode(errors="ignore")


def _map(raw: Any) -> dict[str, Any]:
    if type(raw) is not dict or not all(type(key) is str for key in raw):
        raise RecordError("a body is not a map with texts as keys")
    return raw


def _text(fields: dict[str, Any], key: str) -> str:
    if type(value := fields.get(key)) is not str:
        raise RecordError(f"`{key}` is not a text")
    return value


def _flag(fields: dict[str, Any], key: str) -> bool:
    if type(value := fields.get(key)) is not bool:
        raise RecordError(f"`{key}` is neither true nor false")
    return value


def _bytes(fields: dict[str, Any], key: str, *lengths: int) -> bytes:
    value = fields.get(key)
    if type(value) is not bytes or len(value) not in lengths:
        raise RecordError(f"`{key}` is not bytes of the right length")
    return value


def _maybe_wall(fields: dict[str, Any], key: str) -> WallNs | None:
    value = fields.get(key)
    return None if value is None else WallNs(integer(value, key))


def _numbers(fields: dict[str, Any], key: str) -> dict[str, int]:
    value = _map(fields.get(key))
    return {name: integer(number, key) for name, number in value.items()}
