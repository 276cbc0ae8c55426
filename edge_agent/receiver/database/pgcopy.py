"""Pure: rows in the binary format of PostgreSQL's COPY (documentation of COPY, "Binary Format").

Text would cost a formatted time and number per value. Nearly every row of samples has all its fixed columns
and no text, and is packed by one `struct`; the others column by column.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from edge_agent.receiver.database.tables import Of, Row, Table

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_SINCE_2000_US = 946_684_800_000_000
"""Binary timestamps count microseconds from 2000-01-01."""
_CODES = {Of.TIME: "q", Of.FLOAT: "d", Of.INT8: "q", Of.INT4: "i", Of.INT2: "h", Of.BOOL: "?"}


class Packer:
    """Packs rows of one table."""

    def __init__(self, table: Table) -> None:
        kinds = [kind for _, kind in table.columns]
        self._kinds = kinds
        self._count = struct.pack(">h", len(kinds))
        fixed = kinds[:-1] if kinds[-1] is Of.TEXT else kinds
        self._times = [place for place, kind in enumerate(fixed) if kind is Of.TIME]
        self._tail = _NULL if len(fixed) < len(kinds) else b""
        self._whole: struct.Struct | None = None
        if all(kind in _CODES for kind in fixed):
            self._whole = struct.Struct(">" + "".join("i" + _CODES[kind] for kind in fixed))
            sizes = [struct.calcsize(">" + _CODES[kind]) for kind in fixed]
            self._template: list[Any] = [item for size in sizes for item in (size, None)]

    def pack(self, rows: Iterable[Row]) -> bytes:
        parts: list[bytes] = []
        for row in rows:
            parts.append(self._count)
            parts.append(self._fast(row) or self._slow(row))
        return b"".join(parts)

    def _fast(self, row: Row) -> bytes | None:
        """None where a column is missing or there is a text."""
        whole = self._whole
        if whole is None:
            return None
        columns: list[Any] = list(row)
        if (self._tail and columns.pop() is not None) or None in columns:
            return None
        for place in self._times:
            columns[place] = columns[place] // 1000 - _SINCE_2000_US
        flat = self._template[:]
        flat[1::2] = columns
        return whole.pack(*flat) + self._tail

    def _slow(self, row: Row) -> bytes:
        parts = []
        for kind, value in zip(self._kinds, row, strict=True):
            data = None if value is None else _field(kind, value)
            parts.append(_NULL if data is None else struct.pack(">i", len(data)) + data)
        return b"".join(parts)


def _field(kind: Of, value: Any) -> bytes:
    if kind is Of.TIME:
        return struct.pack(">q", value // 1000 - _SINCE_2000_US)
    if kind is Of.BYTES:
        return bytes(value)
    if kind is Of.JSON:
        return b"\x01" + value.encode()
    if kind is Of.TEXT:
        data: bytes = value.encode()
        return data
    return struct.pack(">" + _CODES[kind], value)
