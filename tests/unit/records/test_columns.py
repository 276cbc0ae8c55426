"""Column bodies: the same bits in every mode and by the independent decoder, smaller, and bounded."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from edge_agent import kernels
from edge_agent.errors import KernelError, RecordError
from edge_agent.kernels import Kernels
from edge_agent.kernels.aliases import place_of, work_cells
from edge_agent.kernels.column_layout import CELLS, MOST_ROWS
from edge_agent.records import codec, column_reading, columns
from edge_agent.records.bodies import Samples, Summaries
from edge_agent.records.envelope import Envelope, encode
from edge_agent.records.pack import pack, unpack
from edge_agent.records.values import Kind
from tests.conftest import ROOT
from tests.independent import decoder as independent
from tests.unit.records.made import any_rows, any_windows, bits, polled_rows, samples, summaries
from tests.unit.records.sites import EPOCH, now

PLAIN = columns.plain()
STORED = ROOT / "tests" / "unit" / "records" / "columns_golden.json"


@pytest.fixture(scope="session")
def compiled() -> Kernels:
    try:
        return kernels.load("native")
    except KernelError:
        return kernels.load("jit")


def sample_rows(body: Samples) -> list[Any]:
    columns_of = (body.offsets_us, body.aliases, map(bits, body.values), body.qualities)
    return list(zip(*columns_of, strict=True))


def summary_rows(body: Summaries) -> list[Any]:
    numbers = (body.mins, body.maxs, body.means, body.stds, body.firsts, body.lasts)
    counts = (body.aliases, body.counts, body.bads, body.missings)
    return list(zip(*counts, *(map(bits, column) for column in numbers), body.qualities, strict=True))


def both(encode_body: Callable[..., bytes | None], body: Any, compiled: Kernels) -> bytes:
    packed = encode_body(body, now(), compiled)
    assert packed is not None
    assert packed == encode_body(body, now(), PLAIN)
    return packed


@settings(max_examples=150, deadline=None)
@given(rows=any_rows | polled_rows())
def test_samples_come_back_to_the_last_bit_from_every_decoder(compiled: Kernels, rows: Any) -> None:
    body = samples(rows)
    raw = unpack(both(columns.encode_samples, body, compiled))
    for mode in (compiled, PLAIN):
        assert sample_rows(column_reading.decode_samples(raw, now(), mode)) == sample_rows(body)
    if rows:
        assert _by_document(Kind.SAMPLE_COLUMNS, raw) == sample_rows(body)


@settings(max_examples=100, deadline=None)
@given(rows=any_windows)
def test_summaries_come_back_to_the_last_bit_from_every_decoder(compiled: Kernels, rows: Any) -> None:
    body = summaries(rows)
    raw = unpack(both(columns.encode_summaries, body, compiled))
    for mode in (compiled, PLAIN):
        assert summary_rows(column_reading.decode_summaries(raw, now(), mode)) == summary_rows(body)
    if rows:
        assert _by_document(Kind.SUMMARY_COLUMNS, raw) == summary_rows(body)


@settings(max_examples=100, deadline=None)
@given(rows=any_rows | polled_rows())
def test_the_smaller_of_the_two_kinds_is_taken(compiled: Kernels, rows: Any) -> None:
    body = samples(rows)
    kind, packed = codec.smallest(body, now(), compiled)
    in_columns = columns.encode_samples(body, now(), compiled)
    assert in_columns is not None
    assert len(packed) == min(len(in_columns), len(body.encode(now())))
    head = Envelope(kind=kind, epoch=EPOCH, stream="sample", seq=1, dict_hash=b"h" * 8, t0=now())
    found = codec.decode(encode(head, packed), compiled)[1]
    assert isinstance(found, Samples)
    assert sample_rows(found) == sample_rows(body)


# --- vectors that never change -----------------------------------------------------------------


def _stored() -> dict[str, Any]:
    return json.loads(STORED.read_text())


def _value(text: Any) -> Any:
    return float.fromhex(text[1:]) if isinstance(text, str) and text.startswith("~") else text


@pytest.mark.parametrize("name", sorted(_stored()))
@pytest.mark.parametrize("mode", ["python", "compiled"])
def test_stored_bodies_decode_and_encode_as_ever(name: str, mode: str, compiled: Kernels) -> None:
    """These bodies were written by the first version of the format. They must never have to change."""
    by, one = PLAIN if mode == "python" else compiled, _stored()[name]
    rows = [tuple(_value(cell) for cell in row) for row in one["rows"]]
    data = bytes.fromhex(one["data"])
    if one["kind"] == Kind.SAMPLE_COLUMNS:
        raw = [0, len(rows), one["texts"], data]
        assert sample_rows(column_reading.decode_samples(raw, now(), by)) == sample_rows(samples(rows))
        assert columns.encode_samples(samples(rows), now(), by) == pack(raw)
    else:
        raw = [0, 10, len(rows), data]
        assert summary_rows(column_reading.decode_summaries(raw, now(), by)) == summary_rows(summaries(rows))
        assert columns.encode_summaries(summaries(rows), now(), by) == pack(raw)


def test_a_program_chooses_its_kernels_once_and_others_get_plain_python(
    compiled: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_chosen", [])
    assert columns.default() is PLAIN
    columns.use(compiled)
    assert columns.default() is compiled
    columns.use(PLAIN)
    assert columns.default() is PLAIN


# --- hostile bodies -------------------------------------------------------------------------------


def _corpus() -> list[tuple[int, list[Any]]]:
    return [
        (one["kind"], [0, len(one["rows"]), one["texts"], bytes.fromhex(one["data"])])
        if one["kind"] == Kind.SAMPLE_COLUMNS
        else (one["kind"], [0, 10, len(one["rows"]), bytes.fromhex(one["data"])])
        for one in _stored().values()
    ]


def _decoded(kind: int, raw: list[Any], by: Kernels) -> Any:
    try:
        if kind == Kind.SAMPLE_COLUMNS:
            return sample_rows(column_reading.decode_samples(raw, now(), by))
        return summary_rows(column_reading.decode_summaries(raw, now(), by))
    except RecordError:
        return "damaged"


def _by_document(kind: int, raw: list[Any]) -> Any:
    """What the decoder that knows only the document makes of it."""
    try:
        rows = [tuple(row.values()) for row in independent.body(kind, raw)["rows"]]
    except ValueError:
        return "damaged"
    if kind == Kind.SAMPLE_COLUMNS:
        return [(t, a, bits(v), q) for a, t, v, q in rows]
    return [(*row[:4], *map(bits, row[4:10]), row[10]) for row in rows]


def test_damaged_bodies_mean_the_same_to_every_decoder(compiled: Kernels, seed: int) -> None:
    rng = random.Random(seed)
    damaged = 0
    for _ in range(400):
        kind, raw = rng.choice(_corpus())
        data = bytearray(rng.randbytes(rng.randrange(1, 80)) if rng.random() < 0.3 else raw[3])
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        altered = [*raw[:3], bytes(data[: rng.randrange(len(data)) or None] if rng.random() < 0.2 else data)]
        altered[1 if kind == Kind.SAMPLE_COLUMNS else 2] = rng.randrange(1, 60)
        found = _decoded(kind, altered, compiled)
        assert found == _decoded(kind, altered, PLAIN) == _by_document(kind, altered)
        damaged += found == "damaged"
    assert damaged > 40


def test_random_bytes_are_damaged_or_rows_and_nothing_else(compiled: Kernels, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(4000):
        data, rows = rng.randbytes(rng.randrange(0, 200)), rng.randrange(0, 300)
        _decoded(Kind.SAMPLE_COLUMNS, [0, rows, ["a"], data], compiled)
        _decoded(Kind.SUMMARY_COLUMNS, [0, 1, rows, data], compiled)


def test_bytes_behind_the_last_row_are_refused_and_zeros_at_the_end_are_not_written() -> None:
    for kind, raw in _corpus():
        assert raw[3][-1] != 0
        for more in (b"\0\0\0\0\0", b"\1\2\3\4\5"):
            assert _decoded(kind, [*raw[:3], raw[3] + more], PLAIN) == "damaged"


@pytest.mark.parametrize(
    "raw",
    [
        [0, MOST_ROWS + 1, [], b"x"], [0, -1, [], b""], [0, True, [], b"x"], [0, 1.0, [], b"x"],
        [0, 0, [], b"x"], [0, 1, "", b"x"], [0, 1, [1], b"x"], [0, 1, [], "x"], [0, 1, [], None],
        [0, 1, []], ["", 1, [], b"x"], {}, None,
    ],
)  # fmt: skip
def test_what_is_no_body_of_samples_is_refused(raw: Any) -> None:
    with pytest.raises(RecordError):
        column_reading.decode_samples(raw, now(), PLAIN)


@pytest.mark.parametrize(
    "raw",
    [
        [0, 1, MOST_ROWS + 1, b"x"],
        [0, 1, 0, b"x"],
        [0, -1, 0, b""],
        [0, 1, 1, "x"],
        [0, 1, 1],
        ["", 1, 1, b"x"],
        7,
    ],
)
def test_what_is_no_body_of_summaries_is_refused(raw: Any) -> None:
    with pytest.raises(RecordError):
        column_reading.decode_summaries(raw, now(), PLAIN)


def test_the_longest_claim_of_the_shortest_payload_allocates_little(compiled: Kernels) -> None:
    tracemalloc.start()
    try:
        for data in (b"", b"\xff", b"\0" * 4 + b"\1", bytes(range(64))):
            _decoded(Kind.SAMPLE_COLUMNS, [0, MOST_ROWS, [], data], compiled)
            _decoded(Kind.SUMMARY_COLUMNS, [0, 1, MOST_ROWS, data], compiled)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_aliases_made_to_collide_are_refused_instead_of_searched_for_long() -> None:
    work: Any = [0] * work_cells(MOST_ROWS)
    work[CELLS] = 2 * MOST_ROWS
    collide = [alias for alias in range(2_000_000) if place_of(alias, work) == place_of(1, work)][:100]
    assert len(collide) == 100
    body = samples([(0, alias, 1, 0) for alias in collide] * 40)
    assert columns.encode_samples(body, now(), PLAIN) is None
    few = samples([(0, alias, 1, 0) for alias in collide[:100]])
    kind, packed = codec.smallest(few, now(), PLAIN)
    assert kind in (Kind.SAMPLES, Kind.SAMPLE_COLUMNS) and packed


def test_what_columns_cannot_hold_goes_as_plain_rows(compiled: Kernels) -> None:
    far = samples([(2**60, 0, 1, 0), (2**60, 1, 2, 0)])
    assert columns.encode_samples(far, now(), compiled) is None
    assert codec.smallest(far, now(), compiled) == (Kind.SAMPLES, far.encode(now()))
    head = Envelope(kind=Kind.SAMPLE_COLUMNS, epoch=EPOCH, stream="sample", seq=1, dict_hash=b"", t0=now())
    with pytest.raises(RecordError, match="columns cannot hold"):
        codec.encode(head, far, compiled)


def test_rows_beyond_any_record_are_an_error_and_not_a_record(compiled: Kernels, seed: int) -> None:
    rng = random.Random(seed)
    noise = samples([(0, a, rng.random(), 0) for a in range(MOST_ROWS)])
    with pytest.raises(RecordError, match="no record holds 4096 rows"):
        codec.smallest(noise, now(), compiled)
    assert len(codec.smallest(samples([(0, a, 5, 0) for a in range(MOST_ROWS)]), now(), compiled)[1]) < 100
