"""Records for receivers: aliases become points, raw values become values in the unit.

A `Decoder` keeps dictionaries by hash, also those of earlier configurations, so a backlog decodes with
its own. A record whose dictionary has not arrived is kept, within a bound, until it has.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from edge_agent.errors import RecordError
from edge_agent.model import MonoNs, Quality, WallNs
from edge_agent.process.results import Value
from edge_agent.records import codec, dictionary
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.codec import Opaque
from edge_agent.records.dictionary import MAX_DICTIONARY_BYTES, Dictionary, PointEntry
from edge_agent.records.envelope import Envelope
from edge_agent.records.events import Audit, Birth, ClockSet, Gap, Start, Stop

_MAX_BYTES = 16 << 20
"""Of all dictionaries together, canonical; decoded they take a small multiple of it."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    entry: PointEntry
    """Device, point, unit and the rest of what the dictionary says."""
    wall_ns: WallNs
    mono_ns: MonoNs
    value: Value
    """In the unit."""
    quality: Quality


@dataclass(frozen=True, slots=True)
class SummaryRow:
    entry: PointEntry
    t0_ns: WallNs
    t1_ns: WallNs
    count: int
    bad: int
    missing: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    first: float | None
    last: float | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class SampleRows:
    until_ns: WallNs
    rows: tuple[SampleRow, ...]


@dataclass(frozen=True, slots=True)
class SummaryRows:
    until_ns: WallNs
    rows: tuple[SummaryRow, ...]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The record's dictionary is not known yet. `kept` records wait for theirs in the decoder, this one
    included; `Decoder.resolved` returns it once the dictionary is there."""

    kept: int


RecordBody = (
    Start | Birth | SampleRows | SummaryRows | Alarm | Gap | ClockSet | Stop | Audit | Opaque | Unresolved
)


@dataclass(frozen=True, slots=True)
class Record:
    """A decoded record. Its envelope is valid whatever the body is, so continuity can be checked."""

    envelope: Envelope
    body: RecordBody


class Decoder:
    """One for all agents: dictionaries are named by their content."""

    def __init__(self, max_dictionaries: int = 256, max_kept: int = 1024) -> None:
        """With `max_kept` 0 nothing waits here: whoever has the bytes decodes them again later."""
        self.dropped = 0
        """Records that waited for a dictionary and gave way to newer ones."""
        self._max_dictionaries = max_dictionaries
        self._known: OrderedDict[bytes, Dictionary] = OrderedDict()
        self._data: dict[bytes, bytes] = {}
        self._parts: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()
        self._waiting: deque[tuple[Envelope, Samples | Summaries]] = deque()
        self._max_kept = max_kept

    def decode(self, payload: bytes) -> Record:
        """The record in `payload`; RecordError if it is none. A BIRTH is learned on the way."""
        head, body = codec.decode(payload)
        if isinstance(body, Samples | Summaries):
            return Record(head, self._resolve(head, body))
        if isinstance(body, Birth):
            self._learn(head.dict_hash, body)
        return Record(head, body)

    def learn(self, data: bytes) -> None:
        """The dictionary in canonical bytes, as `dictionaries` gave it; RecordError for anything else."""
        self._keep(dictionary.hash_of(data), data)

    def dictionaries(self) -> tuple[bytes, ...]:
        """The canonical bytes of every dictionary known, the one that was unused longest first."""
        return tuple(self._data[dict_hash] for dict_hash in self._known)

    def encoded(self, dict_hash: bytes) -> bytes | None:
        """The canonical bytes of one dictionary, None while it is not known."""
        return self._data.get(dict_hash)

    def dictionary(self, dict_hash: bytes) -> Dictionary | None:
        if dict_hash in self._known:
            self._known.move_to_end(dict_hash)
        return self._known.get(dict_hash)

    def resolved(self) -> list[Record]:
        """Records that waited and whose dictionary is known now, in the order of their arrival.
        One that its dictionary does not fit is dropped and counted."""
        records: list[Record] = []
        for _ in range(len(self._waiting)):
            head, body = self._waiting.popleft()
            entries = self.dictionary(head.dict_hash)
            if entries is None:
                self._waiting.append((head, body))
                continue
            try:
                records.append(Record(head, _rows(head, body, entries)))
            except RecordError:
                self.dropped += 1
        return records

    def _resolve(self, head: Envelope, body: Samples | Summaries) -> RecordBody:
        entries = self.dictionary(head.dict_hash)
        if entries is not None or not body.aliases:
            return _rows(head, body, entries)
        if self._max_kept:
            self._wait(head, body)
        return Unresolved(len(self._waiting))

    def _wait(self, head: Envelope, body: Samples | Summaries) -> None:
        if len(self._waiting) >= self._max_kept:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((head, body))

    def _learn(self, dict_hash: bytes, birth: Birth) -> None:
        if dict_hash in self._known:
            return
        parts = self._parts.setdefault(dict_hash, {})
        parts[birth.part] = birth.data
        if len(parts) < birth.parts:
            # Bounds what half-sent dictionaries of strangers can hold.
            while len(self._parts) > 8:
                self._parts.popitem(last=False)
            return
        del self._parts[dict_hash]
        data = b"".join(parts[index] for index in sorted(parts))
        if len(data) > MAX_DICTIONARY_BYTES or dictionary.hash_of(data) != dict_hash:
            raise RecordError(f"the dictionary is not the one its hash {dict_hash.hex()} names")
        self._keep(dict_hash, data)

    def _keep(self, dict_hash: bytes, data: bytes) -> None:
        self._known[dict_hash] = dictionary.decode(data)
        self._data[dict_hash] = data
        while len(self._known) > self._max_dictionaries or sum(map(len, self._data.values())) > _MAX_BYTES:
            forgotten, _ = self._known.popitem(last=False)
            del self._data[forgotten]


def _rows(head: Envelope, body: Samples | Summaries, entries: Dictionary | None) -> SampleRows | SummaryRows:
    points = entries.points if entries else ()
    if body.aliases and max(body.aliases) >= len(points):
        raise RecordError(f"alias {max(body.aliases)} is not among the {len(points)} of its dictionary")
    if isinstance(body, Samples):
        return SampleRows(body.until_ns, tuple(_sample_rows(head, body, points)))
    return SummaryRows(body.until_ns, tuple(_summary_rows(head, body, points)))


def _sample_rows(head: Envelope, body: Samples, points: tuple[PointEntry, ...]) -> list[SampleRow]:
    wall, mono = head.t0.wall_ns, head.t0.mono_ns
    columns = zip(body.aliases, body.offsets_us, body.values, body.qualities, strict=True)
    return [
        SampleRow(
            points[alias],
            WallNs(wall + offset * 1000),
            MonoNs(mono + offset * 1000),
            points[alias].in_unit(value),
            Quality(quality),
        )
        for alias, offset, value, quality in columns
    ]


def _summary_rows(head: Envelope, body: Summaries, points: tuple[PointEntry, ...]) -> list[SummaryRow]:
    t0 = head.t0.wall_ns
    t1 = WallNs(t0 + body.length_ns)
    three = zip(body.counts, body.bads, body.missings, strict=True)
    ends = zip(body.mins, body.maxs, body.means, body.stds, strict=True)
    edges = zip(body.firsts, body.lasts, strict=True)
    return [
        SummaryRow(points[alias], t0, t1, *counts, *spread, *edge, Quality(quality))
        for alias, counts, spread, edge, quality in zip(
            body.aliases, three, ends, edges, body.qualities, strict=True
        )
    ]
