"""Which stored records are acknowledged, kept as a hint: losing it only means sending them again.

By (epoch, seq), not by position or file: an epoch is random and never comes back, so a hint that is
older than the segments, or newer than what a power cut left of them, can never call a record of another
run acknowledged. Pure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.records.pack import pack, unpack
from edge_agent.spool.state import StreamState

MAX_ROWS = 400
"""So many always fit; further ones are left out, which is harmless."""


def encode(streams: Iterable[StreamState]) -> bytes:
    """The acknowledged stretches of all streams."""
    rows: list[list[Any]] = []
    for state in streams:
        for stretch in state.stretches():
            for first, last in state.acks:
                low, high = max(first, stretch.first), min(last, stretch.last)
                if low <= high:
                    rows.append([state.stream, stretch.epoch, low - stretch.base, high - stretch.base])
    return pack(rows[:MAX_ROWS])


def apply(content: bytes | None, streams: Mapping[str, StreamState]) -> None:
    """Mark as acknowledged what the hint says and the segments hold."""
    if content is None:
        return
    with contextlib.suppress(RecordError, TypeError, ValueError):
        for stream, epoch, low, high in unpack(content):
            if stream not in streams:
                continue
            for stretch in streams[stream].stretches():
                if stretch.epoch == epoch:
                    first = max(stretch.first, stretch.base + low)
                    streams[stream].acks.add(first, min(stretch.last, stretch.base + high))
