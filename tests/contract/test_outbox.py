"""One suite for every outbox: the one in memory and the spool on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.values import EncodedRecord, Kind, Recovery
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool
from edge_agent.uplink.outbox import Births, MemoryOutbox, Outbox, Ref, Run, SpoolOutbox
from tests.contract.agent_records import BOOT, sample, small_site, stamp

A, B = b"\x01" * 8, b"\x02" * 8


class Stored:
    """An outbox and the means to fill it, in several runs."""

    outbox: Outbox
    writer: RecordWriter

    def begin(self, epoch: bytes, *points: str) -> None:
        self.open(epoch)
        self.writer = RecordWriter(small_site(*points), epoch, boot_id=BOOT, counters=Counters())
        self.put(self.writer.start(stamp(), Recovery()))

    def samples(self, *values: int) -> None:
        for value in values:
            self.put(self.writer.add([sample(value, value)], stamp()))
            self.put(self.writer.flush(stamp(), stamp().wall_ns))

    def open(self, epoch: bytes) -> None:
        raise NotImplementedError

    def put(self, items: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        return


class InMemory(Stored):
    def __init__(self, _path: Path) -> None:
        self.outbox = self.memory = MemoryOutbox()

    def open(self, epoch: bytes) -> None:
        births = self.memory.births()
        self.memory.new_epoch(epoch)
        self.memory.set_births(Births((), births.current))

    def put(self, items: object) -> None:
        assert isinstance(items, list)
        for item in items:
            if isinstance(item, EncodedRecord):
                self.memory.append(item.stream, item.data)
                if item.kind == Kind.BIRTH:
                    self.memory.set_births(Births((item.data,), self.memory.births().older))


class OnDisk(Stored):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.spool: Spool | None = None

    def open(self, epoch: bytes) -> None:
        self.close()
        self.spool = Spool(self.path, epoch, limits=Limits(min_free_bytes=0), counters=Counters())
        self.outbox = SpoolOutbox(self.spool)

    def put(self, items: object) -> None:
        assert isinstance(items, list) and self.spool is not None
        self.spool.append(items)
        self.spool.commit(MonoNs(0))

    def close(self) -> None:
        if self.spool is not None:
            self.spool.close(MonoNs(0))


@pytest.fixture(params=[InMemory, OnDisk])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    make: Callable[[Path], Stored] = request.param
    result = make(tmp_path / "spool")
    yield result
    result.close()


def _refs(outbox: Outbox, stream: str) -> list[Ref]:
    runs = [run for run in outbox.unacked() if run.stream == stream]
    return [Ref(run.epoch, stream, seq) for run in runs for seq in range(run.first, run.last + 1)]


def test_what_was_stored_is_read_by_its_identity(stored: Stored) -> None:
    stored.begin(A)
    stored.samples(1, 2, 3)
    assert stored.outbox.epoch == A
    assert stored.outbox.tails()["sample"] == 4
    refs = _refs(stored.outbox, "sample")
    assert [ref.seq for ref in refs] == [1, 2, 3, 4]
    records = [stored.outbox.read(ref) for ref in refs]
    assert all(records) and len(set(records)) == 4
    assert stored.outbox.read(refs[2]) == records[2], "reading changes nothing"
    assert stored.outbox.read(Ref(A, "sample", 5)) is None
    assert stored.outbox.read(Ref(b"\x09" * 8, "sample", 1)) is None


def test_two_places_of_one_stream_are_read_in_turn(stored: Stored) -> None:
    stored.begin(A)
    stored.samples(*range(300))
    for back, front in zip(range(1, 100), range(200, 299), strict=True):
        assert stored.outbox.read(Ref(A, "sample", back))
        assert stored.outbox.read(Ref(A, "sample", front))


def test_what_is_acknowledged_is_not_offered_again(stored: Stored) -> None:
    stored.begin(A)
    stored.samples(*range(5))
    stored.outbox.ack([Ref(A, "sample", seq) for seq in (2, 3, 5, 99)])
    stored.outbox.ack([Ref(A, "sample", 2), Ref(b"\x09" * 8, "sample", 1)])
    runs = [run for run in stored.outbox.unacked() if run.stream == "sample"]
    assert runs == [Run(A, "sample", 1, 1), Run(A, "sample", 4, 4), Run(A, "sample", 6, 6)]
    assert stored.outbox.waiting()["sample"] == 3


def test_an_earlier_run_stays_until_it_is_acknowledged(stored: Stored) -> None:
    stored.begin(A)
    stored.samples(1, 2)
    stored.outbox.ack([Ref(A, "sample", 1)])
    stored.begin(B)
    stored.samples(3)
    assert _refs(stored.outbox, "sample")[:2] == [Ref(A, "sample", 2), Ref(A, "sample", 3)]
    assert stored.outbox.tails()["sample"] == 2
    for ref in _refs(stored.outbox, "sample"):
        assert stored.outbox.read(ref), ref
    stored.outbox.ack(_refs(stored.outbox, "sample"))
    assert _refs(stored.outbox, "sample") == []


def test_the_births_of_earlier_configurations_are_there_beside_the_current_one(stored: Stored) -> None:
    stored.begin(A, "pressure", "speed")
    stored.samples(1)
    old = stored.outbox.births().current
    stored.begin(B, "speed", "pressure")
    births = stored.outbox.births()
    assert births.older == old and len(births.current) == 1 and births.current != old
