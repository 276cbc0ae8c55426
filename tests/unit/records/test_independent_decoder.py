"""`edge_agent.records` and a decoder that knows only the document say the same of every payload.

Both refuse it, or both give the same values, to the last bit: of the examples, of what agents make, of a
spool of an earlier release, and of all of these damaged.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.records import codec, dictionary, events
from edge_agent.records.bodies import Alarm
from edge_agent.records.codec import KnownBody
from edge_agent.records.decode import Decoder, SampleRows
from edge_agent.records.dictionary import AlarmEntry, Dictionary, PointEntry
from edge_agent.records.envelope import MAX_INT, Envelope
from edge_agent.records.values import Kind, Loss, Recovery, Stamp
from tests.independent import decoder as independent
from tests.independent.encoding import unpack
from tests.unit.records import plain_records
from tests.unit.records.agreement import GOLDEN, HASH, dictionaries, golden, is_read
from tests.unit.records.documented import EXAMPLES
from tests.unit.records.made import any_rows, any_windows, bits, polled_rows, samples, summaries
from tests.unit.records.plain_records import exact
from tests.unit.records.sites import EPOCH, now

# --- what agents make -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_of_every_example(name: str, by: Kernels) -> None:
    is_read(EXAMPLES[name], by)


@pytest.mark.parametrize("name", GOLDEN)
def test_of_bodies_that_must_be_read_for_ever(name: str, by: Kernels) -> None:
    is_read(golden(name), by)


def _payload(kind: Kind, body: KnownBody, by: Kernels, t0: Stamp | None = None) -> bytes:
    head = Envelope(kind=kind, epoch=EPOCH, stream="sample", seq=1, dict_hash=HASH, t0=t0 or now())
    return codec.encode(head, body, by)


@settings(max_examples=150, deadline=None)
@given(rows=any_rows | polled_rows())
def test_of_samples_in_both_kinds(by: Kernels, rows: Any) -> None:
    for kind in (Kind.SAMPLES, Kind.SAMPLE_COLUMNS):
        is_read(_payload(kind, samples(rows), by), by)


@settings(max_examples=100, deadline=None)
@given(rows=any_windows)
def test_of_summaries_in_both_kinds(by: Kernels, rows: Any) -> None:
    for kind in (Kind.SUMMARY, Kind.SUMMARY_COLUMNS):
        is_read(_payload(kind, summaries(rows), by), by)


ints = st.integers(-MAX_INT, MAX_INT)
seqs = st.integers(1, MAX_INT)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
stamps = st.builds(Stamp, ints, ints, st.booleans())
by_stream = st.dictionaries(texts, ints, max_size=4)
recoveries = st.builds(
    Recovery,
    epoch=st.sampled_from([b"", EPOCH]),
    last=by_stream,
    certain=by_stream,
    certain_until=st.none() | ints,
    clean=st.booleans(),
)
losses = st.tuples(seqs, seqs).flatmap(
    lambda ends: st.builds(
        Loss,
        epoch=st.binary(min_size=8, max_size=8),
        stream=texts,
        from_seq=st.just(min(ends)),
        to_seq=st.just(max(ends)),
        count=st.integers(1, max(ends) - min(ends) + 1),
        reason=texts,
        t0=st.none() | ints,
        t1=st.none() | ints,
    )
)
ANY_EVENT = {
    Kind.START: st.builds(
        events.Start,
        site=texts,
        agent=texts,
        software=texts,
        config=texts,
        boot=st.binary(min_size=16, max_size=16),
        previous=recoveries,
    ),
    Kind.BIRTH: st.integers(1, events.MAX_PARTS).flatmap(
        lambda parts: st.builds(
            events.Birth, part=st.integers(0, parts - 1), parts=st.just(parts), data=st.binary(max_size=300)
        )
    ),
    Kind.ALARM: st.builds(
        Alarm,
        name=texts,
        device=texts,
        point=texts,
        active=st.booleans(),
        value=st.none() | st.floats(),
        severity=texts,
        repeated=st.booleans(),
    ),
    Kind.GAP: st.builds(events.Gap, loss=losses),
    Kind.CLOCK_SET: st.builds(events.ClockSet, before_ns=ints, before_synced=st.booleans()),
    Kind.STOP: st.builds(events.Stop, reason=texts, last=by_stream),
    Kind.AUDIT: st.builds(events.Audit, who=texts, what=texts, result=texts, detail=texts),
}


def test_every_kind_is_made_here() -> None:
    measurements = {Kind.SAMPLES, Kind.SUMMARY, Kind.SAMPLE_COLUMNS, Kind.SUMMARY_COLUMNS}
    assert set(ANY_EVENT) | measurements == set(Kind)


@pytest.mark.parametrize("kind", ANY_EVENT)
def test_of_every_event(kind: Kind, by: Kernels) -> None:
    @settings(max_examples=30, deadline=None, database=None)
    @given(body=ANY_EVENT[kind], t0=stamps)
    def agreed(body: Any, t0: Stamp) -> None:
        is_read(_payload(kind, body, by, t0), by)

    agreed()


def test_of_the_spool_of_an_earlier_release(old_records: list[bytes], by: Kernels) -> None:
    assert len(old_records) > 100
    for record in old_records:
        is_read(record, by)


# --- dictionaries ------------------------------------------------------------


def test_of_births_in_any_order_and_with_foreign_parts(seed: int) -> None:
    rng = random.Random(seed)
    whole, other = dictionaries()[1], dictionaries()[0]
    cut = [whole[at : at + 200] for at in range(0, len(whole), 200)]
    completed = 0
    for _ in range(200):
        decoder, births = Decoder(), independent.Births()
        for _ in range(12):
            part, parts = rng.randrange(len(cut)), len(cut) - (rng.random() < 0.1)
            data = other if rng.random() < 0.05 else cut[part]
            named = dictionary.hash_of(rng.choices([whole, other], [9, 1])[0])
            head = Envelope(kind=Kind.BIRTH, epoch=EPOCH, stream="event", seq=1, dict_hash=named, t0=now())
            body = events.Birth(part=min(part, parts - 1), parts=parts, data=data)
            outcomes = _learnt(decoder, births, codec.encode(head, body))
            assert outcomes[0] == outcomes[1]
            found = decoder.dictionary(named)
            assert (found is None) == (named not in births.known)
            if found is not None:
                assert exact(plain_records.dictionary(found)) == exact(births.known[named])
                completed += 1
    assert completed


def _learnt(decoder: Decoder, births: independent.Births, payload: bytes) -> tuple[bool, bool]:
    """Whether either refuses a BIRTH."""
    ours = theirs = False
    try:
        decoder.decode(payload)
    except RecordError:
        ours = True
    try:
        births.add(independent.decode(payload))
    except ValueError:
        theirs = True
    return ours, theirs


scales = st.sampled_from([1.0, 0.1, -2.0, 1e300]) | st.floats(allow_nan=False)


@settings(max_examples=80, deadline=None)
@given(scale=scales, offset=st.sampled_from([0.0, -0.0, -40.0]), rows=any_rows)
def test_of_values_in_the_unit(scale: float, offset: float, rows: Any) -> None:
    point = PointEntry("d", "p", "", "u16", scale, offset, "samples")
    alarm = AlarmEntry("a", "d", "p", "above", 0.0, 1.0, "info")
    data = Dictionary(site="s", agent="a", window_ns=1, points=(point,), alarms=(alarm,)).encoded()
    decoder = Decoder()
    decoder.learn(data)
    named = dictionary.hash_of(data)
    head = Envelope(kind=Kind.SAMPLES, epoch=EPOCH, stream="sample", seq=1, dict_hash=named, t0=now())
    body = samples([(time, 0, value, quality) for time, _, value, quality in rows])
    payload = codec.encode(head, body)
    found = decoder.decode(payload).body
    assert isinstance(found, SampleRows)
    entry = independent.dictionary(unpack(data))["points"][0]
    theirs = [independent.in_unit(row["value"], entry) for row in independent.decode(payload)["body"]["rows"]]
    assert [bits(row.value) for row in found.rows] == [bits(value) for value in theirs]
