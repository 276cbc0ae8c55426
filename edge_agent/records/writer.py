"""Results become numbered records: samples batched, summaries by window, alarms one by one at once.

Owns the sequence numbers of one epoch (from 1, per stream), the batch of samples that is being
collected, and what it knows of the wall clock. Pure: `now` is an argument, records are returned and
never stored. One thread uses it.

Invariants:
* no record is longer than 16 KiB: a batch is bounded by rows and texts, and what is too long for one
  record all the same becomes several;
* `until` of a stream never claims more than its records hold: of several records of one flush only
  the last carries the new time;
* one record has one relation of wall and monotonic time: a stepped clock closes the batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import edge_agent
from edge_agent.counters import Counters, declare
from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.kernels.column_layout import MOST_ROWS
from edge_agent.model import MonoNs, Send, Site, WallNs
from edge_agent.process.openwindows import TakenUp
from edge_agent.process.results import AlarmTransition, Result, Sample, Summary
from edge_agent.records import codec, columns, dictionary, envelope, events
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.checkpoint import Checkpoint
from edge_agent.records.codec import KnownBody
from edge_agent.records.envelope import MAX_INT, Envelope
from edge_agent.records.values import (
    ALARM,
    AUDIT,
    EVENT,
    SAMPLE,
    STREAMS,
    SUMMARY,
    EncodedRecord,
    Item,
    Kind,
    Loss,
    LossReason,
    Mark,
    Recovery,
    Stamp,
)  # fmt: skip

RECORDS_MADE = declare("records_made", "records encoded", "stream")
RECORD_BYTES = declare("record_bytes", "bytes of the records encoded", "stream")
VALUES_REFUSED = declare("values_refused", "values no record can hold (text over 4 KiB, over 64 bits)")

BIRTH_PART_BYTES = 15 * 1024
CLOCK_STEP_NS = 100_000_000
"""A larger jump of wall against monotonic time is told to receivers. NTP slews at 0.5 ms a second."""
BATCH_DRIFT_NS = 1_000_000
"""Within one record wall time is t0 plus monotonic distance; beyond this error a new one begins."""

_SUMMARY_ROWS = 600
"""Of one record, so that it is seldom packed in vain: a row takes 5 to 60 bytes."""
_BATCH_TEXT_BYTES = 8 * 1024
"""Of all texts of a batch: half a record."""
_MAX_TEXT_BYTES = 4096
_NO_TIME = WallNs(0)


class RecordWriter:
    """Numbers and encodes the records of one run of the daemon."""

    def __init__(
        self, site: Site, epoch: bytes, *, boot_id: str, counters: Counters, by: Kernels | None = None
    ) -> None:
        self.epoch = epoch
        self._kernels = by or columns.default()
        self._boot = bytes.fromhex(boot_id)
        self._made = {stream: counters.get(RECORDS_MADE, stream) for stream in STREAMS}
        self._bytes = {stream: counters.get(RECORD_BYTES, stream) for stream in STREAMS}
        self._refused = counters.get(VALUES_REFUSED)
        self._seq = dict.fromkeys(STREAMS, 0)
        self._until: dict[str, WallNs] = dict.fromkeys(STREAMS, WallNs(0))
        self._clock: Stamp | None = None
        self._durable_first = site.keeps_windows
        """Whether a checkpoint may hold the windows that summaries end."""
        self._dict_hash = b""
        self._use(site)
        self._pending: list[Sample] = []
        self._pending_text_bytes = 0
        self._batch_ends = MonoNs(0)

    @property
    def dict_hash(self) -> bytes:
        """The dictionary that records refer to from now on."""
        return self._dict_hash

    @property
    def summaries(self) -> int:
        """Records made of the stream `summary` so far."""
        return self._seq[SUMMARY]

    # --- the life of an epoch -------------------------------------------------------------------

    def start(
        self, now: Stamp, previous: Recovery, found: Checkpoint | None = None, *, complete: bool = True
    ) -> list[Item]:
        """START, BIRTH, and an empty record of each stream of measurements in use: its `until` is where
        observation begins, so that a run that ends before its first data is accounted for.

        `found`: windows of the run before that this one takes up. What they hold is not lost (`complete`:
        nothing of it), and not recorded yet either, so the summaries' `until` begins where they do.
        """
        if found is not None and complete:
            previous = _certain_with(previous, found.snapshot.until_ns)
        start = events.Start(
            site=self._site.site,
            agent=self._site.agent,
            software=edge_agent.__version__,
            config=self._site.config_hash,
            boot=self._boot,
            previous=previous,
        )
        self._clock = now
        opened = [self._emit(EVENT, Kind.START, now, start), *self._births(now)]
        for stream in self._used:
            self._until[stream] = now.wall_ns
        if found is not None:
            self._durable_first = True
            self._until[SUMMARY] = min(now.wall_ns, found.snapshot.t0_ns)
        if SAMPLE in self._used:
            opened += self._samples([], now, now.wall_ns)
        if SUMMARY in self._used or found is not None:
            opened += self._summaries([], now, self._until[SUMMARY])
        return [*opened]

    def rebuild(self, site: Site, now: Stamp, observed_until: WallNs) -> list[Item]:
        """A new configuration: what was collected goes out under the old dictionary first."""
        items = self._flush(now, observed_until)
        before = self._dict_hash
        self._use(site)
        return items if self._dict_hash == before else [*items, *self._births(now)]

    def stop(self, now: Stamp, reason: str, observed_until: WallNs) -> list[Item]:
        """The rest, then STOP as the very last record of the epoch."""
        items = self._flush(now, observed_until)
        last = {stream: seq for stream, seq in self._seq.items() if stream != EVENT}
        return [*items, self._emit(EVENT, Kind.STOP, now, events.Stop(reason=reason, last=last))]

    # --- windows that outlive a run -------------------------------------------------------------

    def ended(self, taken: TakenUp, found: Checkpoint, now: Stamp) -> list[Item]:
        """The windows of the run before that do not go on; those of points that are defined otherwise now
        under the dictionary they were collected by."""
        until = WallNs(min(now.wall_ns, found.snapshot.t0_ns)) if taken.going_on else now.wall_ns
        then = dataclasses.replace(now, synced=found.synced)
        records: list[Item] = []
        if taken.foreign:
            mine, self._dict_hash = self._dict_hash, found.dict_hash
            between = self._until[SUMMARY] if taken.ended else until
            records += self._window([*taken.foreign], then, between)
            self._dict_hash = mine
        if taken.ended:
            records += self._window([*taken.ended], then, until)
        return records

    # --- results --------------------------------------------------------------------------------

    def add(self, results: Sequence[Result], now: Stamp) -> list[Item]:
        """Takes what the process stage concluded. Alarms and summaries come back as records at once,
        samples when their record is full."""
        items: list[Item] = [*self._clock_set(now)]
        windows: dict[tuple[WallNs, WallNs], list[Summary]] = {}
        for result in results:
            match result:
                case Sample():
                    items += self._collect(result, now)
                case Summary():
                    windows.setdefault((result.t0_ns, result.t1_ns), []).append(result)
                case AlarmTransition():
                    items.append(self._alarm(result, now))
        for rows in windows.values():
            items += self._window(rows, now)
        return items

    def flush(self, now: Stamp, observed_until: WallNs) -> list[Item]:
        """Once per commit interval. `observed_until`: every block received up to then has been through
        the process stage and `add`. Samples wait for the end of their batch; a stream without news gets
        a mark, which costs no message."""
        if self._pending and now.mono_ns < self._batch_ends:
            return [*self._clock_set(now)]
        self._batch_ends = MonoNs(now.mono_ns + self._site.batch_ns)
        return self._flush(now, observed_until)

    def _flush(self, now: Stamp, observed_until: WallNs) -> list[Item]:
        items: list[Item] = [*self._clock_set(now)]
        if self._pending:
            items += self._close_batch(now, observed_until)
        elif SAMPLE in self._used:
            self._until[SAMPLE] = observed_until
            items.append(Mark(SAMPLE, self.epoch, observed_until))
        return items

    def gaps(self, losses: Iterable[Loss], now: Stamp) -> list[Item]:
        """One GAP record per loss."""
        return [self._emit(EVENT, Kind.GAP, now, events.Gap(loss=loss), declares=loss) for loss in losses]

    def audits(self, audits: Iterable[events.Audit], now: Stamp) -> list[Item]:
        """One AUDIT record each."""
        return [self._emit(AUDIT, Kind.AUDIT, now, audit) for audit in audits]

    def forfeit(self, points: Iterable[int], t0: WallNs, t1: WallNs) -> list[Item]:
        """Values of these points were read from `t0` to `t1` and lost before a record held them. The next
        number of the stream is given to what is missing, so that a GAP record can declare it; nothing
        where none of the points sends samples (the others count as missing in their summaries)."""
        if not any(self._site.points[point].send is not Send.SUMMARY for point in points):
            return []
        self._seq[SAMPLE] += 1
        seq = self._seq[SAMPLE]
        return [Loss(self.epoch, SAMPLE, seq, seq, 1, LossReason.OVERFLOW, t0, t1)]

    # --- inside ---------------------------------------------------------------------------------

    def _use(self, site: Site) -> None:
        self._site = site
        self._dictionary = dictionary.of_site(site).encoded()
        self._dict_hash = dictionary.hash_of(self._dictionary)
        summaries = any(point.send is Send.SUMMARY for point in site.points)
        samples = any(point.send is not Send.SUMMARY for point in site.points)
        self._used = [stream for stream, used in ((SAMPLE, samples), (SUMMARY, summaries)) if used]

    def _births(self, now: Stamp) -> list[EncodedRecord]:
        size = BIRTH_PART_BYTES
        slices = [self._dictionary[at : at + size] for at in range(0, len(self._dictionary), size)]
        return [
            self._emit(EVENT, Kind.BIRTH, now, events.Birth(part=part, parts=len(slices), data=data))
            for part, data in enumerate(slices)
        ]

    def _collect(self, sample: Sample, now: Stamp) -> list[EncodedRecord]:
        """Add a sample to the batch; a record comes back when the batch had to be closed before it."""
        text = len(sample.value.encode(errors="replace")) if isinstance(sample.value, str) else 0
        wide = isinstance(sample.value, int) and not -MAX_INT <= sample.value < 2**64
        if text > _MAX_TEXT_BYTES or wide:
            self._refused.add()
            text, sample = 0, dataclasses.replace(sample, value=None)
        closed = []
        full = len(self._pending) >= MOST_ROWS or self._pending_text_bytes + text > _BATCH_TEXT_BYTES
        if self._pending and (full or self._stepped(sample)):
            closed = self._close_batch(now, self._until[SAMPLE])
        self._pending.append(sample)
        self._pending_text_bytes += text
        return closed

    def _stepped(self, sample: Sample) -> bool:
        first = self._pending[0]
        drift = (sample.wall_ns - sample.mono_ns) - (first.wall_ns - first.mono_ns)
        return abs(drift) > BATCH_DRIFT_NS

    def _close_batch(self, now: Stamp, until: WallNs) -> list[EncodedRecord]:
        rows, self._pending, self._pending_text_bytes = self._pending, [], 0
        records = self._samples(rows, now, until)
        self._until[SAMPLE] = until
        return records

    def _samples(self, rows: Sequence[Sample], now: Stamp, until: WallNs) -> list[EncodedRecord]:
        """One record, or several where one would be too long; only the last carries the new `until`."""
        t0 = Stamp(rows[0].wall_ns, rows[0].mono_ns, now.synced) if rows else now
        body = Samples(
            until_ns=until,
            offsets_us=tuple((row.mono_ns - t0.mono_ns) // 1000 for row in rows),
            aliases=tuple(row.point for row in rows),
            values=tuple(row.value for row in rows),
            qualities=tuple(int(row.quality) for row in rows),
        )
        try:
            return [self._emit_smallest(SAMPLE, t0, body)]
        except RecordError:
            if len(rows) < 2:
                raise
        half = len(rows) // 2
        before = self._until[SAMPLE]
        return [*self._samples(rows[:half], now, before), *self._samples(rows[half:], now, until)]

    def _window(self, rows: list[Summary], now: Stamp, until: WallNs | None = None) -> list[EncodedRecord]:
        """The points of one window, as many records as they need."""
        start = rows[0].t0_ns
        # The monotonic time of the window's beginning by today's relation of the two clocks.
        t0 = Stamp(start, MonoNs(now.mono_ns - (now.wall_ns - start)), now.synced)
        # A window that was ended early keeps its aligned end, but nobody observed up to there.
        until = min(rows[0].t1_ns, now.wall_ns) if until is None else until
        records = self._summaries(rows, t0, until)
        self._until[SUMMARY] = until
        return records

    def _summaries(self, rows: Sequence[Summary], t0: Stamp, until: WallNs) -> list[EncodedRecord]:
        """As `_samples`, for the points of one window."""
        if len(rows) <= _SUMMARY_ROWS:
            try:
                return [self._emit_smallest(SUMMARY, t0, _summary_body(rows, until))]
            except RecordError:
                if len(rows) < 2:
                    raise
        half = len(rows) // 2
        before = self._until[SUMMARY]
        return [*self._summaries(rows[:half], t0, before), *self._summaries(rows[half:], t0, until)]

    def _alarm(self, alarm: AlarmTransition, now: Stamp) -> EncodedRecord:
        body = Alarm(
            name=alarm.name,
            device=alarm.device,
            point=alarm.point,
            active=alarm.active,
            value=_float(alarm.value),
            severity=str(alarm.severity),
            repeated=alarm.repeated,
        )
        return self._emit(ALARM, Kind.ALARM, Stamp(alarm.wall_ns, alarm.mono_ns, now.synced), body)

    def _clock_set(self, now: Stamp) -> list[EncodedRecord]:
        """A CLOCK_SET when the wall clock was stepped, or its synchronisation changed, since `now` was
        last looked at."""
        seen, self._clock = self._clock, now
        if seen is None:
            return []
        before = WallNs(seen.wall_ns + (now.mono_ns - seen.mono_ns))
        if abs(now.wall_ns - before) <= CLOCK_STEP_NS and now.synced == seen.synced:
            return []
        body = events.ClockSet(before_ns=before, before_synced=seen.synced)
        return [self._emit(EVENT, Kind.CLOCK_SET, now, body)]

    def _emit_smallest(self, stream: str, t0: Stamp, body: Samples | Summaries) -> EncodedRecord:
        kind, packed = codec.smallest(body, t0, self._kernels)
        return self._number(stream, kind, t0, packed, until_ns=body.until_ns)

    def _emit(
        self, stream: str, kind: Kind, t0: Stamp, body: KnownBody, *, declares: Loss | None = None
    ) -> EncodedRecord:
        return self._number(stream, kind, t0, body.encode(t0), declares=declares)

    def _number(
        self, stream: str, kind: Kind, t0: Stamp, packed: bytes, *,
        until_ns: WallNs = _NO_TIME, declares: Loss | None = None,
    ) -> EncodedRecord:  # fmt: skip
        """The record of a packed body, with the next number of its stream."""
        refers = kind is Kind.BIRTH or kind in codec.NEEDS_DICTIONARY
        head = Envelope(
            kind=kind,
            epoch=self.epoch,
            stream=stream,
            seq=self._seq[stream] + 1,
            dict_hash=self._dict_hash if refers else b"",
            t0=t0,
        )
        data = envelope.encode(head, packed)
        # Only now: a number that was given to nothing would be a hole nobody declares.
        self._seq[stream] = head.seq
        self._made[stream].add()
        self._bytes[stream].add(len(data))
        return EncodedRecord(
            stream=stream,
            seq=head.seq,
            epoch=self.epoch,
            kind=kind,
            dict_hash=head.dict_hash,
            t0_ns=t0.wall_ns,
            until_ns=until_ns,
            data=data,
            declares=declares,
            durable_first=kind is Kind.START or (stream == SUMMARY and self._durable_first),
        )


def _certain_with(previous: Recovery, until: WallNs) -> Recovery:
    """`previous`, where the next run has all that the summaries observed up to `until`."""
    certain = previous.certain | {SUMMARY: until}
    return dataclasses.replace(previous, certain=certain, certain_until=min(certain.values()))


def _float(value: float | None) -> float | None:
    """Integers of the process stage too become floats: the column's type is part of the format."""
    return None if value is None else float(value)


def _summary_body(rows: Sequence[Summary], until: WallNs) -> Summaries:
    return Summaries(
        until_ns=until,
        length_ns=rows[0].t1_ns - rows[0].t0_ns if rows else 0,
        aliases=tuple(row.point for row in rows),
        counts=tuple(row.count for row in rows),
        bads=tuple(row.bad for row in rows),
        missings=tuple(row.missing for row in rows),
        mins=tuple(_float(row.min) for row in rows),
        maxs=tuple(_float(row.max) for row in rows),
        means=tuple(_float(row.mean) for row in rows),
        stds=tuple(_float(row.std) for row in rows),
        firsts=tuple(_float(row.first) for row in rows),
        lasts=tuple(_float(row.last) for row in rows),
        qualities=tuple(int(row.quality) for row in rows),
    )
