"""How many damaged frames a CRC-16/MODBUS must let pass: exact, from the code's own weights.

The frames a CRC accepts are a linear code, and its checks are only 65,536 words long: MacWilliams'
identity gives from their weights how many patterns of k flipped bits are words of the code, for any
length. So the share that passes is known, not estimated. (2^-16 is only its mean over even and odd k: the
polynomial has the factor x + 1, so an odd number of flips never passes, and an even one passes twice as
often.)

Source: MacWilliams and Sloane, The Theory of Error-Correcting Codes, chapter 5.
"""

from __future__ import annotations

from functools import cache
from math import comb, exp, lgamma, log

import numpy as np

PASSES = 2.0**-16
"""Of frames whose bits are random."""


def _syndromes(bits: int) -> list[int]:
    """What each of the last `bits` bits of a frame adds to the CRC over the frame when it flips."""
    found = [0xA001]
    while len(found) < bits:
        found.append(found[-1] >> 1 ^ 0xA001 if found[-1] & 1 else found[-1] >> 1)
    return found


@cache
def _check_weights(bits: int) -> list[tuple[int, int]]:
    """(weight, how many) of the words of the dual code."""
    spectrum = np.zeros(1 << 16, dtype=np.int64)
    np.add.at(spectrum, _syndromes(bits), 1)
    # Walsh-Hadamard: the sum over all bits of (-1)**(check and syndrome), for every check at once.
    for step in (1 << n for n in range(16)):
        pairs = spectrum.reshape(-1, 2, step)
        spectrum = np.stack((pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]), axis=1).reshape(-1)
    weights, counts = np.unique((bits - spectrum) // 2, return_counts=True)
    return [(int(weight), int(count)) for weight, count in zip(weights, counts, strict=True)]


@cache
def passing(bits: int, flips: int) -> float:
    """The share of all ways to flip `flips` of the last `bits` bits of a frame that its CRC lets pass."""
    total = sum(count * _krawtchouk(flips, weight, bits) for weight, count in _check_weights(bits))
    assert total % (1 << 16) == 0
    return (total >> 16) / comb(bits, flips)


def _krawtchouk(k: int, weight: int, bits: int) -> int:
    """The coefficient of z**k in (1 - z)**weight (1 + z)**(bits - weight)."""
    return sum((-1) ** j * comb(weight, j) * comb(bits - weight, k - j) for j in range(k + 1))


def likely(mean: float, tail: float = 1e-9) -> tuple[int, int]:
    """Least and greatest number of rare independent events of which `mean` are expected: below and above lies
    less than `tail` of the probability each (Poisson; events of unequal small odds vary less)."""
    if mean == 0:
        return 0, 0
    below, number = 0.0, 0
    least = None
    while True:
        below += exp(number * log(mean) - mean - lgamma(number + 1))
        if least is None and below >= tail:
            least = number
        # Behind the mean the terms fall at least geometrically; the next one bounds what is left.
        following = exp((number + 1) * log(mean) - mean - lgamma(number + 2))
        if number > 2 * mean and 2 * following < tail:
            assert least is not None
            return least, number
        number += 1
