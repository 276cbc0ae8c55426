"""Pure: what a message becomes in a database: rows, bytes that wait for their dictionary, or bytes with the
reason why nobody can read them.

A record whose envelope is valid counts as received whatever its body is: it would arrive the same way for
ever, and an agent that waits for its acknowledgement must not wait for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge_agent.errors import RecordError
from edge_agent.receiver.continuity import Source
from edge_agent.receiver.database import rows
from edge_agent.receiver.database.rows import Rows
from edge_agent.records import envelope
from edge_agent.records.decode import Decoder, Record, Unresolved
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Birth

MAX_SEQ = 2**62
"""A record beyond it is refused: no agent counts so far, and sums of two seqs must fit 64 bits."""
MAX_GARBAGE = 1024
"""Bytes kept of a message that is no record."""

StreamKey = tuple[str, str, str, str]
"""Site, agent, epoch in hex, stream."""
Lookup = Callable[[bytes], bytes | None]
"""The canonical bytes of a dictionary by its hash, where it is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with a valid envelope."""

    source: Source
    head: Envelope
    backlog: bool
    payload: bytes
    rows: Rows | None
    """None: only the bytes are kept."""
    reason: str = ""
    """Why there are no rows; empty while a dictionary is waited for."""

    @property
    def key(self) -> StreamKey:
        return self.source.site, self.source.agent, self.head.epoch.hex(), self.head.stream

    @property
    def dict_hex(self) -> str | None:
        """The dictionary that is waited for."""
        return self.head.dict_hash.hex() if self.rows is None and not self.reason else None

    def unreadable(self, reason: str) -> Entry:
        """The same record, kept as bytes only."""
        return replace(self, rows=None, reason=reason)


@dataclass(frozen=True, slots=True)
class Garbage:
    """A message that is no record."""

    source: Source
    payload: bytes
    reason: str


Part = tuple[bytes, int, int, bytes]
"""Hash, part, parts, data of a dictionary in several parts."""


@dataclass(slots=True)
class Batch:
    entries: list[Entry] = field(default_factory=list)
    garbage: list[Garbage] = field(default_factory=list)
    dictionaries: dict[bytes, bytes] = field(default_factory=dict)
    """Canonical bytes by hash."""
    parts: list[Part] = field(default_factory=list)


class Reader:
    """Decodes what messages hold. `lookup` is asked for dictionaries that this process has not seen."""

    def __init__(self, lookup: Lookup) -> None:
        self._decoder = Decoder(max_kept=0)
        self._lookup = lookup
        self._absent: set[bytes] = set()
        """Dictionaries that the database did not know when it was asked for this batch."""
        self._learned: dict[bytes, bytes] = {}
        self._parts: dict[Part, None] = {}

    def read(self, source: Source, payload: bytes, *, stream: str, backlog: bool) -> Entry | Garbage:
        """A message of the topic of `stream`."""
        try:
            head, _ = envelope.decode(payload)
        except RecordError as error:
            return Garbage(source, payload[:MAX_GARBAGE], str(error))
        if head.stream != stream or head.seq > MAX_SEQ:
            return Garbage(
                source, payload[:MAX_GARBAGE], f"{head.stream} {head.seq} in the topic of {stream}"
            )
        try:
            record = self.decode(payload)
            made = None if isinstance(record.body, Unresolved) else rows.of(source, record)
        except RecordError as error:
            return Entry(source, head, backlog, payload, None, str(error))
        return Entry(source, head, backlog, payload, made, rows.unknown(record))

    def decode(self, payload: bytes) -> Record:
        """The record; RecordError. Its body is `Unresolved` where nobody knows the dictionary yet."""
        record = self._decoder.decode(payload)
        if isinstance(record.body, Birth):
            self._note(record.envelope.dict_hash, record.body)
        elif isinstance(record.body, Unresolved):
            return self._again(record, payload)
        return record

    def _again(self, record: Record, payload: bytes) -> Record:
        """With a dictionary of the database, if it has it."""
        dict_hash = record.envelope.dict_hash
        data = None if dict_hash in self._absent else self._lookup(dict_hash)
        if data is None:
            self._absent.add(dict_hash)
            return record
        self._decoder.learn(data)
        return self._decoder.decode(payload)

    def begin(self) -> None:
        """A batch begins: what the database did not know before it may know now."""
        self._absent.clear()

    def give_dictionaries(self, batch: Batch) -> None:
        """Add what births have brought since the last call: whole dictionaries, and parts of others."""
        batch.dictionaries, self._learned = self._learned, {}
        batch.parts = list(self._parts)
        self._parts.clear()

    def _note(self, dict_hash: bytes, birth: Birth) -> None:
        data = self._decoder.encoded(dict_hash)
        if data is not None:
            self._learned[dict_hash] = data
        else:
            # The other parts may come to another receiver.
            self._parts[dict_hash, birth.part, birth.parts, birth.data] = None
