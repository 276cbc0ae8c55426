"""Two-slot state files under power cuts."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

from edge_agent.records.values import Loss
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from edge_agent.spool.lossbook import MAX_ENTRIES, LossBook
from edge_agent.spool.slots import SlotFile

PATH = Path("/state")


def test_the_last_synced_state_or_a_later_one_survives_any_power_cut(seed: int) -> None:
    rng = random.Random(seed)
    for trial in range(400):
        files = FakeFiles(seed + trial)
        slots = SlotFile(files, PATH, 2048)
        slots.store(b"0".ljust(1500), sync=True)
        files.sync_dir(PATH.parent)
        stored = synced = 0
        for _ in range(3):
            files.cut_at = files.operations + rng.randrange(1, 12)
            with contextlib.suppress(PowerCut):
                while True:
                    sync = rng.random() < 0.3
                    stored += 1
                    slots.store(str(stored).encode().ljust(1500), sync=sync)
                    synced = stored if sync else synced
            if rng.random() < 0.5:
                files.crash()
            else:
                files.kill()
                files.cut_at = None
            slots = SlotFile(files, PATH, 2048)
            content = slots.load()
            assert content is not None
            assert synced <= int(content) <= stored
            synced = min(synced, int(content))


def test_no_file_is_no_state_and_the_size_is_taken_at_once() -> None:
    files = FakeFiles()
    slots = SlotFile(files, PATH, 2048)
    assert slots.load() is None
    slots.store(b"x", sync=True)
    slots.store(b"y", sync=True)
    assert files.size(PATH) == 4096
    files.capacity = 0
    slots.store(b"z" * slots.capacity, sync=True)
    assert SlotFile(files, PATH, 2048).load() == b"z" * slots.capacity


def test_a_full_book_of_losses_covers_everything_with_fewer_entries() -> None:
    files = FakeFiles()
    book = LossBook(files, PATH)
    for seq in range(1, 400):
        book.note([Loss(b"e" * 8, f"stream{seq % 3}", 2 * seq, 2 * seq, 1, "evicted", None, None)])
    found = LossBook(files, PATH).load()
    assert len(found) <= MAX_ENTRIES
    assert sum(loss.count for loss in found) == 399
    for seq in range(1, 400):
        mine = [loss for loss in found if loss.stream == f"stream{seq % 3}"]
        assert any(loss.from_seq <= 2 * seq <= loss.to_seq for loss in mine)
