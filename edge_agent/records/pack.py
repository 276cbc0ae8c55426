"""The only door to msgpack: canonical when encoding, bounded when decoding.

Encoding: the same value gives the same bytes. Maps are sorted by key, integers take their shortest
form, a float takes four bytes where that loses nothing and eight where it would.

Decoding: before msgpack sees a byte, the structure is walked once. A payload may not be longer than
its cap, nest deeper than `MAX_DEPTH`, declare more elements or bytes than it holds, carry extension
types or text that is not UTF-8, or have anything behind its one value. So decoding never allocates
more than a small multiple of the payload: msgpack itself allocates each array by its declared length,
and nested headers alone would make it reserve 80 MB for a 64 KiB message. Whatever else goes wrong is
a `RecordError`.

Nothing that a sender writes can make msgpack itself fail. Releases before 1.2.3, such as Debian's
1.0.3, never give back what they had decoded when they refuse a map's key (CVE-2026-114613) or a text,
or when a hook raises. So the walk refuses bad text, and `_Maps` only notes a bad key.
"""

from __future__ import annotations

import ctypes
import re
import struct
from typing import Any

import msgpack

from edge_agent.errors import RecordError

MAX_RECORD_BYTES = 16 * 1024
"""Longest record the agent ever encodes."""
MAX_DECODE_BYTES = 20 * 1024
"""Longest record a receiver looks at: a little room for what a later version may add."""
MAX_DEPTH = 8

_FLAT = frozenset((int, str, bytes, bool, type(None)))


def pack(value: Any) -> bytes:
    """The canonical bytes of a value made of None, bool, int, float, str, bytes, sequences, maps with
    str keys. RecordError for anything else, and for integers beyond 64 bits."""
    kind = type(value)
    if kind is float:
        return _pack_float(value)
    if kind is dict:
        parts = [pack(str(key)) + pack(value[key]) for key in sorted(value)]
        return _header(len(parts), 0x80, 0xDE) + b"".join(parts)
    if kind is list or kind is tuple:
        if _FLAT.issuperset(map(type, value)):
            return _foreign(value)
        return _header(len(value), 0x90, 0xDC) + b"".join(map(pack, value))
    return _foreign(value)


def pack_parts(*parts: bytes) -> bytes:
    """An array whose elements are packed already."""
    return _header(len(parts), 0x90, 0xDC) + b"".join(parts)


def unpack(data: bytes, max_bytes: int = MAX_DECODE_BYTES) -> Any:
    """The one value in `data`; RecordError for anything that is not exactly that, within bounds."""
    if len(data) > max_bytes:
        raise RecordError(f"record of {len(data)} bytes is longer than {max_bytes}")
    _check_structure(data)
    maps = _Maps()
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, object_pairs_hook=maps.make)
    # msgpack raises a dozen types (ValueError, StackError, UnicodeDecodeError, TypeError ...), and has
    # added some between releases; a receiver must survive them all.
    except Exception as error:  # noqa: BLE001
        raise RecordError(f"not msgpack: {type(error).__name__}: {error}") from None
    if maps.fault:
        raise RecordError(maps.fault)
    return value


def _foreign(value: Any) -> bytes:
    try:
        return msgpack.packb(value, use_bin_type=True, strict_types=False, unicode_errors="replace")
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"cannot be packed: {error}") from None


def _pack_float(value: float) -> bytes:
    # NaN is unequal to itself, so it keeps all 64 bits and with them its payload.
    if ctypes.c_float(value).value == value:
        return struct.pack(">Bf", 0xCA, value)
    return struct.pack(">Bd", 0xCB, value)


def _header(count: int, fix: int, wide: int) -> bytes:
    """The shortest header of an array or map (`wide` is the code of the 16-bit form)."""
    if count < 16:
        return bytes((fix | count,))
    if count < 1 << 16:
        return struct.pack(">BH", wide, count)
    return struct.pack(">BI", wide + 1, count)


