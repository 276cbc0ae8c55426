"""What a request to a device came to, as values: they happen thousands of times a day.

The kinds stay apart up to the receiver: silence, garbage, a device that says no, and a port that is
not there have different causes and different remedies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge_agent import model
from edge_agent.model import Area, MonoNs, Quality, WallNs


class BadCause(StrEnum):
    """Why bytes that were heard are not the reply. The words are shown to technicians."""

    CRC = "crc"
    SHORT = "short"
    WRONG_UNIT = "wrong_unit"
    WRONG_FUNCTION = "wrong_function"
    WRONG_COUNT = "wrong_count"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Values:
    """A good reply. `data` as on the wire: two bytes a register, high byte first, or packed bits,
    first bit lowest (Modbus Application Protocol V1.1b3, 6.1 and 6.3)."""

    data: bytes
    latency_ns: int
    """End of the request to the first byte of the reply."""


@dataclass(frozen=True, slots=True)
class DeviceException:
    """The device answered, and said no."""

    code: int
    latency_ns: int


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing at all was heard until the timeout."""


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Something was heard, but no valid reply to this request."""

    cause: BadCause
    heard: int
    """Bytes heard."""
    paused: bool = False
    """They came with a pause between them: they may belong to two replies, and another rest still come."""


@dataclass(frozen=True, slots=True)
class PortDown:
    """The port or connection is not there; `reason` is a `PortError.reason`."""

    reason: str


Outcome = Values | DeviceException | NoReply | BadFrame | PortDown


def quality(outcome: Outcome) -> Quality:
    """The quality every point of the request gets (before its own value is looked at)."""
    match outcome:
        case Values():
            return model.GOOD
        case DeviceException(code):
            return Quality.exception(code)
        case NoReply():
            return model.NO_REPLY
        case BadFrame():
            return model.BAD_FRAME
        case PortDown():
            return model.PORT_DOWN


_SAID_BY_A_GATEWAY = (10, 11)
"""Path unavailable, target failed to respond (Modbus Application Protocol V1.1b3, 7)."""


def is_alive(outcome: Outcome) -> bool:
    """Whether the device itself was heard. A gateway answers in the place of one that is silent, and that
    exception is no sign of life."""
    if isinstance(outcome, DeviceException):
        return outcome.code not in _SAID_BY_A_GATEWAY
    return isinstance(outcome, Values)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One read on the wire and the points it serves."""

    device: int
    """Index into `Site.devices`."""
    unit_id: int
    area: Area
    address: int
    count: int
    """Registers, or bits for coils and discrete inputs."""
    points: tuple[int, ...]
    """Indexes into `Site.points`, in the order of their addresses."""


@dataclass(frozen=True, slots=True)
class Block:
    """What the bus hands to the process stage: one request and what it came to."""

    generation: int
    """Configuration the indexes refer to; rises with every `build`."""
    request: ReadRequest
    outcome: Outcome
    mono_ns: MonoNs
    """Last byte of the reply, or when the outcome was certain."""
    wall_ns: WallNs


@dataclass(frozen=True, slots=True)
class Skipped:
    """Polls that were planned but never made: the next one replaced them. Counted as missing."""

    generation: int
    points: tuple[int, ...]
    """One entry per missed poll: a point that missed twice stands here twice."""
    mono_ns: MonoNs
    wall_ns: WallNs


BusEvent = Block | Skipped
