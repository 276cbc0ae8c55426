"""docs/record-format.md: its examples are records, and say what the text beside them says."""

from __future__ import annotations

import re
from typing import Any

import msgpack
import pytest

from edge_agent.model import NS
from edge_agent.records import codec, dictionary, events
from edge_agent.records.bodies import Alarm, Samples, Summaries
from edge_agent.records.codec import KnownBody, Opaque
from edge_agent.records.values import Kind, LossReason
from tests.conftest import ROOT
from tests.unit.records.sites import T0

DOCUMENT = (ROOT / "docs" / "record-format.md").read_text()
EXAMPLES = {
    name: bytes.fromhex("".join(text.split()))
    for name, text in re.findall(r"```hex ([a-z-]+)\n(.*?)```", DOCUMENT, re.DOTALL)
}


def body(name: str) -> Any:
    return codec.decode(EXAMPLES[name])[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_decodes_and_encodes_to_the_same_bytes(name: str) -> None:
    head, decoded = codec.decode(EXAMPLES[name])
    assert not isinstance(decoded, Opaque)
    known: KnownBody = decoded
    assert codec.encode(head, known) == EXAMPLES[name]


def test_there_is_an_example_of_every_kind() -> None:
    assert {codec.decode(data)[0].kind for data in EXAMPLES.values()} == set(Kind)


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
    assert isinstance(body("summary"), Summaries)
    assert isinstance(body("alarm"), Alarm)
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
