"""At every limit, and of damaged records, the program and the independent decoder say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from edge_agent.errors import RecordError
from edge_agent.kernels import Kernels
from edge_agent.records import dictionary
from edge_agent.records.values import Kind
from tests.independent import decoder as independent
from tests.independent.encoding import unpack
from tests.unit.records import plain_records
from tests.unit.records.agreement import GOLDEN, REFUSED, agreed, dictionaries, golden
from tests.unit.records.documented import EXAMPLES
from tests.unit.records.plain_records import exact

# --- limits ---------------------------------------------------------------------------------------


def _nested(depth: int, inner: Any) -> Any:
    return inner if not depth else [_nested(depth - 1, inner)]


# Example, the path of what is changed in it, values that are read, values that are refused.
LIMITS: list[tuple[str, tuple[Any, ...], list[Any], list[Any]]] = [
    ("stop", (0,), [1], [0, 2, True, 1.0]),
    ("stop", (1,), [4711, 65535], [0, 65536, -1]),
    ("stop", (2,), [b"8 bytes."], [b"7 bytes", b"9 bytes..", "8 letter"]),
    ("stop", (3,), ["a", "later_0", "sample", "x" * 16], ["", "x" * 17, "0a", "A", "a-b", "a\n"]),
    ("stop", (4,), [1, 2**63 - 1], [0, 2**63, True]),
    ("stop", (5,), [b"", b"8 bytes."], [b"7 bytes", None]),
    ("samples", (5,), [b"", b"8 bytes."], []),
    ("stop", (6,), [[0, -(2**63) + 1, True]], [[-(2**63), 0, True], [0, 0], [0, 0, 1], [0, 0, True, 0]]),
    ("unknown", (7,), [_nested(7, 1), _nested(7, []), _nested(7, {})], [_nested(8, 1), _nested(7, [1])]),
    ("unknown", (7,), [{"k": 1}], [{b"k": 1}, {1: 1}]),
    ("start", (7, "certain_until"), [None, 0], [2**63, 0.0, True]),
    ("start", (7, "observing_from"), [None, "x"], []),
    ("start", (7, "previous"), [b"", b"8 bytes."], [b"7 bytes", None]),
    ("start", (7, "last"), [{}, {"later": 7}], [None, {"a": None}, []]),
    ("birth", (7, "parts"), [1, 128], [0, 129]),
    ("birth", (7, "part"), [0], [1, -1]),
    ("samples", (7, 0), [-(2**63) + 1, 2**63 - 1], [-(2**63), 2**63, None]),
    ("samples", (7, 1), [[-(2**63), 2**64 - 1, 0]], [[0, 0], [0, 0, 0.0], [0, 0, True]]),
    ("samples", (7, 2), [[0, 0, 2**24 - 1]], [[0, 0, 2**24], [-1, 0, 0], [0, 0]]),
    ("samples", (7, 3), [[True, "", 2**64 - 1]], [[b"", 0, 0], [[], 0, 0]]),
    ("samples", (7, 4), [[], [0, 1, 2, 255]], [[0], [0, 0], [0, 256], [3, 1], [1, 1, 0, 1], [1, 1, 1, 1]]),
    ("summary", (7, 1), [0, 2**63 - 1], [-1, 2**63]),
    ("summary", (7, 3), [[0, 2**63 - 1]], [[0, -1], [0, 2**63], [0]]),
    ("summary", (7, 6), [[None, -0.0]], [[1, 0.0], [True, None]]),
    ("summary", (7, 12), [[0, 255]], [[0, 256], [0, -1]]),
    ("alarm", (7, 4), [None, float("nan")], [8, True]),
    ("alarm", (7, 5), ["a later word"], [None]),
    ("gap", (7, "to"), [9, 2**63 - 1], [4, 8, 2**63]),
    ("gap", (7, "from"), [1, 5], [0, 6, 10]),
    ("gap", (7, "count"), [1, 5], [0, 6]),
    ("gap", (7, "t0"), [None], ["x", 0.0]),
    ("clock-set", (7, "before"), [0], [None, 2**63]),
    ("audit", (7, "detail"), ["", "x" * 2000], [None, b""]),
    ("sample-columns", (7, 1), [6], [5.0, -1, 4097, 0]),
    ("sample-columns", (7, 2), [[], ["x", "x"]], [[b"x"], None]),
    ("sample-columns-values", (7, 2), [["a"], ["a", "b"]], [[]]),
    ("summary-columns", (7, 1), [0], [-1]),
    ("sample-columns-empty", (7, 3), [b""], [b"\0", None]),
    ("summary-columns-empty", (7, 2), [0], [1.0, -1, 4097, None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "good", "bad"), LIMITS, ids=lambda cell: str(cell)[:40])
def test_of_limits(name: str, path: tuple[Any, ...], good: list[Any], bad: list[Any], by: Kernels) -> None:
    for value, is_bad in [*((value, False) for value in good), *((value, True) for value in bad)]:
        record = container = msgpack.unpackb(EXAMPLES[name])
        for key in path[:-1]:
            container = container[key]
        container[path[-1]] = value
        assert (agreed(msgpack.packb(record), by) == REFUSED) == is_bad, value


def test_of_what_is_missing_or_more_than_described(by: Kernels) -> None:
    may_be_missing = {"certain_until", "observing_from", "t0", "t1"}
    for payload in EXAMPLES.values():
        body = msgpack.unpackb(payload)[7]
        for key in body if isinstance(body, dict) else [-1]:
            record = msgpack.unpackb(payload)
            del record[7][key]
            is_read = record[1] == 4711 or key in may_be_missing
            assert (agreed(msgpack.packb(record), by) != REFUSED) == is_read, (record[1], key)
        record = msgpack.unpackb(payload)
        if isinstance(body, dict):
            record[7]["more"] = [1, {"a": None}]
        else:
            record[7].append({"a": None})
        assert agreed(msgpack.packb(record), by) == agreed(payload, by)
        assert agreed(msgpack.packb([*record, 1]), by) == agreed(payload + b"\0", by) == REFUSED


def test_of_zeros_at_the_end_of_columns(by: Kernels) -> None:
    """As many as a decoder reads ahead are free to stand there, and no more."""
    record = msgpack.unpackb(EXAMPLES["sample-columns"])
    data, outcomes = record[7][3], []
    for zeros in range(6):
        record[7][3] = data + bytes(zeros)
        outcomes.append(agreed(msgpack.packb(record), by) == REFUSED)
    assert outcomes == sorted(outcomes) and outcomes[-1] and not outcomes[0]


# --- damage ---------------------------------------------------------------------------------------

ODD = [
    None, True, False, 0, 1, -1, 7, 8, 128, 255, 256, 4096, 4097, 2**24 - 1, 2**24, 2**56, 2**63 - 1, 2**63,
    2**64 - 1, -(2**63), 0.0, 1.0, float("nan"), float("inf"), "", "on", "A", b"", b"12345678", b"\xff" * 16,
    [], {}, [0], {"a": 1}, [[[[[[[[0]]]]]]]], [[[[[]]]]], msgpack.ExtType(1, b"x"),
]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) within `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key
        if isinstance(item, list | dict):
            yield from _places(item)


def _altered(rng: random.Random, value: Any) -> None:
    """One change of what is said: a value, a place too many or too few, a key."""
    container, key = rng.choice(list(_places(value)))
    way = rng.randrange(6)
    if way == 0:
        del container[key]
    elif way == 1 and isinstance(container, list):
        container.insert(key, rng.choice(ODD))
    elif way == 2 and isinstance(container, dict):
        container[rng.choice([*ODD[:4], "more", b"reason", "to", "t0"])] = rng.choice(ODD)
    elif way == 3 and type(container[key]) is int:
        container[key] += rng.choice([-1, 1, 255, -(2**31), 2**31])
    else:
        container[key] = rng.choice(ODD)


def _packed(rng: random.Random, value: Any) -> bytes | None:
    try:
        return msgpack.packb(value, use_single_float=rng.random() < 0.5)
    except (OverflowError, ValueError):
        return None


def _damaged(rng: random.Random, payload: bytes) -> bytes:
    """Bytes turned, lost, doubled or made up."""
    data = bytearray(payload)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data))
        way = rng.randrange(5)
        if way < 3:
            data[at] = rng.randrange(256) if way else data[at] ^ 1 << rng.randrange(8)
        elif way == 3:
            del data[at : at + rng.randrange(1, 4)]
        else:
            data[at:at] = rng.choice([rng.randbytes(3), data[at : at + 8]])
        if not data:
            break
    return bytes(data)


def _with_other_data(rng: random.Random, record: list[Any]) -> None:
    """The bytes of the coder turned or made up, the rows another number."""
    body = record[7]
    data = bytearray(rng.randbytes(rng.randrange(60)) if rng.random() < 0.3 else body[3])
    for _ in range(rng.randrange(3)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    body[3] = bytes(data) + bytes(rng.randrange(6) if rng.random() < 0.2 else 0)
    if rng.random() < 0.3:
        body[1 if record[1] == Kind.SAMPLE_COLUMNS else 2] = rng.randrange(40)


def _mutant(rng: random.Random, payload: bytes) -> bytes | None:
    if rng.random() < 0.4:
        return _damaged(rng, payload)
    record = msgpack.unpackb(payload)
    if record[1] in (Kind.SAMPLE_COLUMNS, Kind.SUMMARY_COLUMNS) and rng.random() < 0.6:
        _with_other_data(rng, record)
    else:
        _altered(rng, record)
    return _packed(rng, record)


def test_of_damaged_records(old_records: list[bytes], by: Kernels, seed: int) -> None:
    rng = random.Random(seed)
    sources = [list(EXAMPLES.values()), list(map(golden, GOLDEN)), old_records]
    refused = tried = 0
    for _ in range(2500):
        source = rng.choices(sources, [8, 1, 1])[0]
        if (mutant := _mutant(rng, rng.choice(source))) is not None:
            refused += agreed(mutant, by) == REFUSED
            tried += 1
    assert 0.2 < refused / tried < 0.95


def _our_dictionary(data: bytes) -> Any:
    try:
        return exact(plain_records.dictionary(dictionary.decode(data)))
    except RecordError:
        return REFUSED


def _their_dictionary(data: bytes) -> Any:
    try:
        return exact(independent.dictionary(unpack(data)))
    except ValueError:
        return REFUSED


def test_of_damaged_dictionaries(seed: int) -> None:
    rng = random.Random(seed)
    sources = dictionaries()
    for source in sources:
        assert _our_dictionary(source) == _their_dictionary(source) != REFUSED
    refused = tried = 0
    for _ in range(1000):
        value = msgpack.unpackb(source := rng.choice(sources))
        _altered(rng, value)
        data = _damaged(rng, source) if rng.random() < 0.3 else _packed(rng, value)
        if data is not None:
            found = _our_dictionary(data)
            assert found == _their_dictionary(data), data.hex()
            refused += found == REFUSED
            tried += 1
    assert 0.2 < refused / tried < 0.95
