"""Objects and lines of decoded records, and the state file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import EdgeAgentError
from edge_agent.receiver import objects, state, text
from edge_agent.receiver.continuity import Missing, Source
from edge_agent.receiver.objects import Object
from edge_agent.records.decode import Decoder
from edge_agent.records.values import Loss, Recovery
from edge_agent.uplink import payloads
from tests.contract.agent_records import WALL, FakeAgent, alarm, sample, small_site, stamp, summary

SOURCE = Source("plant-a", "press")
A, B = b"\x01" * 8, b"\x02" * 8


def _objects(agent: FakeAgent) -> list[Object]:
    decoder = Decoder()
    return [item for record in agent.records for item in objects.objects(SOURCE, decoder.decode(record.data))]


def _agent() -> FakeAgent:
    previous = Recovery(epoch=B, last={"sample": 7}, certain={"sample": stamp(-9).wall_ns}, clean=False)
    agent = FakeAgent(small_site(), A, previous)
    agent.add(sample(12, 1), summary(5.0), alarm(True, 2), alarm(False, 3))
    loss = Loss(A, "sample", 2, 4, 3, "evicted", stamp().wall_ns, stamp(5).wall_ns)
    agent.store(agent.writer.gaps([loss], stamp(6)))
    agent.stop()
    return agent


def test_every_kind_has_its_fields() -> None:
    found = {item["kind"]: item for item in _objects(_agent())}
    common = {"kind", "site", "agent", "stream", "epoch", "seq"}
    window = {"t0", "t1", "count", "bad", "missing", "min", "max", "mean", "std", "first", "last", "quality"}
    wanted = {
        "summary": {"device", "point", "unit", *window},
        "sample": {"device", "point", "unit", "t", "value", "quality"},
        "alarm": {"name", "device", "point", "state", "value", "t", "severity"},
        "gap": {"reason", "from", "to", "count", "t0", "t1"},
        "start": {"t", "previous", "clean"},
        "birth": {"hash"},
        "stop": {"reason"},
    }
    for kind, fields in wanted.items():
        assert fields | common <= set(found[kind]), kind
    assert found["sample"]["value"] == pytest.approx(1.2) and found["sample"]["t"] == WALL / 1e9 + 1
    assert found["summary"]["quality"] == "no_reply"


def test_an_interruption_is_a_gap_of_observation() -> None:
    gap = next(item for item in _objects(_agent()) if item["kind"] == "gap")
    assert (gap["reason"], gap["lost_stream"], gap["from"], gap["t1"] - gap["t0"]) == (
        "interrupted",
        "sample",
        8,
        9,
    )


def test_what_is_missing_is_named() -> None:
    item = objects.missing(Missing(SOURCE, A, "sample", 5, 7))
    assert (item["kind"], item["stream"], item["from"], item["to"], item["count"]) == (
        "missing", "sample", 5, 7, 3,
    )  # fmt: skip
    json.dumps(item)
    expected = f"### MISSING from plant-a/press: sample 5 to 7 of epoch {A.hex()}"
    assert text.line(item).strip() == expected


def test_every_object_is_json_and_a_line() -> None:
    for item in _objects(_agent()):
        assert json.loads(json.dumps(item, allow_nan=False)) == item
        assert text.line(item).isprintable()


def test_what_matters_is_marked() -> None:
    lines = [text.line(item) for item in _objects(_agent())]
    assert any("!!! ALARM: overpressure [critical] press.pressure at 8.4" in line for line in lines)
    assert any("### GAP in sample: 3 records (2 to 4)" in line and "evicted" in line for line in lines)
    assert any("### GAP in sample: not observed" in line for line in lines)
    assert any("press.pressure" in line and "1.2 bar" in line for line in lines)


@given(st.floats(allow_nan=True), st.text(max_size=30))
def test_hostile_values_and_names_stay_one_printable_line(value: float, name: str) -> None:
    agent = FakeAgent(small_site(), A)
    agent.add(sample(1))
    item = next(item for item in _objects(agent) if item["kind"] == "sample")
    words = text.line(item | {"device": name + "\x1b[2J\n", "value": value, "t": value})
    assert words.isprintable()
    assert text.line({"kind": f"x{name}", "site": name, "agent": name, "t": name}).isprintable()


def test_an_interruption_of_which_nothing_is_certain_is_a_gap_all_the_same() -> None:
    lost = FakeAgent(small_site(), A, Recovery(epoch=B, last={"event": 1}))
    gaps = [item for item in _objects(lost) if item["kind"] == "gap"]
    assert [(gap["lost_stream"], gap["lost_epoch"], gap["t0"]) for gap in gaps] == [
        ("sample", B.hex(), None),
        ("summary", B.hex(), None),
    ]
    assert all("not observed ? to" in text.line(gap) for gap in gaps)
    for nothing_lost in (Recovery(), Recovery(epoch=B, last={"event": 2}, clean=True)):
        assert not [
            item for item in _objects(FakeAgent(small_site(), A, nothing_lost)) if item["kind"] == "gap"
        ]


def test_values_that_json_does_not_know_are_none() -> None:
    agent = FakeAgent(small_site(), A)
    agent.add(summary(float("inf")))
    found = next(item for item in _objects(agent) if item["kind"] == "summary")
    assert found["mean"] is None


@pytest.mark.parametrize("t", ["NaN", "Infinity", "-1e999", "1" + "0" * 400, '"noon"', "[NaN]"])
def test_a_status_with_an_impossible_time_is_shown_without_it(t: str) -> None:
    document = payloads.maybe_status(b'{"state":"online","reason":{"a":[NaN]},"t":%s}' % t.encode())
    assert document is not None
    shown = objects.status(SOURCE, document)
    assert shown == {"kind": "status", "site": "plant-a", "agent": "press", "state": "online"}
    json.dumps(shown, allow_nan=False)
    assert "online" in text.line(shown)


def test_the_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert state.load(path) == state.Stored()
    stored = state.Stored([["a", "b", "", []]], (b"\x00\xff",))
    state.save(path, stored)
    state.save(path, stored)
    assert state.load(path) == stored
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"format":"other"}', b"null", b"[" * 99999]
)
def test_a_file_that_is_no_state_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(EdgeAgentError, match="hint"):
        state.load(path)
    assert path.read_bytes() == content
