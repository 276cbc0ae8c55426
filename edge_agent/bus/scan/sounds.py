"""What is heard while unit ids are searched: whose frames, another master's requests, or rubbish.

Pure. A search asks sooner than slow devices answer, so a frame that is not the reply to the request in
hand is evidence all the same: its unit is there, and slow; or there twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.bus.wire.frames import EXCEPTION_BIT, REQUEST_LENGTH, find_frame


@dataclass(frozen=True, slots=True)
class Sounds:
    """The bytes of a serial line since the last request, sorted out."""

    units: tuple[int, ...] = ()
    """Unit ids of whole valid replies, in their order, the accepted one among them."""
    requests: tuple[int, ...] = ()
    """Unit ids that somebody else asked, or wrote to."""
    junk: int = 0
    """Bytes that belong to no frame."""


SILENCE = Sounds()


def sort_out(heard: bytes, request: bytes) -> Sounds:
    """`request` is what was sent: on a line with local echo it comes back, once, and is no sound."""
    heard = heard.replace(request, b"", 1)
    units: list[int] = []
    requests: list[int] = []
    junk = 0
    while frame := find_frame(heard):
        start, end = frame
        junk += start
        whole, heard = heard[start:end], heard[end:]
        (requests if _is_request(whole) else units).append(whole[0])
    return Sounds(tuple(units), tuple(requests), junk + len(heard))


def _is_request(frame: bytes) -> bool:
    """Reads have eight bytes where their replies tell their own length; a write and the reply to it look
    alike, and either is another master's doing."""
    function = frame[1]
    if function & EXCEPTION_BIT:
        return False
    return len(frame) == REQUEST_LENGTH and (function > 4 or frame[2] + 5 != REQUEST_LENGTH)
