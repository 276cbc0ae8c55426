"""Section 2: msgpack within its bounds, and what a field may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

MAX_DEPTH = 8
MAX_ALIAS = 2**24 - 1
MAX_INT = 2**63 - 1

Json = dict[str, Any]
Check = Callable[[Any], bool]


def unpack(data: bytes) -> Any:
    """The one msgpack value in `data` (section 2). Containers grow with what was read, not as declared."""
    unpacker = msgpack.Unpacker(raw=False, max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    try:
        value = _value(unpacker, data, 1)
    except msgpack.OutOfData as error:
        raise ValueError("the msgpack value is damaged") from error
    require(unpacker.tell() == len(data), "bytes behind the value")
    return value


def _value(unpacker: msgpack.Unpacker, data: bytes, depth: int) -> Any:
    at = unpacker.tell()
    require(at < len(data), "the value is cut off")
    lead = data[at]
    require(not (0xC7 <= lead <= 0xC9 or 0xD4 <= lead <= 0xD8), "extension type")
    is_map = 0x80 <= lead <= 0x8F or lead in (0xDE, 0xDF)
    if not is_map and not (0x90 <= lead <= 0x9F or lead in (0xDC, 0xDD)):
        return unpacker.unpack()
    length = unpacker.read_map_header() if is_map else unpacker.read_array_header()
    require(depth <= MAX_DEPTH or not length, "nested too deeply")
    require(length * (1 + is_map) <= len(data) - unpacker.tell(), "declared length exceeds the data")
    if not is_map:
        return [_value(unpacker, data, depth + 1) for _ in range(length)]
    result: Json = {}
    for _ in range(length):
        key = _value(unpacker, data, depth + 1)
        require(type(key) is str and key not in result, "a key that is no text, or twice")
        result[key] = _value(unpacker, data, depth + 1)
    return result


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def is_of(*types: type) -> Check:
    return lambda value: type(value) in types  # exact: a bool is not an int


def integer(low: int, high: int = MAX_INT) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def binary(*sizes: int) -> Check:
    return lambda value: type(value) is bytes and len(value) in sizes


def map_of_int(value: Any) -> bool:
    return type(value) is dict and all(map(INT, value.values()))


def fields(value: Any, checks: dict[str, Check], what: str) -> Json:
    """The described fields of a map, or of an array in the order of `checks`; others are ignored."""
    if type(value) is list:
        value = dict(zip(checks, value, strict=False))
        require(len(value) == len(checks), f"{what} is too short")
    require(type(value) is dict, f"{what} is neither a map nor an array")
    for name, check in checks.items():
        require(check(value.get(name)), f"{what}: {name} is missing or wrong")
    return {name: value.get(name) for name in checks}


STR, BOOL, LIST = is_of(str), is_of(bool), is_of(list)
INT, ANY_INT = integer(-MAX_INT), is_of(int)
INT_OR_NIL: Check = lambda value: value is None or INT(value)  # noqa: E731
FLOAT, FLOAT_OR_NIL, VALUE = is_of(float), is_of(float, type(None)), is_of(type(None), bool, int, float, str)
ALIAS, COUNT, QUALITY = integer(0, MAX_ALIAS), integer(0), integer(0, 255)
