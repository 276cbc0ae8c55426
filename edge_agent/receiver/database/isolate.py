"""A batch that the database refuses is cut in half until the record is alone that it refuses."""

from __future__ import annotations

import logging
from dataclasses import replace

from edge_agent.receiver.database.door import Refused
from edge_agent.receiver.database.entries import Batch
from edge_agent.receiver.database.shape import Written
from edge_agent.receiver.database.store import Store

log = logging.getLogger(__name__)


def write_all(store: Store, batch: Batch) -> Written:
    """`store.write`, whatever the batch holds: what cannot be stored as rows is stored as bytes, and what
    cannot be stored at all is counted. Away and Busy are the caller's; what was written stays written."""
    try:
        return store.write(batch)
    except Refused as error:
        halves = _halves(batch)
        if halves is None:
            return _alone(store, batch, error)
    first, second = (write_all(store, half) for half in halves)
    return _sum(first, second)


def _alone(store: Store, batch: Batch, error: Refused) -> Written:
    if batch.entries and batch.entries[0].rows is not None:
        bare = batch.entries[0].unreadable(f"refused by the database: {error}")
        return write_all(store, replace(batch, entries=[bare]))
    log.error("a message cannot be stored: %s", error)
    return Written(dropped=1)


def _halves(batch: Batch) -> tuple[Batch, Batch] | None:
    """None for what cannot be cut."""
    if (batch.dictionaries or batch.parts) and (batch.entries or batch.garbage):
        return Batch(dictionaries=batch.dictionaries, parts=batch.parts), Batch(batch.entries, batch.garbage)
    if batch.entries and batch.garbage:
        return Batch(entries=batch.entries), Batch(garbage=batch.garbage)
    middle = max(len(batch.entries), len(batch.garbage)) // 2
    if not middle:
        return None
    return (
        Batch(batch.entries[:middle], batch.garbage[:middle]),
        Batch(batch.entries[middle:], batch.garbage[middle:]),
    )


def _sum(first: Written, second: Written) -> Written:
    names = ("records", "duplicates", "values", "alarms", "gaps", "waiting", "unread", "dropped")
    total = Written(**{name: getattr(first, name) + getattr(second, name) for name in names})
    total.reach = first.reach | second.reach
    return total
