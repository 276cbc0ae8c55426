"""Sections 1 and 3: records and dictionaries.

By somebody who knew only the document. Do not make it agree with `edge_agent` by reading `edge_agent`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from tests.independent.coder import SUMMARY_ROW, SampleRows, SummaryRows
from tests.independent.encoding import (
    ALIAS,
    ANY_INT,
    BOOL,
    COUNT,
    FLOAT,
    FLOAT_OR_NIL,
    INT,
    INT_OR_NIL,
    LIST,
    STR,
    VALUE,
    Check,
    Json,
    binary,
    fields,
    integer,
    is_of,
    map_of_int,
    require,
    unpack,
)

MAX_PAYLOAD = 20 * 1024
MAX_DICTIONARY = 1024 * 1024
MAX_PARTS = 128
MAX_ROWS = 4096
MAX_OPEN_BIRTHS = 8


# --- sections 1 and 3: the envelope and the bodies ----------------------------------------------------------


ENVELOPE: dict[str, Check] = {
    "version": integer(1, 1),
    "kind": integer(1, 65535),
    "epoch": binary(8),
    "stream": lambda value: type(value) is str and bool(re.fullmatch("[a-z][a-z0-9_]{0,15}", value)),
    "seq": integer(1),
    "dict": binary(0, 8),
    "t0": LIST,
    "body": lambda value: True,
}
T0: dict[str, Check] = {"wall_ns": INT, "mono_ns": INT, "synced": BOOL}


def decode(payload: bytes) -> Json:
    """One record: the envelope's fields, `name` of the kind, and `body`; ValueError for what is none.

    Rows keep their aliases. The body of an unknown kind is None, its name empty.
    """
    require(len(payload) <= MAX_PAYLOAD, "payload too long")
    raw = unpack(payload)
    require(type(raw) is list and len(raw) == len(ENVELOPE), "no envelope")
    record = fields(raw, ENVELOPE, "envelope")
    require(len(record["t0"]) == len(T0), "t0 of another length")
    record["t0"] = fields(record["t0"], T0, "t0")
    if record["kind"] not in KINDS:
        return record | {"name": "", "body": None}
    return record | {"name": KINDS[record["kind"]][0], "body": body(record["kind"], record["body"])}


def body(kind: int, raw: Any) -> Json:
    """The body of a record of a known kind."""
    return KINDS[kind][1](raw)


def _plain_body(container: type, checks: dict[str, Check]) -> Callable[[Any], Json]:
    def body_of(body: Any) -> Json:
        require(type(body) is container, "body of another type")
        return fields(body, checks, "body")

    return body_of


def _samples(body: Any) -> Json:
    """Section 3.3."""
    require(type(body) is list, "body of another type")
    names = ("times", "aliases", "values", "qualities")
    columns = fields(body, {"until": INT} | dict.fromkeys(names, LIST), "SAMPLES")
    times, aliases, values, pairs = (columns[name] for name in names)
    require(len(times) == len(aliases) == len(values) and len(pairs) % 2 == 0, "columns that do not match")
    rows: list[Json] = []
    time = 0
    for step, alias, value in zip(times, aliases, values, strict=True):
        require(ANY_INT(step) and ALIAS(alias) and VALUE(value), "a wrong row")
        time += step
        rows.append({"alias": alias, "offset_us": time, "value": value, "quality": 0})
    before = -1
    for row, quality in zip(pairs[::2], pairs[1::2], strict=True):
        require(integer(before + 1, len(rows) - 1)(row) and integer(1, 255)(quality), "wrong qualities")
        rows[row]["quality"] = quality
        before = row
    return {"until": columns["until"], "rows": rows}


def _summary(body: Any) -> Json:
    """Section 3.4."""
    require(type(body) is list, "body of another type")
    checks = {"until": INT, "length": COUNT} | dict.fromkeys(SUMMARY_ROW, LIST)
    columns = fields(body, checks, "SUMMARY")
    until, length, *lists = columns.values()
    require(len({len(column) for column in lists}) == 1, "columns of different lengths")
    rows = [fields(list(row), SUMMARY_ROW, "row") for row in zip(*lists, strict=True)]
    return {"until": until, "length": length, "rows": rows}


def _sample_columns(body: Any) -> Json:
    """Section 3.9."""
    require(type(body) is list, "body of another type")
    checks = {"until": INT, "rows": integer(0, MAX_ROWS), "texts": LIST, "data": is_of(bytes)}
    head = fields(body, checks, "SAMPLE_COLUMNS")
    require(all(map(STR, head["texts"])), "texts that are none")
    rows = _unpacked(SampleRows(head["data"], head["texts"]), head["rows"])
    return {"until": head["until"], "rows": rows}


def _summary_columns(body: Any) -> Json:
    """Section 3.10."""
    require(type(body) is list, "body of another type")
    checks = {"until": INT, "length": COUNT, "rows": integer(0, MAX_ROWS), "data": is_of(bytes)}
    head = fields(body, checks, "SUMMARY_COLUMNS")
    rows = _unpacked(SummaryRows(head["data"]), head["rows"])
    return {"until": head["until"], "length": head["length"], "rows": rows}


def _unpacked(model: SampleRows | SummaryRows, count: int) -> list[Json]:
    rows = [model.row() for _ in range(count)]
    # Section 6.1; what the coder has read ahead counts as read.
    require(model.at >= len(model.data) if count else not model.data, "data behind the last row")
    return rows


# --- section 3.2: dictionaries ------------------------------------------------------------------------------


DICTIONARY: dict[str, Check] = {
    "v": integer(1, 1),
    "site": STR,
    "agent": STR,
    "window_ns": INT,
    "points": LIST,
    "alarms": LIST,
}
POINT: dict[str, Check] = {
    "device": STR,
    "point": STR,
    "unit": STR,
    "type": STR,
    "scale": FLOAT,
    "offset": FLOAT,
    "send": STR,
    "title": STR,
    "enum": LIST,
    "flags": LIST,
}
ALARM: dict[str, Check] = {
    "name": STR,
    "device": STR,
    "point": STR,
    "kind": STR,
    "low": FLOAT,
    "high": FLOAT,
    "severity": STR,
}


class Births:
    """Puts dictionaries together from the parts in BIRTH records (section 3.2)."""

    def __init__(self) -> None:
        self.known: dict[bytes, Json] = {}  # by hash
        self._open: dict[bytes, dict[int, bytes]] = {}  # by hash: data by part

    def add(self, record: Json) -> Json | None:
        """The dictionary, if it is known, or the decoded BIRTH `record` completes it."""
        key, body = record["dict"], record["body"]
        if key in self.known:
            return self.known[key]
        parts = self._open.pop(key, {})
        parts[body["part"]] = body["data"]
        if len(parts) < body["parts"]:
            if len(self._open) >= MAX_OPEN_BIRTHS:
                del self._open[next(iter(self._open))]
            self._open[key] = parts
            return None
        whole = b"".join(parts[part] for part in sorted(parts))
        require(len(whole) <= MAX_DICTIONARY, "dictionary too long")
        require(hashlib.sha256(whole).digest()[:8] == key, "the dictionary is not the one of its hash")
        self.known[key] = dictionary(unpack(whole))
        return self.known[key]


def dictionary(raw: Any) -> Json:
    """Points and alarms as maps, `enum` and `flags` as maps from number to text."""
    require(type(raw) is dict, "the dictionary is no map")
    result = fields(raw, DICTIONARY, "dictionary")
    require(all(map(LIST, result["points"] + result["alarms"])), "a point or an alarm is no array")
    result["points"] = [
        fields(point + ["", [], []][max(len(point) - 7, 0) :], POINT, "point") for point in result["points"]
    ]
    for point in result["points"]:
        for name in ("enum", "flags"):
            numbers, texts = point[name][::2], point[name][1::2]
            require(all(map(ANY_INT, numbers)) and all(map(STR, texts)), f"{name} is wrong")
            require(len(numbers) == len(texts), f"{name} is cut off")
            point[name] = dict(zip(numbers, texts, strict=True))
    result["alarms"] = [fields(alarm, ALARM, "alarm") for alarm in result["alarms"]]
    return result


def in_unit(value: Any, point: Json) -> Any:
    """The value of a sample in the unit of its point (section 3.3)."""
    as_it_is = value is None or type(value) is str or (point["scale"], point["offset"]) == (1, 0)
    return value if as_it_is else value * point["scale"] + point["offset"]


# --- section 3: which body follows --------------------------------------------------------------------------


START = {
    "site": STR,
    "agent": STR,
    "software": STR,
    "config": STR,
    "boot": binary(16),
    "previous": binary(0, 8),
    "last": map_of_int,
    "certain": map_of_int,
    "certain_until": INT_OR_NIL,
    "clean": BOOL,
}
BIRTH = {"parts": integer(1, MAX_PARTS), "part": COUNT, "data": is_of(bytes)}
ALARM_BODY = {
    "name": STR,
    "device": STR,
    "point": STR,
    "active": BOOL,
    "value": FLOAT_OR_NIL,
    "severity": STR,
    "repeated": BOOL,
}
GAP = {
    "epoch": binary(8),
    "stream": STR,
    "from": integer(1),
    "to": integer(1),
    "count": integer(1),
    "reason": STR,
    "t0": INT_OR_NIL,
    "t1": INT_OR_NIL,
}
CLOCK_SET = {"before": INT, "before_synced": BOOL}
STOP = {"reason": STR, "last": map_of_int}
AUDIT = {"who": STR, "what": STR, "result": STR, "detail": STR}


def _birth(body: Any) -> Json:
    result = _plain_body(dict, BIRTH)(body)
    require(result["part"] < result["parts"], "a part behind the last")
    return result


def _gap(body: Any) -> Json:
    result = _plain_body(dict, GAP)(body)
    require(result["from"] <= result["to"], "a range that ends before it begins")
    require(result["count"] <= result["to"] - result["from"] + 1, "more lost than the range holds")
    return result


KINDS: dict[int, tuple[str, Callable[[Any], Json]]] = {
    1: ("START", _plain_body(dict, START)),
    2: ("BIRTH", _birth),
    3: ("SAMPLES", _samples),
    4: ("SUMMARY", _summary),
    5: ("ALARM", _plain_body(list, ALARM_BODY)),
    6: ("GAP", _gap),
    7: ("CLOCK_SET", _plain_body(dict, CLOCK_SET)),
    8: ("STOP", _plain_body(dict, STOP)),
    9: ("SAMPLE_COLUMNS", _sample_columns),
    10: ("SUMMARY_COLUMNS", _summary_columns),
    11: ("AUDIT", _plain_body(dict, AUDIT)),
}
