"""A checkpoint: the open windows of a run as bytes, and how the next run knows that they are still open.

A window must not be sent twice: once by the run that ended it and again by the one that finds its
checkpoint. So a checkpoint says behind which records it was taken (`Proof`): it counts only if the last
durable summary of the run before is exactly the one it names. A summary that ends a window is durable
before anybody may send it (`EncodedRecord.durable_first`), so whatever a receiver can have is counted.

A run that takes windows up stores them again under its own name before its START is durable, with two
proofs: it may be ended before START (then the run before it is still the last) or after it.

Never sent to anybody. Layout, big-endian: version u8, proofs u8, synced u8, dictionary hash 8, t0 t1 until
i64; per proof epoch 8, first last u64; then rows of `_ROW` to the end. Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Self

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.process.openwindows import OpenWindow, Snapshot
from edge_agent.records.values import SUMMARY, Recovery

VERSION = 1

_HEAD = struct.Struct(">BBB8sqqq")
_PROOF = struct.Struct(">8sQQ")
_ROW = struct.Struct(">8sIBQQQ6d")


@dataclass(frozen=True, slots=True)
class Proof:
    """Nothing of these windows was recorded if the last durable summary of `epoch` is among these."""

    epoch: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    proofs: tuple[Proof, ...]
    dict_hash: bytes
    """Of the dictionary that the points of the snapshot are numbered by."""
    synced: bool
    """Whether the wall clock was synchronised when it was taken."""
    snapshot: Snapshot

    @classmethod
    def behind(cls, epoch: bytes, summaries: int, dict_hash: bytes, snapshot: Snapshot, synced: bool) -> Self:
        """Taken by a run that made `summaries` records of that stream; for when all of them are durable."""
        return cls(
            proofs=(Proof(epoch, summaries, summaries),),
            dict_hash=dict_hash,
            synced=synced,
            snapshot=snapshot,
        )

    def handed_on(self, previous: Recovery, epoch: bytes) -> Self:
        """For the run `epoch` that found it, to be stored before anything else of that run: it must
        outlive its end too, whether that comes before START is durable or after. A run opens with one
        record without rows."""
        last = previous.last.get(SUMMARY, 0)
        return replace(self, proofs=(Proof(previous.epoch, last, last), Proof(epoch, 0, 1)))

    def is_open_after(self, previous: Recovery) -> bool:
        """Whether no window of it was recorded by the run before this one."""
        last = previous.last.get(SUMMARY, 0)
        return any(p.epoch == previous.epoch and p.first <= last <= p.last for p in self.proofs)

    def encode(self) -> bytes:
        s = self.snapshot
        parts = [
            _HEAD.pack(VERSION, len(self.proofs), self.synced, self.dict_hash, s.t0_ns, s.t1_ns, s.until_ns),
            *(_PROOF.pack(p.epoch, p.first, p.last) for p in self.proofs),
        ]
        parts += [
            _ROW.pack(
                r.key, r.point, r.worst, r.count, r.bad, r.missing,
                r.min, r.max, r.mean, r.m2, r.first, r.last,
            )
            for r in s.rows
        ]  # fmt: skip
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """RecordError for anything but what `encode` gives, also for that of a later version."""
        if len(data) < _HEAD.size or data[0] != VERSION:
            raise RecordError("no checkpoint of a known version")
        _, proofs, synced, dict_hash, t0, t1, until = _HEAD.unpack_from(data)
        rows = _HEAD.size + proofs * _PROOF.size
        if len(data) < rows or (len(data) - rows) % _ROW.size or t0 >= t1:
            raise RecordError("the checkpoint is cut short")
        return cls(
            proofs=tuple(Proof(*found) for found in _PROOF.iter_unpack(data[_HEAD.size : rows])),
            dict_hash=dict_hash,
            synced=bool(synced),
            snapshot=Snapshot(
                t0_ns=WallNs(t0),
                t1_ns=WallNs(t1),
                until_ns=WallNs(until),
                rows=tuple(_row(found) for found in _ROW.iter_unpack(data[rows:])),
            ),
        )


def _row(found: tuple[Any, ...]) -> OpenWindow:
    key, point, worst, count, bad, missing, low, high, mean, m2, first, last = found
    return OpenWindow(
        key=key, point=point, count=count, bad=bad, missing=missing, worst=worst,
        min=low, max=high, mean=mean, m2=m2, first=first, last=last,
    )  # fmt: skip
