"""Readers of single values: each takes a place and a parsed value, and returns it or refuses it.

Owns types and ranges. A boolean is not a whole number, and a number must be finite. Knows no
particular key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from edge_agent.config import values
from edge_agent.config.schema import Place, Reader, Refusal, kind, nearest

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
NAME_HINT = "names are a-z, 0-9 and _, begin with a letter, at most 48 characters"


def boolean(_place: Place, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refusal(f"must be true or false, not {kind(value)}")
    return value


def integer(low: int, high: int) -> Reader:
    def read(_place: Place, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refusal(f"must be a whole number, not {kind(value)}")
        if not low <= value <= high:
            raise Refusal(f"must be {low} to {high}")
        return value

    return read


def number(low: float = -math.inf, high: float = math.inf, *, nonzero: bool = False) -> Reader:
    """A finite number, with or without a fraction."""

    def read(_place: Place, value: object) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Refusal(f"must be a number, not {kind(value)}")
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if not math.isfinite(result):
            raise Refusal("must be a finite number")
        if not low <= result <= high:
            raise Refusal(
                f"must be {low:g} to {high:g}" if math.isfinite(high) else f"must be at least {low:g}"
            )
        if nonzero and result == 0:
            raise Refusal("must not be 0")
        return result

    return read


def text(max_chars: int = 200, *, min_chars: int = 1) -> Reader:
    """Printable text: no control characters, so that no message can drive a terminal."""

    def read(_place: Place, value: object) -> str:
        if not isinstance(value, str):
            raise Refusal(f"must be text in quotes, not {kind(value)}")
        if not value.isprintable():
            raise Refusal("must not contain control characters")
        if not min_chars <= len(value) <= max_chars:
            raise Refusal("must not be empty" if not value else f"must be at most {max_chars} characters")
        return value

    return read


def pattern(expression: str, message: str, hint: str = "") -> Reader:
    compiled = re.compile(expression, re.ASCII)
    is_text = text()

    def read(place: Place, value: object) -> str:
        result: str = is_text(place, value)
        if compiled.fullmatch(result) is None:
            raise Refusal(message, hint)
        return result

    return read


name: Reader = pattern(NAME.pattern, "is not a name", NAME_HINT)


def choice(*allowed: str) -> Reader:
    def read(_place: Place, value: object) -> str:
        if not isinstance(value, str):
            raise Refusal(f"must be text in quotes, not {kind(value)}")
        if value not in allowed:
            near = nearest(value, allowed)
            raise Refusal("must be one of " + ", ".join(allowed), f"did you mean {near}?" if near else "")
        return value

    return read


def enumerated(enum: type[StrEnum]) -> Reader:
    read_word = choice(*enum)
    return lambda place, value: enum(read_word(place, value))


def notation(parse: Callable[[str], Any]) -> Reader:
    """Text in one of the notations of `values`."""

    def read(_place: Place, value: object) -> Any:
        if not isinstance(value, str):
            raise Refusal(f"must be text in quotes, not {kind(value)}")
        try:
            return parse(value)
        except ValueError as error:
            raise Refusal(str(error)) from None

    return read


def duration(low: str, high: str) -> Reader:
    """A duration between two others, in nanoseconds."""
    low_ns, high_ns = values.duration_ns(low), values.duration_ns(high)
    parse = notation(values.duration_ns)

    def read(place: Place, value: object) -> int:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise Refusal("must be a duration with its unit", f'for example "{values.show(value)}ms"')
        ns: int = parse(place, value)
        if not low_ns <= ns <= high_ns:
            raise Refusal(f"must be {low} to {high}")
        return ns

    return read


def size(low: str, high: str) -> Reader:
    """A size between two others, in bytes."""
    low_bytes, high_bytes = values.size_bytes(low), values.size_bytes(high)
    parse = notation(values.size_bytes)

    def read(place: Place, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            raise Refusal("must be a size with its unit", 'for example "512MiB"')
        result: int = parse(place, value)
        if not low_bytes <= result <= high_bytes:
            raise Refusal(f"must be {low} to {high}")
        return result

    return read


def array(element: Reader, *, min_items: int = 0, max_items: int = 1000) -> Reader:
    """A list of equal elements; each wrong element is reported at its own place."""

    def read(place: Place, value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Refusal(f"must be an array [...], not {kind(value)}")
        if not min_items <= len(value) <= max_items:
            many = f"{min_items}" if min_items == max_items else f"{min_items} to {max_items}"
            raise Refusal(f"must have {many} elements, not {len(value)}")
        return _each(place, value, lambda _: element)

    return read


def record(*elements: Reader) -> Reader:
    """An array of fixed length whose elements each have their own reader: `["input", 0, 10]`.

    None when an element is in the report: a record is whole or nothing.
    """

    def read(place: Place, value: object) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            raise Refusal(f"must be an array [...], not {kind(value)}")
        if len(value) != len(elements):
            raise Refusal(f"must have {len(elements)} elements, not {len(value)}")
        result = _each(place, value, lambda index: elements[index])
        return result if len(result) == len(elements) else None

    return read


def _each(place: Place, items: list[object], reader: Callable[[int], Reader]) -> tuple[Any, ...]:
    """The good elements; the bad ones are in the report."""
    result = []
    for index, item in enumerate(items):
        try:
            read = reader(index)(place / index, item)
            if read is not None:
                result.append(read)
        except Refusal as refusal:
            (place / index).refuse(refusal.message, refusal.hint, item)
    return tuple(result)


def interval(place: Place, value: object) -> tuple[float, float] | None:
    """`[low, high]` with low below high."""
    is_number = number()
    limits = record(is_number, is_number)(place, value)
    if limits is None:
        return None
    if limits[0] >= limits[1]:
        raise Refusal("must be [low, high] with low below high")
    return limits[0], limits[1]


def numbered_texts(place: Place, value: object) -> tuple[tuple[int, str], ...]:
    """`{ "0" = "off", "0x10" = "on" }` to pairs, in the order of their numbers."""
    if not isinstance(value, dict):
        raise Refusal(
            f"must be a table of numbers and texts, not {kind(value)}", 'for example { "0" = "off" }'
        )
    if len(value) > 256:
        raise Refusal("must have at most 256 entries")
    is_text = text(80)
    pairs: dict[int, str] = {}
    for key, words in value.items():
        here = place / key
        try:
            code = int(key, 0)
        except ValueError:
            here.refuse("is not a whole number", 'numbers as keys stand in quotes: "0" or "0x10"')
            continue
        if code in pairs:
            here.refuse(f"names the number {code} a second time")
        try:
            pairs[code] = is_text(here, words)
        except Refusal as refusal:
            here.refuse(refusal.message, refusal.hint, words)
    return tuple(sorted(pairs.items()))


def named_tables(
    build: Callable[[Place, str, Mapping[str, Any]], Any], what: str, limit: int = 1000
) -> Reader:
    """`[what.NAME]` tables: `build` makes one value of each; names are checked here."""

    def read(place: Place, value: object) -> tuple[Any, ...]:
        if not isinstance(value, dict):
            raise Refusal(f"must be a table, not {kind(value)}", f"write [{what}.NAME]")
        if len(value) > limit:
            raise Refusal(f"has {len(value)} entries; at most {limit} are allowed")
        built = []
        for key, raw in value.items():
            here = place / key
            if NAME.fullmatch(key) is None:
                here.refuse("is not a name", NAME_HINT)
            elif not isinstance(raw, dict):
                here.refuse(f"must be a table, not {kind(raw)}", f"write [{what}.NAME]", raw)
            else:
                built.append(build(here, key, raw))
        return tuple(built)

    return read
