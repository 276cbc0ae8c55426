"""Small kernels of the tests' own: each of the compiler's promises, and each way to break its rules."""

from __future__ import annotations

import math

from edge_agent.kernels import intrinsics
from edge_agent.kernels.intrinsics import f32_from_bits, f64_from_bits, i64_from_bits, is_finite, sqrt
from edge_agent.kernels.registry import Kernel, kernel, parse_signature

FACTOR = 3


@kernel("f64(f64, f64)", exported=False)
def sample_helper(a, b):
    return a * intrinsics.exp(-b)


@kernel("f64(f64)")
def sample_exp(x):
    return sample_helper(1.0, -x)


@kernel("f64(f64)")
def sample_sqrt(x):
    return sqrt(x)


@kernel("i64(f64)")
def sample_is_finite(x):
    return 1 if is_finite(x) else 0


@kernel("f64(i64)")
def sample_single(bits):
    return f32_from_bits(bits)


@kernel("f64(i64, i64)")
def sample_double(high, low):
    return f64_from_bits(high, low)


@kernel("i64(i64, i64)")
def sample_integer(high, low):
    return i64_from_bits(high, low)


@kernel("i64(u16*, u8*)")
def sample_small_integers(words, flags):
    """What numba's own typing of u16 and u8 would turn into unsigned numbers or floats."""
    flags[0] = words[0] + 1
    return ((words[0] ^ words[1]) - words[0] * FACTOR) // 2 + (-words[1]) % 7 + (flags[1] << 40)


@kernel("i64(i64, i64)")
def sample_division(a, b):
    return a // b * 1000003 + a % b


@kernel("void(i64*, f64*, i64)")
def sample_fill(integers, floats, n):
    for i in range(n):
        floats[i] = integers[i] / 2
        integers[i] = n - i


GOOD = (
    sample_helper, sample_exp, sample_sqrt, sample_is_finite, sample_single, sample_double,
    sample_integer, sample_small_integers, sample_division, sample_fill,
)  # fmt: skip


def kernels_of(*functions, signature=None):
    """The registry's entries of these functions, or new ones with `signature`."""
    from edge_agent.kernels.registry import KERNELS

    if signature is None:
        return {function.__name__: KERNELS[function.__name__] for function in functions}
    parsed = parse_signature(signature)
    return {function.__name__: Kernel(function.__name__, parsed, function, True) for function in functions}


def bad_raises(x):
    if x > 3:
        raise ValueError("too large")
    return x


def bad_asserts(x):
    assert x > 0
    return x


def bad_calls_libm(x):
    return math.exp(x)


def bad_allocates(x):
    return len([x, x])


def bad_name(x):
    return not_defined_anywhere + x  # type: ignore[name-defined]  # noqa: F821
