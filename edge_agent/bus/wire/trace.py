"""What went over the line, frame by frame, for a technician.

A sink is any callable that takes a `Frame`; `render` makes one line of text of it. Knows no port.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from edge_agent.bus.outcomes import BadFrame, DeviceException, NoReply, Outcome, PortDown, ReadRequest, Values
from edge_agent.bus.wire.frames import exception_name
from edge_agent.model import MonoNs, WallNs

Direction = Literal["->", "<-", "--"]
"""To the device, from it, and nothing on the line."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes in one direction, or what became of a request."""

    bus: str
    direction: Direction
    data: bytes
    mono_ns: MonoNs
    wall_ns: WallNs
    gap_ns: int
    """Since the frame before: from its end as far as the agent can see it to this one's beginning."""
    gap_chars: float
    """The same in characters of this line; 0 where it has no baud."""
    verdict: str
    is_text: bool = False
    """Modbus ASCII: shown as the characters it is."""


Trace = Callable[[Frame], None]


def render(frame: Frame, since: MonoNs) -> str:
    """One line: wall time, seconds since `since`, gap, direction, hex, verdict."""
    clock = datetime.fromtimestamp(frame.wall_ns // 10**9, UTC).strftime("%H:%M:%S")
    clock += f".{frame.wall_ns % 10**9 // 10**6:03d}"
    gap = f"{frame.gap_ns / 1e6:8.2f} ms"
    if frame.gap_chars:
        gap += f" {frame.gap_chars:7.1f} ch"
    when = f"{clock} {(frame.mono_ns - since) / 1e9:+10.4f} s  gap {gap}"
    data = f" {text(frame.data) if frame.is_text else hex_bytes(frame.data)}" if frame.data else ""
    return f"{when}  {frame.direction}{data}  [{frame.verdict}]"


def hex_bytes(data: bytes) -> str:
    return data.hex(" ")


def text(data: bytes) -> str:
    """Characters of Modbus ASCII; whatever is none of them stands as \\xNN."""
    return ascii(data.decode("latin-1"))[1:-1]


def describe_request(request: ReadRequest) -> str:
    last = request.address + request.count - 1
    return f"unit {request.unit_id} read {request.area} {request.address}-{last}"


def describe(outcome: Outcome, request: ReadRequest, timeout_ns: int) -> str:
    """The verdict on a request, in a technician's words."""
    match outcome:
        case Values():
            return f"ok {request.count} {'bits' if request.area.is_bits else 'registers'}"
        case DeviceException(code):
            return f"exception {code} {exception_name(code)}"
        case NoReply():
            return f"no reply after {timeout_ns / 1e6:.0f} ms"
        case BadFrame(cause, heard):
            return f"bad frame: {cause}, {heard} bytes heard"
        case PortDown(reason):
            return f"port down: {reason}"
