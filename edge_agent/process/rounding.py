"""Filtered values to the resolution that is declared for their point. Pure.

A multiple of a decimal resolution is the double nearest to the decimal that a person would write: 5.3 and
not 5.300000000000001, which would be another number for whoever compares, and a longer one to send.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_MOST_STEPS = 2.0**53
"""Beyond it a double has no digits left that the resolution could take away."""
_MOST_DECIMALS = 22
"""Powers of ten up to this are exact doubles."""


def to_multiples_of(resolution: float) -> Callable[[float], float]:
    """A function that rounds a number to the nearest multiple of `resolution` (above 0)."""
    mantissa, decimals = _decimal(resolution)
    power = 10 ** max(decimals, 0)
    mantissa *= 10 ** max(-decimals, 0)

    def rounded(value: float) -> float:
        steps = value / resolution
        if not math.isfinite(steps) or abs(steps) >= _MOST_STEPS or decimals > _MOST_DECIMALS:
            return value
        # Of two integers Python's division gives the nearest double.
        return round(steps) * mantissa / power

    return rounded


def _decimal(number: float) -> tuple[int, int]:
    """(digits, how many of them stand behind the point) of the shortest decimal that means `number`."""
    digits, _, exponent = repr(number).partition("e")
    whole, _, behind = digits.partition(".")
    if behind == "0":
        behind = ""
    return int(whole + behind), len(behind) - int(exponent or 0)
