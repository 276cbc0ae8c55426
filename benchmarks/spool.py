"""What the spool writes to a disk, how fast, and how long it takes to open a full one; beside SQLite.

Bytes and flushes are counted by a loop device with an ext4 of its own (root). The image lies in memory, so
that only counts and ratios mean anything; an SD card is slower by its own measure.

    python benchmarks/spool.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from _common import Row, publish
from _loop_disk import LoopDisk, loop_disk
from _reference_day import reference_day
from _spool_stores import PAYLOAD, SpoolStore, SqliteStore, Store

STORES: dict[str, Callable[[Path], Store]] = {"edge-agent": SpoolStore, "SQLite WAL FULL": SqliteStore}
BUDGETS = {1: "<= 8", 50: "<= 1.5"}
_HOURS_BEFORE = 2
"""Of the reference configuration, lived through at once, so that files go round."""
_LET_GO = 10
"""Commits between two rounds of acknowledgements."""


def batch(size: int, rng: random.Random) -> list[tuple[str, bytes]]:
    """Records of one commit. Of many at once one in ten is a summary, as where a window ends."""
    streams = ["summary" if size > 1 and place % 10 == 9 else "sample" for place in range(size)]
    return [(stream, rng.randbytes(PAYLOAD)) for stream in streams]


def write(disk: LoopDisk, make: Callable[[Path], Store], size: int, commits: int) -> tuple[float, ...]:
    """(device bytes per payload byte, flushes a commit, appends a second), once files go round."""
    rng = random.Random(1)
    store = make(disk.path)
    warm = max(commits // 4, (6 << 20) // (size * PAYLOAD))
    for number in range(warm):
        store.put(batch(size, rng))
        if number % _LET_GO == 0:
            store.let_go()
    disk.settle()
    (bytes_before, flushes_before), started = disk.written(), perf_counter()
    for number in range(commits):
        store.put(batch(size, rng))
        if number % _LET_GO == 0:
            store.let_go()
    took = perf_counter() - started
    disk.settle()
    bytes_after, flushes_after = disk.written()
    store.close()
    payload = commits * size * PAYLOAD
    return (
        (bytes_after - bytes_before) / payload,
        (flushes_after - flushes_before) / commits,
        (commits * size / took),
    )


def amplification(quick: bool) -> list[Row]:
    rows, speed = [], []
    for block in (4096, 1024):
        for size in (1, 10, 50):
            commits = (1000 if quick else 4000) // (1 if size == 1 else 4)
            found = {}
            for name, make in STORES.items():
                with loop_disk("256M", block) as disk:
                    found[name] = write(disk, make, size, commits)
            own = found.pop("edge-agent")
            claim = f"{size} records a commit, blocks of {block // 1024} KiB"
            peers = [{name: values[place] for name, values in found.items()} for place in range(3)]
            budget = BUDGETS.get(size, "")
            rows.append(Row(claim=f"device bytes per payload byte, {claim}", value=own[0], unit="x",
                            peers=peers[0], budget=budget))  # fmt: skip
            if block == 4096:
                rows.append(
                    Row(claim=f"flushes a commit, {claim}", value=own[1], unit="flushes", peers=peers[1])
                )
                speed.append(Row(claim=f"appends, {claim}", value=own[2], unit="records/s", peers=peers[2]))
    return [*rows, *speed]


def reference(seconds: int) -> Row:
    """A day of the reference configuration, from a part of one that is lived through."""
    found = {}
    for name, make in STORES.items():
        with loop_disk("256M", 4096) as disk:
            store = make(disk.path)
            for records in reference_day(_HOURS_BEFORE * 3600):
                if records:
                    store.put(records)
                    store.let_go()
            disk.settle()
            before = disk.written()[0]
            for records in reference_day(seconds):
                store.second(records)
                # In real time: file system and journal write by their own clocks.
                time.sleep(1)
            disk.settle()
            found[name] = (disk.written()[0] - before) * 86400 / seconds / 2**30
            store.close()
    own = found.pop("edge-agent")
    return Row(claim="device bytes of the reference configuration", value=own, unit="GiB/day", peers=found)


def recovery(size: int) -> Row:
    """From opening to the first unsent record, nothing of it in memory."""
    found = {}
    for name, make in STORES.items():
        with loop_disk(f"{2 * size}", 4096) as disk:
            store = SpoolStore(disk.path, 2 * size) if name == "edge-agent" else make(disk.path)
            rng = random.Random(1)
            for _ in range(size // (1000 * PAYLOAD)):
                store.put(batch(1000, rng))
            store.close()
            disk.forget()
            started = perf_counter()
            store = SpoolStore(disk.path, 2 * size) if name == "edge-agent" else make(disk.path)
            first = store.spool.read("sample", max_records=1) if isinstance(store, SpoolStore) else (
                store.first()  # type: ignore[attr-defined]
            )  # fmt: skip
            assert first
            found[name] = perf_counter() - started
            store.close()
    own = found.pop("edge-agent")
    return Row(claim=f"opening {size / 2**30:g} GiB of unsent records to the first of them",
               value=own, unit="s", peers=found)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for trying it")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("benchmarks/spool.py counts what reaches a loop device: it takes root")
    rows = [*amplification(options.quick), reference(60 if options.quick else 600), recovery(1 << 30)]
    return publish("spool", rows)


if __name__ == "__main__":
    sys.exit(main())
