"""Pure: messages that wait to be stored, and what they hold.

Nothing is decoded before it is stored: while the database is away a dictionary cannot be looked up, and what
was decoded takes ten times the room.
"""

from __future__ import annotations

from typing import Any

from edge_agent.errors import RecordError
from edge_agent.model import MonoNs
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database.entries import MAX_GARBAGE, Batch, Entry, Garbage, Lookup, Reader
from edge_agent.receiver.fill import Filler
from edge_agent.uplink import payloads
from edge_agent.uplink.connection.wire import Message
from edge_agent.uplink.topics import Place, maybe_place

Statuses = dict[Source, dict[str, Any]]


class Intake:
    def __init__(self, lookup: Lookup, filler: Filler, most: int) -> None:
        self.reader = Reader(lookup)
        self._filler = filler
        self._most = most
        self._messages: dict[tuple[Place, bytes], None] = {}
        """In order; what a broker sends again after a lost connection is there once."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._messages) >= self._most

    def put(self, message: Message, *, sure: bool) -> bool:
        """False when it is dropped: it is nobody's, or there is no room for what is not `sure` (QoS 0). What
        is sure the broker keeps until it is acknowledged, and it sends only so much ahead of that."""
        place = maybe_place(message.topic)
        if place is None or (self.is_full and not sure):
            return False
        if message.payload:
            self._messages[place, message.payload] = None
        return True

    def clear(self) -> None:
        self._messages.clear()

    def read(self, now: MonoNs) -> tuple[Batch, Statuses]:
        """Everything that waits. What `lookup` raises where a dictionary cannot be looked up; nothing is lost
        by that."""
        batch, statuses = Batch(), Statuses()
        self.reader.begin()
        for place, payload in self._messages:
            source = Source(place.site, place.agent)
            if place.channel == "status":
                self._status(source, payload, statuses)
            elif place.channel == "birth" or place.stream == "birth":
                self._birth(source, payload, batch)
            else:
                self._filler.heard(source, now, backlog=place.channel == "hist")
                self._record(source, place, payload, batch)
        self.reader.give_dictionaries(batch)
        return batch, statuses

    def _status(self, source: Source, payload: bytes, statuses: Statuses) -> None:
        document = payloads.maybe_status(payload)
        if document is not None:
            statuses[source] = document
            self._filler.status(source, online=document["state"] == "online")

    def _birth(self, source: Source, payload: bytes, batch: Batch) -> None:
        """A copy of a BIRTH, sent ahead so that its dictionary is known; only the record counts."""
        try:
            self.reader.decode(payload)
        except RecordError as error:
            batch.garbage.append(Garbage(source, payload[:MAX_GARBAGE], str(error)))

    def _record(self, source: Source, place: Place, payload: bytes, batch: Batch) -> None:
        made = self.reader.read(source, payload, stream=place.stream, backlog=place.channel == "hist")
        if isinstance(made, Entry):
            batch.entries.append(made)
        else:
            batch.garbage.append(made)
