"""Pure: what is asked of the agent under `dn/`, and whether it may be.

Whoever may write to these topics may be hostile, or many. Nothing is believed before its topic, flag,
size and rate are looked at, and nothing asked here can do more than send what was sent before. A
retained request would be carried out again at every connection: it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge_agent.errors import RecordError
from edge_agent.model import NS, MonoNs
from edge_agent.uplink import payloads
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.payloads import Ack, ReplayRequest
from edge_agent.uplink.sending.bucket import TokenBucket
from edge_agent.uplink.topics import Topics

_REBIRTH_EVERY_NS = 10 * NS
_A_MINUTE = 60
_REPLAYS_A_MINUTE = 12
_AUDITED_REFUSALS_A_MINUTE = 6
"""The stream `audit` is given up last, so nobody may fill it by asking nonsense; the rest is counted."""


class Why(StrEnum):
    """Why a request is refused: labels of a counter."""

    RETAINED = "retained"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    TOO_OFTEN = "too_often"
    FULL = "full"
    OFF = "off"
    """`dn/ack` without `ack = "receiver"`."""


@dataclass(frozen=True, slots=True)
class Rebirth:
    """`dn/rebirth`: births, status and alarm states again."""


@dataclass(frozen=True, slots=True)
class Refused:
    what: str
    why: Why
    detail: str = ""
    audited: bool = False


Request = Ack | ReplayRequest | Rebirth | Refused


class Requests:
    """What is taken is to be carried out; one agent has one."""

    def __init__(self, topics: Topics, *, acks: bool) -> None:
        self._kinds = {topics.ack: "ack", topics.replay: "replay", topics.rebirth: "rebirth"}
        self._acks = acks
        self._replays = _per_minute(_REPLAYS_A_MINUTE)
        self._refusals = _per_minute(_AUDITED_REFUSALS_A_MINUTE)
        self._rebirth_at = MonoNs(0)

    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self._kinds)

    def judge(self, now: MonoNs, message: Message, *, full: bool) -> Request | None:
        """None for a topic nothing was asked of. `full`: no further replay can be taken."""
        what = self._kinds.get(message.topic)
        if what is None:
            return None
        if message.retain:
            return self._refuse(now, what, Why.RETAINED, "publish it without the retain flag")
        if len(message.payload) > payloads.MAX_REQUEST_BYTES:
            return self._refuse(now, what, Why.TOO_LARGE, f"{len(message.payload)} bytes")
        try:
            return self._understood(now, what, message.payload, full=full)
        except RecordError as error:
            return self._refuse(now, what, Why.MALFORMED, str(error))

    def _understood(self, now: MonoNs, what: str, payload: bytes, *, full: bool) -> Request:
        if what == "ack":
            ack = Ack.decode(payload)
            return ack if self._acks else Refused(what, Why.OFF)
        if what == "replay":
            request = ReplayRequest.decode(payload)
            if full:
                return self._refuse(now, what, Why.FULL, "too many requests are waiting")
            return request if self._replays.take(now) else self._refuse(now, what, Why.TOO_OFTEN)
        if payload:
            raise RecordError("the payload must be empty")
        if now < self._rebirth_at:
            return self._refuse(now, what, Why.TOO_OFTEN)
        self._rebirth_at = MonoNs(now + _REBIRTH_EVERY_NS)
        return Rebirth()

    def _refuse(self, now: MonoNs, what: str, why: Why, detail: str = "") -> Refused:
        audited = what != "ack" and self._refusals.take(now)
        return Refused(what, why, detail, audited)


def _per_minute(count: int) -> TokenBucket:
    return TokenBucket(count, count, per_s=_A_MINUTE)
