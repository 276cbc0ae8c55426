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


# fdlibm's e_exp.c (Sun Microsystems, 1993): ln 2 in two parts and the remainder's polynomial.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_INVERSE_LN2 = 1.44269504088896338700e00
_P1 = 1.66666666666666019037e-01
_P2 = -2.77777777770155933842e-03
_P3 = 6.61375632143793436117e-05
_P4 = -1.65339022054652515390e-06
_P5 = 4.13813679705723846039e-08
_UNDERFLOW = -708.0


def exp(x: float) -> float:
    """e**x for x <= 0, within 1 ulp; 0 below -708, where the result would leave the normal numbers.

    Plain arithmetic and not the C library's: glibc's exp differs in the last bit between processors
    with and without fused multiply-add and between versions, and a kernel must give the same bits on
    every machine that may replay its input or run its golden self-test.
    """
    if not x >= _UNDERFLOW:
        return 0.0 if x < _UNDERFLOW else x
    power = int(x * _INVERSE_LN2 - 0.5)
    high = x - power * _LN2_HIGH
    low = power * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5))))
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    return y * f64_from_bits((power + 1023) << 20, 0)


def sqrt(x: float) -> float:
    """The square root of x >= 0."""
    return math.sqrt(x)


def is_finite(x: float) -> bool:
    """Neither NaN nor an infinity."""
    return math.isfinite(x)


def bit_length(x: int) -> int:
    """Bits of x >= 0 without leading zeros; 0 for 0."""
    return x.bit_length()


def high_bits(x: float) -> int:
    """The upper 32 bits of the IEEE 754 double x, every NaN as it is."""
    bits: int = struct.unpack("<II", struct.pack("<d", x))[1]
    return bits


def low_bits(x: float) -> int:
    """The lower 32 bits of the IEEE 754 double x."""
    bits: int = struct.unpack("<II", struct.pack("<d", x))[0]
    return bits
