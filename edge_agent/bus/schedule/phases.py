"""When each device of a bus is first asked, so that equal periods do not bunch.

Pure. Devices with one period are spread over that period, each at a distance in proportion to the line
time of the one before it: a device that takes ten requests is given ten times the room of one that takes
one, and what the line has left lies between them all and not behind the last. Devices with other periods
pass through each other's beats whatever is done; their groups only begin apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.model import NS

FIRST_WITHIN_NS = NS
"""A device polled once an hour still says at once that it is there."""
_GOLDEN = 0.618033988749895
"""Multiples of it lie apart from one another, however many there are."""


def phases(devices: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    """Nanoseconds from the start to each device's first beat. `devices`: (index, its shortest period in ns,
    line time of one round in ns)."""
    groups: dict[int, list[tuple[int, int]]] = {}
    for index, period_ns, need_ns in devices:
        groups.setdefault(min(period_ns, FIRST_WITHIN_NS), []).append((index, max(1, need_ns)))
    offsets: dict[int, int] = {}
    for number, (span_ns, members) in enumerate(sorted(groups.items())):
        offsets |= _group(span_ns, members, (number * _GOLDEN) % 1.0)
    return offsets


def _group(span_ns: int, members: list[tuple[int, int]], shift: float) -> dict[int, int]:
    """One period's devices; the group begins `shift` of its first device's room late."""
    whole = sum(need for _, need in members)
    before = shift * members[0][1]
    offsets = {}
    for index, need in members:
        offsets[index] = int(span_ns * before / whole) % span_ns
        before += need
    return offsets
