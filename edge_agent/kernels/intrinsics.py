"""The few things a kernel cannot write in arithmetic, as plain Python.

The builder replaces each by the compiler's own form (`kernels/build/`); these bodies are what runs
under CPython, and they give the same bits.
"""

from __future__ import annotations

import math
import struct


def f32_from_bits(bits: int) -> float:
    """The IEEE 754 single with these 32 bits (0 <= bits < 2**32), widened to double."""
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def f64_from_bits(high: int, low: int) -> float:
    """The IEEE 754 double with these two 32-bit halves; halves, so that no int exceeds 63 bits."""
    value: float = struct.unpack("<d", struct.pack("<II", low, high))[0]
    return value


def i64_from_bits(high: int, low: int) -> int:
    """The two's complement 64-bit integer with these two 32-bit halves."""
    value: int = struct.unpack("<q", struct.pack("<II", low, high))[0]
    return value


def exp(x: float) -> float:
    """e**x for x <= 0 (no overflow to agree about)."""
    return math.exp(x)


def sqrt(x: float) -> float:
    """The square root of x >= 0."""
    return math.sqrt(x)


def is_finite(x: float) -> bool:
    """Neither NaN nor an infinity."""
    return math.isfinite(x)
