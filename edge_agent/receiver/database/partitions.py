"""Pure: which partitions of time a batch needs.

One is made on demand, for a day or a month that lies around now. A gateway whose clock says 1970 or 2099
would make a partition for every day it invents; what is that far away goes into the default partition,
`..._other`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from edge_agent.model import NS
from edge_agent.receiver.database.tables import Table

PERIODS = ("day", "month")
_DAY_NS = 86_400 * NS
_BEHIND_DAYS = 400
"""Backlogs are weeks long; this leaves a year for what is copied from elsewhere."""
_AHEAD_DAYS = 2
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """From `first` to before `end`, both at midnight UTC."""

    first: date
    end: date
    digits: str

    def name(self, table: str) -> str:
        return f"{table}_{self.digits}"


def needed(times_ns: Iterable[int], now_ns: int, period: str) -> set[Partition]:
    """The partitions of those of `times_ns` that are near enough to now."""
    today = now_ns // _DAY_NS
    days = {ns // _DAY_NS for ns in times_ns}
    near = (day for day in days if today - _BEHIND_DAYS <= day <= today + _AHEAD_DAYS)
    return {_of(_EPOCH + timedelta(days=day), period) for day in near}


def _of(day: date, period: str) -> Partition:
    if period == "day":
        return Partition(day, day + timedelta(days=1), f"{day:%Y%m%d}")
    first = day.replace(day=1)
    return Partition(first, (first + timedelta(days=32)).replace(day=1), f"{first:%Y%m}")


def statements(table: Table, partition: Partition) -> tuple[str, ...]:
    """What makes it. Rows that lie in the default partition move: a clock that was ahead was right at last.
    Nobody may add to the default partition between the move and the attachment."""
    assert table.time is not None
    name, other, column = partition.name(table.name), f"{table.name}_other", table.names[table.time]
    first, end = (f"'{day:%Y-%m-%d} 00:00:00+00'" for day in (partition.first, partition.end))
    moved = f"DELETE FROM {other} WHERE {column} >= {first} AND {column} < {end} RETURNING *"
    return (
        f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)",
        f"LOCK TABLE {other} IN ACCESS EXCLUSIVE MODE",
        f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved",
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})",
    )
