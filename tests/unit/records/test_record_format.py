"""docs/record-format.md: its examples are records, and say what the text beside them says."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import msgpack
import pytest

from edge_agent.model import NS
from edge_agent.records import codec, dictionary, envelope, events
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.codec import Opaque
from edge_agent.records.decode import Decoder, Unresolved
from edge_agent.records.pack import pack
from edge_agent.records.values import Kind, LossReason, Recovery
from tests.unit.records.documented import DOCUMENT, EXAMPLES, SAID, said
from tests.unit.records.made import bits
from tests.unit.records.sites import T0


def body(name: str) -> Any:
    return codec.decode(EXAMPLES[name])[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_decodes_and_encodes_to_the_same_bytes(name: str) -> None:
    head, decoded = codec.decode(EXAMPLES[name])
    if isinstance(decoded, Opaque):
        assert name == "unknown"
        assert envelope.encode(head, pack(decoded.raw)) == EXAMPLES[name]
    else:
        assert codec.encode(head, decoded) == EXAMPLES[name]


def test_there_is_an_example_of_every_kind_and_of_one_that_is_none() -> None:
    assert {codec.decode(data)[0].kind for data in EXAMPLES.values()} == {*Kind, 4711}


def _rows(decoded: Samples | Summaries) -> list[tuple[Any, ...]]:
    if isinstance(decoded, Samples):
        columns = (decoded.offsets_us, decoded.aliases, decoded.values, decoded.qualities)
        return list(zip(*columns, strict=True))
    counts = (decoded.aliases, decoded.counts, decoded.bads, decoded.missings)
    ends = (decoded.mins, decoded.maxs, decoded.means, decoded.stds, decoded.firsts, decoded.lasts)
    return list(zip(*counts, *ends, decoded.qualities, strict=True))


def _with_bits(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[bits(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("name", SAID)
def test_an_example_says_what_the_python_beside_it_says(name: str) -> None:
    decoded, beside = body(name), said(name)
    assert isinstance(decoded, Samples | Summaries)
    assert _with_bits(_rows(decoded)) == _with_bits(beside["rows"])
    assert decoded.until_ns - codec.decode(EXAMPLES[name])[0].t0.wall_ns == beside["until"]
    if isinstance(decoded, Summaries):
        assert decoded.length_ns == beside["length"]


def test_every_kind_and_every_reason_is_described() -> None:
    for kind in Kind:
        assert re.search(rf"^\| {kind.value} \| {kind.name} \|", DOCUMENT, re.MULTILINE)
    for reason in LossReason:
        assert f"`{reason}`" in DOCUMENT


def test_the_examples_say_what_the_text_says() -> None:
    start = body("start")
    assert isinstance(start, events.Start)
    assert start.previous.epoch.hex() == "1112131415161718"
    assert (start.previous.last["sample"], start.previous.last["summary"]) == (41, 4)
    assert start.previous.certain == {"sample": T0 - 5 * NS, "summary": T0 - 9 * NS}
    samples = body("samples")
    assert isinstance(samples, Samples)
    assert samples.values == (17, 1480.5, None)
    assert samples.offsets_us == (0, 0, 100_000)
    assert samples.qualities == (0, 0, 64)
    nothing = (None,) * 6
    assert _rows(body("summary")) == [
        (2, 10, 0, 1, 1.5, 2.5, 2.1, 0.25, 1.5, 2.5, 0),
        (0, 0, 10, 0, *nothing, 64),
    ]
    assert _rows(body("summary-columns")) == [
        (0, 10, 0, 0, 1.5, 2.5, 2.1, 0.25, 1.5, 2.5, 0),
        (1, 10, 0, 0, 23 * 0.1, 25 * 0.1, 24 * 0.1, 0.07, 23 * 0.1, 24 * 0.1, 0),
        (2, 0, 10, 0, *nothing, 64),
    ]
    kinds = body("sample-columns-values")
    assert kinds.offsets_us == tuple(row * 1_000_000 for row in range(12))
    listed = [7, -3, True, "on", None, 0.1, 0.10000000149011612, 3 * 0.1, 1 / 3, -0.0, 2**63, "on"]
    assert list(map(bits, kinds.values)) == list(map(bits, listed))
    for name in ("samples-empty", "sample-columns-empty", "summary-columns-empty"):
        assert _rows(body(name)) == []
    assert body("start-first").previous == Recovery()
    assert body("alarm") == Alarm(
        name="overpressure", device="press", point="pressure", active=True, value=8.25, severity="critical",
        repeated=False,
    )  # fmt: skip
    assert body("alarm-silent") == Alarm(
        name="meter.silent", device="meter", point="", active=True, value=None, severity="warning",
        repeated=True,
    )  # fmt: skip
    lost = body("gap").loss
    assert (lost.stream, lost.from_seq, lost.to_seq, lost.count, lost.reason) == (
        "sample",
        5,
        9,
        5,
        "evicted",
    )
    assert (lost.epoch.hex(), lost.t0, lost.t1) == ("1112131415161718", T0 - 8 * NS, None)
    assert body("stop") == events.Stop(reason="SIGTERM", last={"alarm": 1, "sample": 2, "summary": 2})
    clock = body("clock-set")
    assert isinstance(clock, events.ClockSet)
    assert codec.decode(EXAMPLES["clock-set"])[0].t0.wall_ns - clock.before_ns == 3600 * NS


def test_a_decoder_written_from_the_document_reads_the_birth_and_the_samples() -> None:
    """With msgpack alone, step by step as sections 1, 3.2 and 3.3 say."""
    birth = msgpack.unpackb(EXAMPLES["birth"])
    entries = msgpack.unpackb(birth[7]["data"])
    assert dictionary.hash_of(birth[7]["data"]) == birth[5]
    record = msgpack.unpackb(EXAMPLES["samples"])
    assert record[5] == birth[5]
    wall, (_until, times, aliases, values, marks) = record[6][0], record[7]
    qualities = dict(zip(marks[::2], marks[1::2], strict=True))
    lines = []
    for row, (step, alias, value) in enumerate(zip(times, aliases, values, strict=True)):
        wall += step * 1000
        device, point, unit, _type, scale, offset = entries["points"][alias][:6]
        in_unit = None if value is None else value * scale + offset
        lines.append((wall - T0, f"{device}.{point}", in_unit, unit, qualities.get(row, 0)))
    assert lines == [
        (10_000_000, "press.pressure", 8.5, "bar", 0),
        (10_000_000, "press.speed", 1480.5, "1/min", 0),
        (110_000_000, "press.pressure", None, "bar", 64),
    ]


def test_the_birth_in_two_parts_is_the_dictionary_that_the_text_describes() -> None:
    decoder = Decoder()
    for name in ("birth-second", "birth-first"):
        assert decoder.dictionary(codec.decode(EXAMPLES["birth-first"])[0].dict_hash) is None
        decoder.decode(EXAMPLES[name])
    found = decoder.dictionary(codec.decode(EXAMPLES["birth-first"])[0].dict_hash)
    assert found is not None
    plain = [dictionary.PointEntry("rig", f"p{i}", "", "u16", 1.0, 0.0, "samples") for i in range(12)]
    plain[1] = dataclasses.replace(plain[1], unit="°C", type="s16", scale=0.1, offset=-40.0)
    plain[2] = dataclasses.replace(plain[2], flags=((0, "run"), (3, "fault")))
    assert found.points == tuple(plain)
    assert [(a.name, a.point, a.kind, a.low, a.high, a.severity) for a in found.alarms] == [
        ("cold", "p1", "below", -20.0, 0.0, "warning"),
        ("drift", "p1", "outside", -10.0, 30.0, "info"),
        ("jump", "p1", "rate_above", 0.0, 5.0, "info"),
        ("full", "p3", "equals", 7.0, 0.0, "critical"),
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_alias_of_an_example_is_in_its_dictionary(name: str) -> None:
    decoder = Decoder()
    for birth in ("birth", "birth-first", "birth-second"):
        decoder.decode(EXAMPLES[birth])
    assert not isinstance(decoder.decode(EXAMPLES[name]).body, Unresolved)
