"""The envelope of every record, fixed for ever: `[1, kind, epoch, stream, seq, dict, t0, body]`.

A receiver checks continuity by (epoch, stream, seq) of every record, also of kinds it does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.model import MonoNs, WallNs
from edge_agent.records.pack import MAX_RECORD_BYTES, pack, pack_parts, unpack
from edge_agent.records.values import EPOCH_BYTES, HASH_BYTES, Stamp

VERSION = 1
MAX_INT = 2**63 - 1
MAX_OVERHEAD = 96
"""No envelope with a stream name of up to 16 letters is longer than this without its body."""

_STREAM = re.compile(r"[a-z][a-z0-9_]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Everything of a record but its body."""

    kind: int
    epoch: bytes
    stream: str
    seq: int
    dict_hash: bytes
    """Hash of the dictionary the body's aliases refer to; empty where it needs none."""
    t0: Stamp


def encode(envelope: Envelope, body: bytes) -> bytes:
    """The record's bytes; RecordError beyond 16 KiB."""
    t0 = envelope.t0
    data = pack_parts(
        pack(VERSION),
        pack(int(envelope.kind)),
        pack(envelope.epoch),
        pack(envelope.stream),
        pack(envelope.seq),
        pack(envelope.dict_hash),
        pack([t0.wall_ns, t0.mono_ns, t0.synced]),
        body,
    )
    if len(data) > MAX_RECORD_BYTES:
        raise RecordError(f"record of {len(data)} bytes is longer than {MAX_RECORD_BYTES}")
    return data


def decode(data: bytes) -> tuple[Envelope, Any]:
    """(envelope, body as msgpack gives it); RecordError unless every field is what it must be."""
    fields = unpack(data)
    if type(fields) is not list or len(fields) != 8:
        raise RecordError("not a record: no array of 8")
    version, kind, epoch, stream, seq, dict_hash, t0, body = fields
    if version != VERSION or type(version) is not int:
        raise RecordError(f"record format {version!r} is not known (this reads {VERSION})")
    if type(epoch) is not bytes or len(epoch) != EPOCH_BYTES:
        raise RecordError("epoch is not 8 bytes")
    if type(stream) is not str or not _STREAM.fullmatch(stream):
        raise RecordError(f"stream is not a name: {stream!r:.40}")
    if type(dict_hash) is not bytes or len(dict_hash) not in (0, HASH_BYTES):
        raise RecordError("dictionary hash is not 0 or 8 bytes")
    envelope = Envelope(
        kind=integer(kind, "kind", 1, 65535),
        epoch=epoch,
        stream=stream,
        seq=integer(seq, "seq", 1),
        dict_hash=dict_hash,
        t0=_stamp(t0),
    )
    return envelope, body


def integer(value: Any, what: str, low: int = -MAX_INT, high: int = MAX_INT) -> int:
    """`value` if it is an integer (no bool) within the limits; RecordError names `what` otherwise."""
    if type(value) is not int or not low <= value <= high:
        raise RecordError(f"{what} is not an integer from {low} to {high}: {value!r:.40}")
    return value


def _stamp(t0: Any) -> Stamp:
    if type(t0) is not list or len(t0) != 3 or type(t0[2]) is not bool:
        raise RecordError("t0 is not [wall_ns, mono_ns, synced]")
    return Stamp(WallNs(integer(t0[0], "t0 wall_ns")), MonoNs(integer(t0[1], "t0 mono_ns")), t0[2])
