"""Losses that no durable record declares yet, kept on disk so that none is forgotten.

A loss is written here before what it concerns is removed, and taken out once the GAP record that
declares it is durable. What a power cut leaves in the book is declared by the next run: at worst a
gap is declared twice, which is harmless, never not at all. The file has its size from the beginning,
so a full disk cannot keep a loss from being noted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from edge_agent.errors import RecordError
from edge_agent.model import WallNs
from edge_agent.records.pack import pack, unpack
from edge_agent.records.values import Loss
from edge_agent.spool.files import Files
from edge_agent.spool.slots import SlotFile

MAX_ENTRIES = 96
"""So many fit a slot whatever their numbers are."""
FEW = 16


class LossBook:
    """One thread."""

    SLOT_BYTES = 8192

    def __init__(self, files: Files, path: Path) -> None:
        self._slots = SlotFile(files, path, self.SLOT_BYTES)
        self._losses: list[Loss] = []
        self._unsaved = False

    def load(self) -> list[Loss]:
        """What an earlier run left undeclared. A damaged book is an empty one; OSError if it cannot be
        read."""
        content = self._slots.load()
        if content:
            with contextlib.suppress(RecordError, TypeError, ValueError):
                self._losses = [_decode(row) for row in unpack(content)]
        return list(self._losses)

    def prepare(self) -> None:
        """Give the file its size while there is room; OSError if there is none."""
        self._slots.store(self._encoded(), sync=True)
        self._slots.store(self._encoded(), sync=True)

    def note(self, losses: Iterable[Loss]) -> None:
        """Remember losses before they happen; OSError if the disk did not take them (they are then
        remembered in memory, until `save` brings them there)."""
        self._losses.extend(losses)
        while len(self._losses) > MAX_ENTRIES:
            self._merge()
        self._unsaved = True
        try:
            self.save()
        except OSError:
            # In a file opened anew; only what fails twice is a disk that failed.
            self.save()

    def withdraw(self, losses: Iterable[Loss]) -> None:
        """What was noted last does not happen after all."""
        for loss in losses:
            with contextlib.suppress(ValueError):
                self._losses.remove(loss)

    def save(self) -> None:
        """Make durable what is not; OSError if the disk does not take it."""
        if self._unsaved:
            self._slots.store(self._encoded(), sync=True)
            self._unsaved = False

    def settle(self, declared: Iterable[Loss]) -> None:
        """Records that declare these are durable. Not synced: to declare again is harmless."""
        done = set(declared)
        if any(loss in done for loss in self._losses):
            self._losses = [loss for loss in self._losses if loss not in done]
            with contextlib.suppress(OSError):
                self._slots.store(self._encoded(), sync=False)

    def in_place(self) -> bool:
        return self._slots.in_place()

    def close(self) -> None:
        self._slots.close()

    def _encoded(self) -> bytes:
        return pack(
            [[x.epoch, x.stream, x.from_seq, x.to_seq, x.count, x.reason, x.t0, x.t1] for x in self._losses]
        )

    def _merge(self) -> None:
        """Too many to keep apart: the oldest that can joins the next of its stream, covering both."""
        seen: dict[tuple[bytes, str], int] = {}
        for place, loss in enumerate(self._losses):
            other = seen.setdefault((loss.epoch, loss.stream), place)
            if other != place:
                self._losses[place] = join(self._losses[other], loss)
                del self._losses[other]
                return
        # As many streams and epochs as entries: the oldest is declared by this run or never.
        del self._losses[0]


def join(a: Loss, b: Loss) -> Loss:
    """One loss that covers two of one stream."""
    return Loss(
        epoch=a.epoch,
        stream=a.stream,
        from_seq=min(a.from_seq, b.from_seq),
        to_seq=max(a.to_seq, b.to_seq),
        count=a.count + b.count,
        reason=a.reason,
        t0=min((t for t in (a.t0, b.t0) if t is not None), default=None),
        t1=max((t for t in (a.t1, b.t1) if t is not None), default=None),
    )


def append_joined(losses: list[Loss], loss: Loss) -> None:
    """Add a loss, as one with the last of the list where it follows on it. Its time begins or ends at
    an unknown one if that of its first or last part does."""
    last = losses[-1] if losses else loss
    if (last.epoch, last.stream, last.to_seq) == (loss.epoch, loss.stream, loss.from_seq - 1):
        both = join(last, loss)
        losses[-1] = replace(both, t0=last.t0 and both.t0, t1=loss.t1 and both.t1)
    else:
        losses.append(loss)


def condensed(losses: Iterable[Loss]) -> list[Loss]:
    """The same in few: what follows on another of its stream joins it, and where that leaves more than
    `FEW`, all of one stream and reason are one that covers them."""
    parts: dict[tuple[bytes, str, str], list[Loss]] = {}
    for loss in losses:
        append_joined(parts.setdefault((loss.epoch, loss.stream, loss.reason), []), loss)
    if sum(map(len, parts.values())) <= FEW:
        return [loss for part in parts.values() for loss in part]
    return [reduce(join, part) for part in parts.values()]


def _decode(row: Any) -> Loss:
    epoch, stream, from_seq, to_seq, count, reason, t0, t1 = row
    if type(epoch) is not bytes or type(stream) is not str or not 1 <= from_seq <= to_seq:
        raise RecordError("not a loss")
    return Loss(
        epoch, stream, from_seq, to_seq, int(count), str(reason),
        None if t0 is None else WallNs(t0), None if t1 is None else WallNs(t1),
    )  # fmt: skip
