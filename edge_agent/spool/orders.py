"""What was done to the spool while no agent ran, until an agent has recorded it in the stream `audit`.

Whoever changes the spool of a stopped agent cannot number a record: only a run has an epoch. So it is noted
here, synced, before it is done, and taken out once the AUDIT record of a later run is durable.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge_agent.errors import RecordError
from edge_agent.records.events import Audit
from edge_agent.records.pack import pack, unpack
from edge_agent.spool.files import Files, Node
from edge_agent.spool.slots import SlotFile

_SLOT_BYTES = 8192
_MOST = 12
"""Older ones give way; so many fit with ordinary texts."""
_TEXT = 120


class Orders:
    """One thread. There is no file where nothing was ever done."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._slots = SlotFile(files, path, _SLOT_BYTES)
        self._audits: list[Audit] = []

    def load(self) -> list[Audit]:
        """What nothing has recorded yet; a damaged file holds nothing. OSError if it cannot be read."""
        if self._files.node(self._path) is Node.FILE and (content := self._slots.load()):
            with contextlib.suppress(RecordError, TypeError, ValueError):
                self._audits = [
                    Audit(who=str(who), what=str(what), result=str(result), detail=str(detail))
                    for who, what, result, detail in unpack(content)
                ]
        return list(self._audits)

    def note(self, audit: Audit) -> None:
        """What is about to be done. OSError if the disk does not take it."""
        self._audits = [*self._audits, audit][-_MOST:]
        self._save(sync=True)

    def done(self, audit: Audit) -> None:
        """What came of what was noted last, in its place."""
        self._audits[-1] = audit
        self._save(sync=True)

    def settle(self) -> None:
        """All are recorded. Not synced: to record them twice is harmless."""
        if self._audits:
            self._audits = []
            with contextlib.suppress(OSError):
                self._save(sync=False)

    def close(self) -> None:
        self._slots.close()

    def _save(self, *, sync: bool) -> None:
        rows = [(a.who, a.what, a.result, a.detail) for a in self._audits]
        self._slots.store(pack([[text[:_TEXT] for text in row] for row in rows]), sync=sync)
