"""What a run leaves to the next one beside its records: windows that are still open.

Decides when a checkpoint is due and what becomes of the one that was found; storing it is the business of
the callables it is given. Order of a start: the checkpoint found is stored again under this run's name,
then START and the windows that are over are recorded, then a checkpoint of what goes on is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace

from edge_agent.counters import Counters, declare
from edge_agent.errors import RecordError
from edge_agent.model import MonoNs, Site, WallNs
from edge_agent.process.stage import Stage
from edge_agent.records.checkpoint import Checkpoint
from edge_agent.records.values import Item, Recovery, Stamp
from edge_agent.records.writer import RecordWriter

log = logging.getLogger(__name__)

TAKEN_UP = declare(
    "windows_taken_up", "summary windows an earlier run left open, gone on with or sent by this one"
)
DROPPED = declare(
    "windows_dropped", "open windows of an earlier run that could not be used; START has their time", "reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where checkpoints go, and what was found there at the start."""

    keep: Callable[[bytes], None]
    """With the next commit, behind everything recorded so far."""
    keep_now: Callable[[bytes], None]
    """Before any thread runs."""
    works: Callable[[], bool]
    found: bytes | None = None
    damaged: bool = False
    births: Set[bytes] = field(default_factory=frozenset)
    """Dictionaries that records may still refer to."""


class Heritage:
    """One per run; the pipeline's."""

    def __init__(self, site: Site, store: Store, counters: Counters) -> None:
        self._keeps = site.keeps_windows
        self._every_ns = site.checkpoint_ns
        self._store = store
        self._taken = counters.get(TAKEN_UP)
        self._counters = counters
        self._due_at: MonoNs | None = None

    def open(self, stage: Stage, writer: RecordWriter, previous: Recovery, now: Stamp) -> list[Item]:
        """The first records of the epoch, with what is to be said of the windows that were found."""
        found = self._found(previous)
        if found is None:
            return writer.start(now, previous)
        taken = stage.take_up(found.snapshot, now.mono_ns, now.wall_ns)
        complete = True
        if taken.foreign and found.dict_hash not in {writer.dict_hash, *self._store.births}:
            self._drop("dictionary", len(taken.foreign))
            taken, complete = replace(taken, foreign=()), False
        self._store.keep_now(found.handed_on(previous, writer.epoch).encode())
        self._taken.add(taken.going_on + len(taken.ended) + len(taken.foreign))
        over = len(taken.ended) + len(taken.foreign)
        log.info("windows the run before left open: %d go on, %d are over", taken.going_on, over)
        return [
            *writer.start(now, previous, found, complete=complete),
            *writer.ended(taken, found, now),
        ]

    def keep(self, stage: Stage, writer: RecordWriter, now: Stamp, observed_until: WallNs) -> None:
        """Take a checkpoint if one is due. `observed_until`: every event up to then has been judged."""
        if self._keeps and (self._due_at is None or now.mono_ns >= self._due_at):
            self._due_at = MonoNs(now.mono_ns + self._every_ns)
            self._take(stage, writer, now, observed_until)

    def leave(self, stage: Stage, writer: RecordWriter, now: Stamp) -> bool:
        """At an orderly end: whether the windows stay open for the next run. Where they could not be
        stored the last time they are better closed and sent."""
        if self._keeps and self._store.works():
            self._take(stage, writer, now, now.wall_ns)
            return True
        return False

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, stage: Stage, writer: RecordWriter, now: Stamp, until: WallNs) -> None:
        snapshot = stage.snapshot(until)
        taken = Checkpoint.behind(writer.epoch, writer.summaries, writer.dict_hash, snapshot, now.synced)
        self._store.keep(taken.encode())

    def _found(self, previous: Recovery) -> Checkpoint | None:
        """The checkpoint of the run before, if its windows were not recorded since."""
        if self._store.damaged:
            self._drop("damaged")
        if self._store.found is None:
            return None
        try:
            found = Checkpoint.decode(self._store.found)
        except RecordError as error:
            log.warning("open windows of the run before: %s", error)
            self._drop("damaged")
            return None
        return found if found.is_open_after(previous) else None

    def _drop(self, reason: str, count: int = 1) -> None:
        self._counters.get(DROPPED, reason).add(count)
        log.warning("%d open windows of the run before cannot be used: %s", count, reason)
