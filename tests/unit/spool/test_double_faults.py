"""Two things wrong at once: no disk and no link, a failing unlink and a full spool."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.counters import Counters
from edge_agent.model import MonoNs
from edge_agent.records.events import Audit
from edge_agent.records.values import STREAMS, Kind, Loss
from edge_agent.spool import Limits, Spool
from edge_agent.spool.account import SPOOL_LOST
from edge_agent.spool.births import Births
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from edge_agent.spool.lossbook import FEW, condensed
from edge_agent.spool.orders import Orders
from tests.unit.spool.rig import ROOT, commit, epoch, lost, open_spool, record, seqs

_MEMORY = 20_000


def no_disk(operation: str, _path: Path) -> int:
    return errno.EIO if operation in ("create", "open", "write_at", "sync", "make_dirs") else 0


def without_a_disk(counters: Counters) -> Spool:
    files = FakeFiles()
    files.fail = no_disk
    limits = Limits(min_free_bytes=0, memory_bytes=_MEMORY)
    return Spool(ROOT, epoch(1), limits=limits, counters=counters, files=files)


def live(spool: Spool, samples: int) -> tuple[dict[str, int], list[int]]:
    """One sample an interval, and GAP records for what is lost: last seqs, losses an interval."""
    last = dict.fromkeys(STREAMS, 0)
    losses: list[Loss] = []
    counts = []
    for second in range(samples):
        items = []
        for loss in losses:
            last["event"] += 1
            items.append(record(last["event"], "event", declares=loss))
        last["sample"] += 1
        items.append(record(last["sample"]))
        spool.append(items)
        commit(spool, second)
        losses = spool.take_losses()
        counts.append(len(losses))
    return last, counts


def test_weeks_without_disk_and_link_neither_fill_memory_with_declarations_nor_multiply_them() -> None:
    spool = without_a_disk(Counters())
    last, counts = live(spool, 1000)
    assert max(counts) <= FEW
    assert last["event"] < 1000 / 15, "one declaration for many samples"
    assert spool.held_bytes <= _MEMORY
    assert len(seqs(spool)) * 100 > _MEMORY / 4, "memory is for what was measured"


def test_where_declarations_themselves_fill_memory_each_loss_stays_declared_and_is_counted_once() -> None:
    counters = Counters()
    spool = without_a_disk(counters)
    there = {(epoch(1), "sample", seq) for seq in range(1, 2001)}
    losses = [Loss(epoch(1), "sample", seq, seq, 1, "overflow", None, None) for seq in range(2, 2001, 2)]
    items = [record(seq, "event", declares=loss) for seq, loss in enumerate(losses, 1)]
    made, known = len(items), set[tuple[bytes, str, int]]()
    for second in range(30):
        spool.append(items)
        commit(spool, second)
        found = spool.take_losses()
        assert len(found) <= FEW
        known |= lost(found)
        items = [record(made + place, "event", declares=loss) for place, loss in enumerate(found, 1)]
        made += len(items)
    held = [one.declares for one in spool._logs["event"].held if one.declares]
    assert {one for one in there if not one[2] % 2} <= known | lost(held)
    assert counters.get(SPOOL_LOST, "sample", "overflow").value == 0, "counted by who lost them"
    gone = made - len(spool._logs["event"].held)
    assert counters.get(SPOOL_LOST, "event", "memory").value == gone


def test_without_a_disk_what_was_delivered_goes_before_what_was_not() -> None:
    spool = without_a_disk(Counters())
    spool.append([record(seq, "alarm") for seq in range(1, 101)])
    spool.ack("alarm", range(1, 101))
    commit(spool)
    spool.append([record(seq) for seq in range(1, 101)])
    commit(spool)
    assert seqs(spool) == [*range(1, 101)]
    assert spool.take_losses() == []


def test_many_losses_become_few_that_cover_them() -> None:
    apart = [Loss(epoch(1), "sample", seq, seq, 1, "memory", None, None) for seq in range(1, 100, 2)]
    others = [Loss(epoch(2), "sample", 7, 8, 2, "memory", None, None)]
    found = condensed([*apart, *others])
    assert [(one.epoch, one.from_seq, one.to_seq, one.count) for one in found] == [
        (epoch(1), 1, 99, 50), (epoch(2), 7, 8, 2),
    ]  # fmt: skip
    assert condensed(apart[:3]) == apart[:3]


@pytest.mark.parametrize("wrong", ["removed by somebody", "cannot be emptied"])
def test_an_acknowledged_segment_whose_file_is_gone_does_not_keep_others_from_being_given_up(
    wrong: str,
) -> None:
    files = FakeFiles()
    spool = open_spool(files, max_bytes=1 << 20)
    last = 0

    def store(count: int) -> None:
        nonlocal last
        for _ in range(count):
            last += 1
            spool.append([record(last, size=4000)])
        commit(spool)

    store(100)
    log = spool._logs["sample"]
    first, end = log.bounds(1)
    spool.ack("sample", range(first, end + 1))
    if wrong == "removed by somebody":
        files.unlink(log.segments[1].path)
    else:
        files.fail = lambda operation, _path: errno.EIO if operation == "empty" else 0
    store(400)
    assert spool.stats().bytes_used <= 1 << 20
    assert not spool.stats().memory_only
    gone, there = lost(spool.take_losses()), set(seqs(spool))
    assert {seq for _, _, seq in gone} | there == {*range(1, last + 1)} - {*range(first, end + 1)}


@pytest.mark.parametrize("end", [FakeFiles.kill, FakeFiles.crash])
def test_no_record_behind_a_loss_is_stored_before_the_loss_is_noted(end: Callable[[FakeFiles], None]) -> None:
    files = FakeFiles()
    spool = open_spool(files)
    commit(spool)
    files.fail = lambda operation, path: errno.EIO if path.name == "losses" and operation != "is_at" else 0
    spool.note_losses([Loss(epoch(1), "sample", 1, 1, 1, "overflow", None, None)])
    spool.append([record(2)])
    commit(spool, 1)
    assert seqs(spool) == [2]
    end(files)
    files.fail = lambda _operation, _path: 0
    after = open_spool(files, 2)
    assert seqs(after) == [] or (epoch(1), "sample", 1) in lost(after.take_losses())


@pytest.mark.parametrize("end", [FakeFiles.kill, FakeFiles.crash])
def test_no_record_is_stored_before_the_birth_it_refers_to(end: Callable[[FakeFiles], None]) -> None:
    name, stored = b"d" * 8, 0
    for cut in range(1, 40):
        files = FakeFiles(seed=cut)
        spool = open_spool(files)
        commit(spool)
        files.cut_at = files.operations + cut
        with contextlib.suppress(PowerCut):
            birth = record(1, "event", kind=Kind.BIRTH, dictionary=name)
            spool.append([birth, record(1, dictionary=name)])
            commit(spool, 1)
        files.cut_at = None
        end(files)
        after = open_spool(files, 2)
        if seqs(after):
            stored += 1
            assert [one.dict_hash for one in after.births()] == [name], cut
    assert stored


def test_what_was_ordered_while_no_agent_ran_and_cannot_be_read_stops_no_start() -> None:
    files = FakeFiles()
    files.open_slots(ROOT / "orders")
    files.fail = lambda operation, path: errno.EIO if operation == "read" and path.name == "orders" else 0
    spool = open_spool(files)
    assert spool.ordered() == []
    assert "open" in spool.stats().problem


def test_what_was_ordered_is_forgotten_once_its_record_is_durable_and_not_before() -> None:
    files = FakeFiles()
    before = open_spool(files)
    before.orders.note(Audit(who="uid 0", what="spool purge", result="done"))
    before.close(MonoNs(0))
    spool = open_spool(files, 2)
    assert len(spool.ordered()) == 1
    commit(spool)
    files.fail = no_disk
    spool.append([record(1, "audit", number=2)])
    commit(spool, 1)
    files.fail = lambda _operation, _path: 0
    assert spool.stats().memory_only
    assert len(Orders(files, ROOT / "orders").load()) == 1
    for second in (2, 8, 9):
        commit(spool, second)
    assert not spool.stats().memory_only
    assert Orders(files, ROOT / "orders").load() == []


def test_the_status_may_ask_for_the_size_of_births_while_one_is_dropped() -> None:
    births = Births(FakeFiles(), ROOT / "births", ROOT / "quarantine")
    for seq, name in enumerate((b"a" * 8, b"b" * 8, b"c" * 8), 1):
        births.add(record(seq, "event", kind=Kind.BIRTH, dictionary=name))

    class Slow(list[bytes]):
        """Asked for its records, lets the writer's thread go on."""

        def __iter__(self) -> Iterator[bytes]:
            threading.Thread(target=drop, daemon=True).start()
            dropped.wait(0.05)
            return super().__iter__()

    def drop() -> None:
        births.keep(frozenset())
        dropped.set()

    dropped = threading.Event()
    entry = births._entries[b"a" * 8]
    entry.records = Slow(entry.records)
    assert births.bytes_used == 3 * 104
