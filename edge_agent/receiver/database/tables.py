"""Pure: the tables that are filled by the thousand, and their columns in the order rows have them.

Columns of a fixed width come first and the one text last: `pgcopy` packs most rows in one step then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Row = tuple[object, ...]


class Of(StrEnum):
    """What a column holds. A TIME is nanoseconds since 1970 in rows, and `timestamptz` in PostgreSQL."""

    TIME = "time"
    FLOAT = "float"
    INT8 = "int8"
    INT4 = "int4"
    INT2 = "int2"
    BOOL = "bool"
    TEXT = "text"
    JSON = "json"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[tuple[str, Of], ...]
    time: int | None = None
    """Which column a partition is chosen by; None: the table has none."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


def _table(name: str, columns: str, time: int | None = None) -> Table:
    pairs = [column.split(":") for column in columns.split()]
    return Table(name, tuple((column, Of(kind)) for column, kind in pairs), time)


RECORD = _table(
    "record_data", "t0:time seq:int8 received:time stream:int4 kind:int4 ns:int2 backlog:bool", time=0
)
SAMPLE = _table(
    "sample_data",
    "t:time value:float seq:int8 series:int4 stream:int4 row:int4 ns:int2 quality:int2 text:text",
    time=0,
)
SUMMARY = _table(
    "summary_data",
    "t0:time t1:time count:int8 bad:int8 missing:int8 min:float max:float mean:float std:float first:float "
    "last:float seq:int8 series:int4 stream:int4 row:int4 quality:int2",
    time=0,
)
ALARM = _table(
    "alarm",
    "t:time value:float seq:int8 ns:int2 state:text severity:text repeated:bool site:text agent:text "
    "name:text device:text point:text epoch:text",
)
GAP = _table(
    "gap",
    "from_seq:int8 to_seq:int8 count:int8 t0:time t1:time seq:int8 site:text agent:text stream:text "
    "gap_epoch:text reason:text epoch:text",
)
START = _table(
    "start",
    "t:time seq:int8 certain_until:time clean:bool site:text agent:text epoch:text previous:text "
    "certain:json last:json software:text config:text boot:text",
)
STOP = _table("stop", "t:time seq:int8 site:text agent:text epoch:text reason:text last:json")
CLOCK_SET = _table(
    "clock_set", "t:time before:time seq:int8 synced:bool before_synced:bool site:text agent:text epoch:text"
)
AUDIT = _table(
    "audit",
    "t:time seq:int8 site:text agent:text epoch:text who:text what:text result:text detail:text",
)
UNREAD = _table(
    "unread",
    "received:time seq:int8 stream:int4 kind:int4 backlog:bool site:text agent:text dict:text reason:text "
    "payload:bytes",
)
FILLED = (RECORD, SAMPLE, SUMMARY, ALARM, GAP, START, STOP, CLOCK_SET, AUDIT, UNREAD)
PARTITIONED = tuple(table for table in FILLED if table.time is not None)
