"""The words of the field: areas, types, orders, qualities, how a point sends, severities."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

MonoNs = NewType("MonoNs", int)
"""Nanoseconds of CLOCK_MONOTONIC: the only time that schedules anything."""
WallNs = NewType("WallNs", int)
"""Nanoseconds since 1970-01-01T00:00:00Z as the host believes; may jump, so it only labels."""

NS = 1_000_000_000


class Area(StrEnum):
    """The four Modbus data areas; each implies its read function code."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def function(self) -> int:
        """The function code that reads this area (Modbus Application Protocol V1.1b3, 6.1-6.4)."""
        return _READ_FUNCTION[self]

    @property
    def is_bits(self) -> bool:
        return self in (Area.COIL, Area.DISCRETE)

    @property
    def max_count(self) -> int:
        """Most items one request may ask for: 2000 bits or 125 words."""
        return 2000 if self.is_bits else 125


_READ_FUNCTION = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}


class PointType(StrEnum):
    BOOL = "bool"
    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    STRING = "string"

    @property
    def words(self) -> int:
        """Registers one value occupies; 0 for a string, whose length is the point's own."""
        return _WORDS[self]

    @property
    def is_float(self) -> bool:
        return self in (PointType.F32, PointType.F64)


_WORDS = {
    PointType.BOOL: 1, PointType.U16: 1, PointType.S16: 1, PointType.BCD16: 1,
    PointType.U32: 2, PointType.S32: 2, PointType.F32: 2, PointType.BCD32: 2,
    PointType.U64: 4, PointType.S64: 4, PointType.F64: 4, PointType.STRING: 0,
}  # fmt: skip


class Order(StrEnum):
    """Byte order of a value as the letters of its bytes, most significant first, on the wire.

    `abcd` is the standard's order; `cdab` sends the low word first; `badc` swaps the bytes of each
    word; `dcba` does both. 64-bit values follow the same rule over four words.
    """

    ABCD = "abcd"
    CDAB = "cdab"
    BADC = "badc"
    DCBA = "dcba"

    @property
    def low_word_first(self) -> bool:
        return self in (Order.CDAB, Order.DCBA)

    @property
    def bytes_swapped(self) -> bool:
        return self in (Order.BADC, Order.DCBA)


class Quality(int):
    """One byte: 0 good, 1-63 uncertain, 64-127 bad, 128-255 bad with a Modbus exception code.

    Ordered so that a larger number is a worse quality: the worst of a window is its maximum.
    """

    __slots__ = ()

    @property
    def is_bad(self) -> bool:
        return self >= 64

    @property
    def label(self) -> str:
        """The word the receiver prints: `good`, `no_reply`, `exception_2`, ..."""
        if self > 128:
            return f"exception_{self - 128}"
        return _QUALITY_LABELS.get(int(self), f"quality_{int(self)}")

    @classmethod
    def exception(cls, code: int) -> Quality:
        """The quality of a point whose device answered with exception `code` (1 to 255)."""
        return cls(128 + min(code, 127))


GOOD = Quality(0)
STALE = Quality(1)
IMPLAUSIBLE = Quality(2)
CLOCK = Quality(3)
NO_REPLY = Quality(64)
BAD_FRAME = Quality(65)
PORT_DOWN = Quality(66)
INVALID = Quality(67)
DISABLED = Quality(68)

_QUALITY_LABELS = {
    0: "good", 1: "stale", 2: "implausible", 3: "clock",
    64: "no_reply", 65: "bad_frame", 66: "port_down", 67: "invalid", 68: "disabled",
}  # fmt: skip


class Send(StrEnum):
    """What a point sends: window summaries, every sample, or only changes."""

    SUMMARY = "summary"
    SAMPLES = "samples"
    CHANGES = "changes"


def send_mode(wanted: Send, type: PointType, poll_ns: int, window_ns: int) -> Send:
    """How a point really sends: text has no minimum and no mean, so it sends changes; and a window of at
    most one value says less than the value, so a point that is read no oftener sends samples."""
    if wanted is not Send.SUMMARY:
        return wanted
    if type is PointType.STRING:
        return Send.CHANGES
    return Send.SAMPLES if poll_ns >= window_ns else Send.SUMMARY


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
