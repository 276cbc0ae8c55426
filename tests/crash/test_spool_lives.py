"""Random lives of a spool, cut at every step and on disks that fail: nothing is lost that is not declared."""

from __future__ import annotations

import errno
import random
import threading
from pathlib import Path

import pytest

from edge_agent.model import MonoNs
from edge_agent.records.values import Loss
from edge_agent.spool.files import OsFiles
from edge_agent.spool.survey import Survey
from tests.crash.spool_ledger import ERRORS, Life
from tests.unit.spool.rig import commit, lost, open_spool, record

STEPS = 120
"""So many that files go round, classes meet their shares, and everything is given up by every right."""


def _operations(seed: int) -> int:
    life = Life(seed)
    life.run(STEPS)
    return life.files.operations


def test_power_cut_at_every_operation_of_a_life_that_recycles_keeps_and_gives_up(seed: int) -> None:
    """One life has some 1,200 operations; in CI every seventh is cut at, beginning anywhere."""
    for cut_at in range(1 + seed % 7, _operations(seed), 7):
        life = Life(seed)
        life.run(STEPS, cut_at)
        life.check()


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: errno.errorcode[code])
def test_one_operation_that_fails_wherever_it_is_loses_nothing_undeclared(code: int, seed: int) -> None:
    for at in range(1 + seed % 29, _operations(seed), 29):
        life = Life(seed)
        life.fail_once = at, code
        life.run(STEPS)
        life.check()


def _live(seed: int, failing: float) -> Life:
    rng = random.Random(seed)
    life = Life(seed, failing=failing, capacity=rng.choice((1 << 40, 400_000, 700_000)))
    for _ in range(rng.randint(1, 3)):
        life.run(rng.randint(20, 150), cut_at=rng.choice((None, rng.randint(1, 900))))
        if rng.random() < 0.5:
            life.check()
    life.check()
    return life


@pytest.mark.parametrize("failing", [0.0, 0.02, 0.1])
def test_kills_and_power_cuts_lose_nothing_undeclared_whatever_the_disk_refuses(
    failing: float, seed: int
) -> None:
    for trial in range(40):
        _live(seed + trial, failing)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_lives_lose_nothing_undeclared(seed: int) -> None:
    lives = [_live(seed + trial, (0.0, 0.02, 0.1)[trial % 3]) for trial in range(6000)]
    print(f"\n{len(lives)} lives, {sum(life.number for life in lives)} runs,"
          f" {sum(life.faults for life in lives)} failed operations, seed {seed}")  # fmt: skip


def test_a_life_recycles_files_and_a_recycled_file_still_tells_its_records_apart() -> None:
    life = Life(7, keep_bytes=0)
    reopened: list[Path] = []
    real = life.files.reopen

    def reopen(path: Path) -> int:
        reopened.append(path)
        return real(path)

    life.files.reopen = reopen  # type: ignore[method-assign]
    for _ in range(3):
        life.run(200)
        life.check()
    assert any(path.suffix == ".free" for path in reopened)


def test_writer_reader_and_a_look_from_outside_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Files go round while others read them: nothing is taken for damaged, and all arrives once."""
    count = 6000
    spool = open_spool(OsFiles(), path=tmp_path, max_bytes=2 << 20)
    done, again = threading.Event(), 0
    found: list[int] = []
    failures: list[object] = []
    losses: list[Loss] = []

    def write() -> None:
        for seq in range(1, count + 1, 20):
            spool.append([record(n, size=1000) for n in range(seq, seq + 20)])
            commit(spool)
            losses.extend(spool.take_losses())
        done.set()

    def look() -> None:
        while not done.is_set():
            survey = Survey(OsFiles(), tmp_path)
            list(survey.segments("sample"))
            failures.extend(survey.damage)

    threads = [threading.Thread(target=write), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    position, over = 0, False
    while not over:
        over = done.is_set()
        while records := spool.read("sample", position, max_records=50):
            found += [one.seq for one in records]
            position = records[-1].position + 1
            again += len(spool.read("sample", max(1, position - 200), max_records=50, acked_too=True))
            spool.ack("sample", [one.position for one in records])
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert again
    assert {loss.reason for loss in losses} <= {"evicted"}
    assert sorted([*found, *(seq for _, _, seq in lost(losses))]) == list(range(1, count + 1))
    spool.close(MonoNs(0))
