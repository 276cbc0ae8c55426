"""Results to records and back: numbering, batching, splitting, `until`, clocks, dictionaries."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.counters import Counters
from edge_agent.errors import RecordError
from edge_agent.model import NS, PointDef, Send, Site, WallNs
from edge_agent.records import dictionary, events
from edge_agent.records.bodies import Alarm
from edge_agent.records.codec import Opaque
from edge_agent.records.decode import Decoder, Record, SampleRows, SummaryRows, Unresolved
from edge_agent.records.envelope import Envelope, encode
from edge_agent.records.pack import MAX_RECORD_BYTES, pack
from edge_agent.records.values import EncodedRecord, Item, Kind, Loss, Mark, Recovery
from edge_agent.records.writer import RecordWriter
from tests.unit.records.sites import BOOT, EPOCH, T0, alarm, now, point, press, sample, site, summary


def writer(of: Site | None = None) -> RecordWriter:
    return RecordWriter(of or press(), EPOCH, boot_id=BOOT, counters=Counters())


def started(of: Site | None = None) -> tuple[RecordWriter, Decoder]:
    made = writer(of)
    decoder = Decoder()
    decode_all(decoder, made.start(now(), Recovery()))
    return made, decoder


def decode_all(decoder: Decoder, items: list[Item]) -> list[Record]:
    return [decoder.decode(item.data) for item in items if isinstance(item, EncodedRecord)]


def wall(ns: int) -> WallNs:
    return WallNs(T0 + ns)


def rows(records: list[Record]) -> list[Any]:
    return [row for r in records if isinstance(r.body, SampleRows | SummaryRows) for row in r.body.rows]


def test_an_epoch_opens_with_start_birth_and_an_empty_record_per_stream_in_use() -> None:
    recovery = Recovery(
        epoch=b"p" * 8, last={"sample": 7, "event": 2}, certain={"sample": wall(-NS)},
        certain_until=wall(-NS), clean=True,
    )  # fmt: skip
    items = writer().start(now(), recovery)
    records = decode_all(Decoder(), items)
    assert [(r.envelope.kind, r.envelope.stream, r.envelope.seq) for r in records] == [
        (Kind.START, "event", 1), (Kind.BIRTH, "event", 2), (Kind.SAMPLES, "sample", 1),
        (Kind.SUMMARY_COLUMNS, "summary", 1),
    ]  # fmt: skip
    start = records[0].body
    assert isinstance(start, events.Start)
    assert start.previous == recovery
    assert start.boot.hex() == BOOT
    assert [i.until_ns for i in items if isinstance(i, EncodedRecord)] == [0, 0, T0, T0]


def test_samples_are_collected_until_flush_and_carry_until() -> None:
    made, decoder = started()
    assert made.add([sample(0, 10_000_000, 123), sample(1, 10_000_000, 4.5)], now(NS // 2)) == []
    records = decode_all(decoder, made.flush(now(NS), wall(NS)))
    [record] = records
    assert isinstance(record.body, SampleRows)
    assert record.body.until_ns == T0 + NS
    scaled, filtered = record.body.rows
    assert (scaled.entry.device, scaled.entry.point, scaled.entry.unit) == ("press", "pressure", "bar")
    assert scaled.value == pytest.approx(12.3)
    assert (scaled.wall_ns, filtered.value) == (T0 + 10_000_000, 4.5)


def test_a_quiet_stream_gets_a_mark_and_no_record() -> None:
    made, _ = started()
    assert made.flush(now(NS), wall(NS)) == [Mark("sample", EPOCH, wall(NS))]
    summaries_only = started(site(point("p")))[0]
    assert summaries_only.flush(now(NS), wall(NS)) == []


def test_samples_wait_for_the_end_of_their_batch_and_nothing_is_claimed_meanwhile() -> None:
    made, decoder = started(dataclasses.replace(press(), batch_ns=10 * NS))
    assert made.flush(now(), wall(0)) == [Mark("sample", EPOCH, wall(0))]
    for second in range(10):
        assert made.add([sample(0, second * NS + 1, second)], now(second * NS + 1)) == []
        assert made.flush(now(second * NS + 2), wall(second * NS + 2)) == []
    [record] = decode_all(decoder, made.flush(now(10 * NS), wall(10 * NS)))
    assert isinstance(record.body, SampleRows)
    assert (len(record.body.rows), record.body.until_ns) == (10, T0 + 10 * NS)
    assert made.add([sample(0, 11 * NS, 1)], now(11 * NS)) == made.flush(now(11 * NS), wall(11 * NS)) == []


@pytest.mark.parametrize("end", ["stop", "rebuild"])
def test_an_open_batch_does_not_outlive_its_epoch_or_its_dictionary(end: str) -> None:
    batched = dataclasses.replace(press(), batch_ns=60 * NS)
    made, decoder = started(batched)
    made.flush(now(), wall(0))
    made.add([sample(0, 1, 5)], now(1))
    stopped = made.stop(now(2), "end", wall(2)) if end == "stop" else made.rebuild(batched, now(2), wall(2))
    assert [row.value for row in rows(decode_all(decoder, stopped))] == [pytest.approx(0.5)]


def test_an_alarm_does_not_wait_for_the_batch() -> None:
    made, _ = started(dataclasses.replace(press(), batch_ns=60 * NS))
    made.flush(now(), wall(0))
    [item] = made.add([sample(0, 1, 5), alarm(ns=1)], now(1))
    assert isinstance(item, EncodedRecord) and item.kind == Kind.ALARM


def test_a_full_batch_is_one_record_and_what_is_too_long_for_one_becomes_several() -> None:
    quiet, _ = started()
    closed = quiet.add([sample(0, ns * NS, 7) for ns in range(4097)], now(5000 * NS))
    assert [(item.kind, item.seq) for item in closed if isinstance(item, EncodedRecord)] == [(9, 2)]
    noisy, decoder = started()
    rng = random.Random(1)
    values = [rng.random() for _ in range(4097)]
    closed = noisy.add([sample(1, ns * NS, x) for ns, x in enumerate(values)], now(5000 * NS))
    encoded = [item for item in closed if isinstance(item, EncodedRecord)]
    assert len(encoded) in (2, 4) and all(len(item.data) <= MAX_RECORD_BYTES for item in encoded)
    assert [row.value for row in rows(decode_all(decoder, closed))] == values[:-1]


def test_alarms_and_summaries_come_at_once_with_their_own_numbers() -> None:
    made, decoder = started()
    items = made.add([alarm(ns=5), summary(2), alarm(active=False, ns=7)], now(10 * NS))
    records = decode_all(decoder, items)
    assert [(r.envelope.stream, r.envelope.seq) for r in records] == [
        ("alarm", 1), ("alarm", 2), ("summary", 2)
    ]  # fmt: skip
    body = records[0].body
    assert isinstance(body, Alarm)
    assert (body.name, body.active, body.value, body.severity) == ("overpressure", True, 8.25, "critical")
    [row] = rows(records)
    assert (row.t0_ns, row.t1_ns, row.entry.point, row.mean) == (T0, T0 + 10 * NS, "energy", 2.1)


def test_summaries_of_different_windows_are_different_records() -> None:
    made, decoder = started()
    records = decode_all(decoder, made.add([summary(2, 0), summary(2, 1)], now(20 * NS)))
    assert [r.body.rows[0].t0_ns for r in records if isinstance(r.body, SummaryRows)] == [
        T0, T0 + 10 * NS
    ]  # fmt: skip


def test_integers_as_floats_in_a_summary_stay_decodable() -> None:
    made, decoder = started()
    records = decode_all(decoder, made.add([summary(2, first=3, min=None)], now(10 * NS)))
    assert [(row.first, row.min) for row in rows(records)] == [(3.0, None)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 5 * NS),
            st.integers(0, 2**64 - 1) | st.floats(allow_nan=False) | st.none() | st.text(max_size=300),
            st.sampled_from([0, 0, 0, 1, 64, 130]),
        ),
        max_size=1500,
    )
)
@settings(max_examples=30, deadline=None)
def test_no_record_is_too_long_and_no_sample_is_lost_or_altered(
    spec: list[tuple[int, int, Any, int]],
) -> None:
    made, decoder = started(site(point("a", send=Send.SAMPLES), point("b", send=Send.CHANGES)))
    samples = [sample(*row) for row in spec]
    items = made.add(samples, now(NS)) + made.flush(now(6 * NS), wall(6 * NS))
    encoded = [item for item in items if isinstance(item, EncodedRecord)]
    assert all(len(item.data) <= MAX_RECORD_BYTES for item in encoded)
    assert [item.seq for item in encoded] == list(range(2, len(encoded) + 2))
    # Only the last record of a flush may claim that everything is there.
    assert all(item.until_ns == T0 for item in encoded[:-1])
    back = rows(decode_all(decoder, items))
    assert [(r.entry.point, r.value, int(r.quality)) for r in back] == [
        ("ab"[s.point], s.value, int(s.quality)) for s in samples
    ]
    assert all(abs(r.mono_ns - s.mono_ns) < 1000 for r, s in zip(back, samples, strict=True))
    assert all(abs(r.wall_ns - s.wall_ns) < 1000 for r, s in zip(back, samples, strict=True))


def test_many_summaries_are_split_and_only_the_last_carries_the_new_until() -> None:
    many = site(*(point(f"p{i}") for i in range(1000)))
    made, decoder = started(many)
    items = made.add([summary(i, mean=0.1 + i) for i in range(1000)], now(10 * NS))
    encoded = [item for item in items if isinstance(item, EncodedRecord)]
    assert len(encoded) > 1
    assert all(len(item.data) <= MAX_RECORD_BYTES for item in encoded)
    assert [item.until_ns for item in encoded[-2:]] == [T0, T0 + 10 * NS]
    assert [row.mean for row in rows(decode_all(decoder, items))] == [0.1 + i for i in range(1000)]


def test_a_window_that_was_ended_early_claims_no_time_that_nobody_observed() -> None:
    made, _ = started()
    (ended,) = made.add([summary(0)], now(3 * NS))
    assert isinstance(ended, EncodedRecord)
    assert ended.until_ns == T0 + 3 * NS


def test_a_value_no_record_can_hold_is_counted_and_sent_as_none() -> None:
    counters = Counters()
    made = RecordWriter(press(), EPOCH, boot_id=BOOT, counters=counters)
    made.start(now(), Recovery())
    made.add([sample(0, 0, "x" * 5000), sample(0, 0, 2**70)], now())
    assert len(made.flush(now(NS), wall(NS))) == 1
    assert counters.snapshot()["values_refused"] == 2


def test_a_stepped_clock_closes_the_record_and_is_declared() -> None:
    made, decoder = started()
    made.add([sample(0, 0, 1)], now())
    step = 3600 * NS
    items = made.add([sample(0, NS, 2, wall_step=step)], now(NS))
    items += made.flush(_stepped(2 * NS, step), wall(2 * NS + step))
    records = decode_all(decoder, items)
    assert [(r.wall_ns - T0, r.value) for r in rows(records)] == [
        (0, pytest.approx(0.1)), (NS + step, pytest.approx(0.2))
    ]  # fmt: skip
    [clock] = [r for r in records if isinstance(r.body, events.ClockSet)]
    assert isinstance(clock.body, events.ClockSet)
    assert clock.envelope.t0.wall_ns - clock.body.before_ns == step


def _stepped(ns: int, step: int) -> Any:
    moment = now(ns)
    return type(moment)(WallNs(moment.wall_ns + step), moment.mono_ns, moment.synced)


def test_a_change_of_synchronisation_is_declared_once() -> None:
    made, decoder = started()
    records = decode_all(decoder, made.flush(now(NS, synced=False), wall(NS)))
    assert [type(r.body) for r in records] == [events.ClockSet]
    assert decode_all(decoder, made.flush(now(2 * NS, synced=False), wall(2 * NS))) == []


def test_slewing_is_no_step() -> None:
    made, decoder = started()
    for second in range(1, 100):
        items = made.flush(_stepped(second * NS, second * 500_000), wall(second * NS))
        assert decode_all(decoder, items) == []


def test_a_gap_record_declares_the_loss_it_was_made_for() -> None:
    made, decoder = started()
    loss = Loss(b"o" * 8, "sample", 5, 9, 5, "evicted", wall(-9), None)
    [item] = made.gaps([loss], now())
    assert isinstance(item, EncodedRecord)
    assert item.declares == loss
    assert decoder.decode(item.data).body == events.Gap(loss=loss)


def test_a_new_configuration_flushes_under_the_old_dictionary_and_gives_birth_to_the_new() -> None:
    made, decoder = started()
    made.add([sample(0, 0, 7)], now())
    turned = site(point("speed", unit="1/min", send=Send.SAMPLES), point("pressure", send=Send.SAMPLES))
    items = made.rebuild(turned, now(NS), wall(NS))
    made.add([sample(0, NS, 8)], now(NS))
    items += made.flush(now(2 * NS), wall(2 * NS))
    assert [i.kind for i in items if isinstance(i, EncodedRecord)] == [
        Kind.SAMPLE_COLUMNS, Kind.BIRTH, Kind.SAMPLE_COLUMNS
    ]  # fmt: skip
    assert [row.entry.point for row in rows(decode_all(decoder, items))] == ["pressure", "speed"]
    assert made.rebuild(turned, now(3 * NS), wall(3 * NS))[1:] == []


def test_stop_is_last_and_names_the_last_numbers() -> None:
    made, decoder = started()
    made.add([sample(0, 0, 1)], now())
    records = decode_all(decoder, made.stop(now(NS), "sigterm", wall(NS)))
    assert records[-1].body == events.Stop(
        reason="sigterm", last={"sample": 2, "summary": 1, "alarm": 0, "audit": 0}
    )
    assert [type(r.body) for r in records] == [SampleRows, events.Stop]


def test_a_large_dictionary_is_born_in_parts_and_decodes_in_any_order() -> None:
    big = site(*(point(f"point_{i}", title=f"Title of {i}", send=Send.SAMPLES) for i in range(2000)))
    made = writer(big)
    items = [item for item in made.start(now(), Recovery()) if isinstance(item, EncodedRecord)]
    births = [item.data for item in items if item.kind == Kind.BIRTH]
    assert len(births) > 2
    assert all(len(data) <= MAX_RECORD_BYTES for data in births)
    decoder = Decoder()
    for data in reversed(births):
        decoder.decode(data)
    known = decoder.dictionary(made.dict_hash)
    assert known == dictionary.of_site(big)


def test_a_record_waits_for_its_dictionary() -> None:
    made = writer()
    opened = [item.data for item in made.start(now(), Recovery()) if isinstance(item, EncodedRecord)]
    made.add([sample(0, 0, 55)], now())
    [late] = [item for item in made.flush(now(NS), wall(NS)) if isinstance(item, EncodedRecord)]
    decoder = Decoder()
    assert decoder.decode(late.data).body == Unresolved(1)
    assert decoder.resolved() == []
    decoder.decode(opened[1])
    assert [row.value for row in rows(decoder.resolved())] == [pytest.approx(5.5)]
    assert decoder.resolved() == []


def test_waiting_records_are_bounded_and_counted() -> None:
    made, _ = started()
    decoder = Decoder(max_kept=2)
    for index in range(5):
        made.add([sample(0, 0, index)], now())
        for item in made.flush(now(NS), wall(NS)):
            assert isinstance(item, EncodedRecord)
            decoder.decode(item.data)
    assert decoder.dropped == 3


def test_an_unknown_kind_has_a_valid_envelope() -> None:
    head = Envelope(kind=900, epoch=EPOCH, stream="event", seq=3, dict_hash=b"", t0=now())
    record = Decoder().decode(encode(head, pack({"new": [1, 2]})))
    assert record.envelope == head
    assert record.body == Opaque({"new": [1, 2]})


def test_a_dictionary_under_a_foreign_hash_is_refused() -> None:
    data = dictionary.of_site(press()).encoded()
    head = Envelope(kind=Kind.BIRTH, epoch=EPOCH, stream="event", seq=1, dict_hash=b"x" * 8, t0=now())
    body = events.Birth(part=0, parts=1, data=data).encode(now())
    with pytest.raises(RecordError, match="hash"):
        Decoder().decode(encode(head, body))


def test_dictionaries_outlive_a_restart_and_foreign_claims_to_their_hash() -> None:
    made, decoder = started()
    data = dictionary.of_site(press()).encoded()
    head = Envelope(
        kind=Kind.BIRTH, epoch=EPOCH, stream="event", seq=9, dict_hash=dictionary.hash_of(data), t0=now()
    )
    decoder.decode(encode(head, events.Birth(part=0, parts=1, data=b"another").encode(now())))
    assert decoder.dictionaries() == (data,)
    restarted = Decoder()
    restarted.learn(data)
    made.add([sample(0, 0, 55)], now())
    [item] = made.flush(now(NS), wall(NS))
    assert isinstance(item, EncodedRecord)
    assert [row.value for row in rows([restarted.decode(item.data)])] == [pytest.approx(5.5)]


def test_dictionaries_are_bounded_and_those_in_use_stay() -> None:
    decoder = Decoder(max_dictionaries=2)
    used = dictionary.of_site(press()).encoded()
    decoder.learn(used)
    for name in "abcd":
        decoder.dictionary(dictionary.hash_of(used))
        decoder.learn(dictionary.of_site(site(point(name))).encoded())
    assert len(decoder.dictionaries()) == 2 and used in decoder.dictionaries()


def test_an_alias_beyond_the_dictionary_is_refused() -> None:
    made, decoder = started()
    made.add([sample(99, 0, 1)], now())
    [item] = made.flush(now(NS), wall(NS))
    assert isinstance(item, EncodedRecord)
    with pytest.raises(RecordError, match="alias"):
        decoder.decode(item.data)


_CORPUS: list[bytes] = []


def _corpus() -> list[bytes]:
    if not _CORPUS:
        made = writer()
        items = made.start(now(), Recovery(epoch=b"q" * 8, last={"alarm": 1}))
        items += made.add([sample(0, 1, 2, 64), sample(1, 3, 0.1), summary(2), alarm()], now(NS))
        items += made.gaps([Loss(EPOCH, "sample", 1, 2, 2, "corrupt", None, None)], now())
        items += made.stop(now(NS, synced=False), "end", wall(NS))
        _CORPUS.extend(item.data for item in items if isinstance(item, EncodedRecord))
    return _CORPUS


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_altered_records_are_refused_or_decode_but_never_raise_otherwise(data: st.DataObject) -> None:
    decoder = Decoder()
    decoder.decode(_corpus()[1])
    record = bytearray(data.draw(st.sampled_from(_corpus())))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoder.decode(bytes(record))
    except RecordError:
        return


def test_points_of_every_type_keep_their_place() -> None:
    points: list[PointDef] = [point("a"), point("b", device="meter", enum=((0, "off"),), flags=((1, "x"),))]
    built = dictionary.of_site(site(*points))
    assert dictionary.decode(built.encoded()) == built
    assert [p.point for p in built.points] == ["a", "b"]


def test_values_lost_before_a_record_take_a_number_where_they_would_have_been_samples() -> None:
    made, decoder = started()
    assert made.forfeit([2], wall(0), wall(NS)) == []
    [loss] = made.forfeit([2, 0], wall(0), wall(NS))
    assert loss == Loss(EPOCH, "sample", 2, 2, 1, "overflow", wall(0), wall(NS))
    made.add([sample(0, 0, 1)], now())
    [record] = decode_all(decoder, made.flush(now(NS), wall(NS)))
    assert record.envelope.seq == 3


def test_a_text_of_an_audit_is_cut_where_it_would_make_the_record_too_large() -> None:
    made, decoder = started()
    audit = events.Audit(who="w" * 5000, what="spool purge", result="refused", detail="\ud800" + "ä" * 9000)
    [record] = decode_all(decoder, made.audits([audit], now()))
    assert isinstance(record.body, events.Audit)
    assert (len(record.body.who), record.body.detail[:3]) == (1024, "?ää")
    assert record.envelope.stream == "audit"