class _Maps:
    """Makes the maps of one value. msgpack keeps the last of two equal keys silently, and takes bytes for
    keys; two readers could then disagree."""

    __slots__ = ("fault",)

    def __init__(self) -> None:
        self.fault = ""

    def make(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """The map of `pairs`, whose keys may be anything; never raises (see above)."""
        if not {type(key) for key, _ in pairs} <= {str}:
            self.fault = "a map has a key that is no text"
            return {}
        result = dict(pairs)
        if len(result) != len(pairs):
            self.fault = "a map has the same key twice"
        return result


# --- the walk over the structure ----------------------------------------------------------------

_SCALAR = re.compile(
    rb"[\x00-\x7f\xe0-\xff\xc0\xc2\xc3]|[\xcc\xd0].|[\xcd\xd1].{2}|[\xce\xd2\xca].{4}|[\xcf\xd3\xcb].{8}",
    re.DOTALL,
)
# Runs of scalars are nearly all of a record; the regular expression engine skips them at C speed. The
# possessive `*+` keeps it from ever going back.
_SCALARS = re.compile(rb"(?:" + _SCALAR.pattern + rb")*+", re.DOTALL)
_TEXT_WIDTH = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_CUT_SHORT = "ends in the middle of a value"
_BYTES_WIDTH = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY_WIDTH = {0xDC: 2, 0xDD: 4}
_MAP_WIDTH = {0xDE: 2, 0xDF: 4}


def _check_structure(data: bytes) -> None:
    """RecordError unless `data` is exactly one value within the bounds."""
    open_counts = [1]
    at, end = 0, len(data)
    while True:
        stop = _SCALARS.match(data, at).end()  # type: ignore[union-attr]
        if stop > at:
            _take(open_counts, len(_SCALAR.findall(data, at, stop)))
        at = stop
        if at >= end:
            break
        count, at = _element(data, at)
        # Before anything takes `at` for a place: a declared 4 GB is beyond what 32 bits can index.
        if at > end:
            raise RecordError(_CUT_SHORT)
        _take(open_counts, 1)
        if count:
            if count > end - at:
                raise RecordError(f"declares {count} elements in {end - at} bytes")
            open_counts.append(count)
            if len(open_counts) > MAX_DEPTH + 1:
                raise RecordError(f"nested deeper than {MAX_DEPTH}")
    if any(open_counts):
        raise RecordError(_CUT_SHORT)


def _take(open_counts: list[int], n: int) -> None:
    """Count `n` elements off the innermost containers, closing those that are full."""
    while n:
        while not open_counts[-1]:
            if len(open_counts) == 1:
                raise RecordError("bytes behind the value")
            open_counts.pop()
        step = min(n, open_counts[-1])
        open_counts[-1] -= step
        n -= step


def _element(data: bytes, at: int) -> tuple[int, int]:
    """(elements of the container that begins at `at`, 0 for a string; where its content or the next
    value begins)."""
    head = data[at]
    if 0xA0 <= head <= 0xBF:
        return 0, _text(data, at + 1, head & 31)
    if 0x90 <= head <= 0x9F:
        return head & 15, at + 1
    if 0x80 <= head <= 0x8F:
        return 2 * (head & 15), at + 1
    if head in _TEXT_WIDTH:
        body = at + 1 + _TEXT_WIDTH[head]
        return 0, _text(data, body, int.from_bytes(data[at + 1 : body]))
    if head in _BYTES_WIDTH:
        body = at + 1 + _BYTES_WIDTH[head]
        return 0, body + int.from_bytes(data[at + 1 : body])
    if head in _ARRAY_WIDTH:
        body = at + 1 + _ARRAY_WIDTH[head]
        return int.from_bytes(data[at + 1 : body]), body
    if head in _MAP_WIDTH:
        body = at + 1 + _MAP_WIDTH[head]
        return 2 * int.from_bytes(data[at + 1 : body]), body
    raise RecordError(f"byte 0x{head:02x} begins no allowed value (extension, or cut short)")


def _text(data: bytes, at: int, length: int) -> int:
    """Where the text of `length` bytes at `at` ends."""
    end = at + length
    try:
        data[at:end].decode()
    except UnicodeDecodeError as error:
        # A text that is cut short may end in the middle of a character; the caller sees that it is cut.
        if end <= len(data):
            raise RecordError(f"a text is not UTF-8: {error.reason}") from None
    return end
