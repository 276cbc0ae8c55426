"""Which slot of the column coder belongs to which alias, and which alias is expected after which.

Owns the lookup, a table with open addressing. Aliases that were made to collide end after MOST_PROBES
steps with a failure: no body of a real configuration comes near, and no hostile one may loop for long.
"""

from __future__ import annotations

from edge_agent.kernels.column_layout import (
    ALIAS,
    CELLS,
    FAILED,
    FOLLOWER,
    LOOKUP,
    PREVIOUS,
    ROWS,
    SEEN,
    SLOT,
    SLOTS,
)
from edge_agent.kernels.layout import Ints
from edge_agent.kernels.registry import kernel

MOST_ALIAS = 0xFFFFFF
MOST_PROBES = 64
SPREAD = 2654435761
"""The golden ratio of 32 bits (Knuth): neighbours end up far from each other."""


@kernel("i64(i64)", exported=False)
def lookup_cells(rows: int) -> int:
    """A power of two, at least twice the rows: half of the lookup stays empty."""
    cells = 4
    while cells < 2 * rows:
        cells *= 2
    return cells


@kernel("i64(i64)")
def work_cells(rows: int) -> int:
    """How long the work table of a body with so many rows is."""
    return LOOKUP + lookup_cells(rows) + SLOT * max(rows, 1)


@kernel("i64(i64, i64*)", exported=False)
def place_of(alias: int, work: Ints) -> int:
    """The cell of the lookup that holds the slot of `alias`, or would; 0 if there is none left."""
    place = (alias * SPREAD >> 12) % work[CELLS]
    for _ in range(MOST_PROBES):
        slot = work[LOOKUP + place]
        if slot == 0 or work[slot + ALIAS] == alias:
            return LOOKUP + place
        place = (place + 1) % work[CELLS]
    return 0


@kernel("i64(i64, i64*)", exported=False)
def seen_slot(alias: int, work: Ints) -> int:
    """The slot of `alias` if a row of it was coded, else 0."""
    place = place_of(alias, work)
    slot = work[place] if place != 0 else 0
    return slot if slot != 0 and work[slot + SEEN] > 0 else 0


@kernel("i64(i64, i64*)", exported=False)
def slot_of(alias: int, work: Ints) -> int:
    """The slot of `alias`, made if there is none; the first slot and a failure where it cannot be."""
    first = LOOKUP + work[CELLS]
    place = place_of(alias, work) if 0 <= alias <= MOST_ALIAS else 0
    if place == 0 or (work[place] == 0 and work[SLOTS] >= work[ROWS]):
        work[FAILED] = 1
        return first
    if work[place] == 0:
        work[place] = first + work[SLOTS] * SLOT
        work[work[place] + ALIAS] = alias
        work[SLOTS] += 1
    return work[place]


@kernel("i64(i64*)", exported=False)
def expected_alias(work: Ints) -> int:
    """The one that followed the last row's point before; the next number where none did."""
    slot = work[PREVIOUS]
    if slot == 0:
        return 0
    return work[slot + FOLLOWER] - 1 if work[slot + FOLLOWER] > 0 else work[slot + ALIAS] + 1


@kernel("void(i64, i64*)", exported=False)
def follows(slot: int, work: Ints) -> None:
    """A row of the slot came after the last one."""
    if work[PREVIOUS] != 0:
        work[work[PREVIOUS] + FOLLOWER] = work[slot + ALIAS] + 1
    work[PREVIOUS] = slot
