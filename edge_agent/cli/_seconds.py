"""The type of options that say how long, for argparse. Pure."""

from __future__ import annotations

import argparse

MOST_S = 1e9
"""Thirty years; beyond it a time in nanoseconds no longer fits its clock."""


def seconds(text: str) -> float:
    """A time from 0 to `MOST_S`; NaN and infinity, which Python takes for numbers, are none."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value
