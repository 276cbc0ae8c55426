"""Long windows when the power goes or the process is killed at every step: no value in two summaries, none
missing but in the time a START declares, and that time no longer than a checkpoint and the pause."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import pytest

from edge_agent.model import NS, MonoNs, Site
from edge_agent.records.decode import Decoder, SummaryRow, SummaryRows
from edge_agent.records.events import Start
from edge_agent.records.values import Kind
from edge_agent.spool.fake_files import FakeFiles, PowerCut
from tests.unit.daemon.lives import BEGIN, Gateway
from tests.unit.process.sites import point, site
from tests.unit.spool.rig import commit, epoch, open_spool, record

WINDOW_S, CHECKPOINT_S, PAUSE_S = 20, 5, 3
ONE = replace(site([point("p", poll_ns=NS)], window_ns=WINDOW_S * NS), checkpoint_ns=CHECKPOINT_S * NS)
# More than one record of a window holds.
MANY = replace(
    site([point(f"p{i}", address=4 * i, poll_ns=NS) for i in range(200)], window_ns=WINDOW_S * NS),
    checkpoint_ns=CHECKPOINT_S * NS,
)
LONGEST_GAP_S = 2 * CHECKPOINT_S + 2
"""What a cut in the middle of a checkpoint costs: the one before it counts."""


def life(gateway: Gateway) -> None:
    """Three windows, in the second an orderly restart."""
    gateway.start()
    gateway.poll_for(27)
    gateway.stop()
    gateway.start()
    gateway.poll_for(30)


def last_life(gateway: Gateway) -> None:
    """After all windows are over, so that nothing stays open."""
    gateway.files.cut_at = None
    gateway.pass_time(PAUSE_S)
    gateway.start()
    gateway.poll_for(9)
    gateway.stop()
    gateway.pass_time(10 * WINDOW_S)
    gateway.start()
    gateway.turn()
    gateway.drain()
    gateway.stop()


def judge(gateway: Gateway, longest_s: int = LONGEST_GAP_S) -> None:
    decoder = Decoder()
    data = gateway.received
    for ref in data:
        if ref.stream == "event":
            decoder.decode(data[ref])
    records = [decoder.decode(one) for one in data.values()]
    gaps, begun = [], {}
    for one in sorted(records, key=lambda r: r.envelope.t0.wall_ns):
        if isinstance(one.body, Start):
            begun[one.envelope.epoch] = now = one.envelope.t0.wall_ns
            previous = one.body.previous
            if previous.epoch:
                since = previous.certain.get("summary", None if previous.clean else begun.get(previous.epoch))
                if since is not None:
                    gaps.append((since, now))
    rows: dict[str, list[SummaryRow]] = {}
    for one in records:
        if isinstance(one.body, SummaryRows):
            for row in one.body.rows:
                rows.setdefault(row.entry.point, []).append(row)
    declared = {n for n, t in gateway.polls.items() if any(t0 <= t <= t1 for t0, t1 in gaps)}
    assert rows
    for name, found in rows.items():
        # The other points come and go with the configuration.
        if name == "p" or gateway.site is MANY:
            judge_point(found, gateway.polls, declared)
    for since, now in gaps:
        inside = [t for t in gateway.polls.values() if since < t <= now]
        assert len(inside) <= longest_s, (since - BEGIN, now - BEGIN)


def judge_point(found: list[SummaryRow], polls: dict[int, int], declared: set[int]) -> None:
    covered: set[int] = set()
    for row in found:
        if row.count == 0:
            continue
        assert row.first is not None and row.last is not None
        mine = range(int(row.first), int(row.last) + 1)
        assert not covered & set(mine), f"polls {covered & set(mine)} are in two summaries"
        covered |= set(mine)
        assert all(row.t0_ns <= polls[n] < row.t1_ns for n in mine)
        assert len(set(mine) - declared) <= row.count <= len(mine)
    assert set(polls) - covered <= declared


def operations(definition: Site) -> int:
    gateway = Gateway(definition)
    life(gateway)
    return gateway.files.operations


@pytest.mark.parametrize(("definition", "step"), [(ONE, 3), (MANY, 41)])
def test_power_cut_at_every_kth_operation(definition: Site, step: int) -> None:
    total = operations(definition)
    assert total > 300
    for cut_at in range(1, total + 1, step):
        gateway = Gateway(definition, FakeFiles(seed=cut_at))
        gateway.files.cut_at = cut_at
        with pytest.raises(PowerCut):
            life(gateway)
        gateway.files.crash()
        last_life(gateway)
        judge(gateway)


def test_a_kill_at_every_kth_operation() -> None:
    for cut_at in range(1, operations(ONE) + 1, 5):
        gateway = Gateway(ONE, FakeFiles(seed=cut_at))
        gateway.files.cut_at = cut_at
        with pytest.raises(PowerCut):
            life(gateway)
        gateway.files.kill()
        last_life(gateway)
        judge(gateway)


CHANGED = replace(
    site([point("q", address=4, poll_ns=NS), point("p", poll_ns=NS, unit="bar")], window_ns=WINDOW_S * NS),
    checkpoint_ns=CHECKPOINT_S * NS,
)


def end(gateway: Gateway, rng: random.Random) -> None:
    gateway.files.cut_at = None
    rng.choice((gateway.files.crash, gateway.files.kill))()
    gateway.pass_time(rng.choice((1, 7, 40)))


def test_cuts_and_kills_and_changes_of_the_configuration_in_a_row(seed: int) -> None:
    rng = random.Random(seed)
    total = operations(ONE)
    for trial in range(60):
        gateway = Gateway(ONE, FakeFiles(seed=seed + trial))
        for _ in range(rng.randrange(2, 5)):
            gateway.files.cut_at = gateway.files.operations + rng.randrange(1, total)
            with contextlib.suppress(PowerCut):
                life(gateway)
            end(gateway, rng)
            gateway.site = rng.choice((ONE, CHANGED))
        last_life(gateway)
        judge(gateway)


def test_damaged_checkpoints_lose_windows_but_not_in_silence(seed: int) -> None:
    rng = random.Random(seed)
    for trial in range(40):
        gateway = Gateway(ONE, FakeFiles(seed=seed + trial))
        for _ in range(rng.randrange(2, 5)):
            gateway.start()
            gateway.files.cut_at = gateway.files.operations + rng.randrange(1, 600)
            with contextlib.suppress(PowerCut):
                gateway.poll_for(rng.randrange(1, 50))
                gateway.stop()
            end(gateway, rng)
            if rng.random() < 0.5:
                gateway.damage_checkpoints()
        last_life(gateway)
        judge(gateway, 3 * WINDOW_S)


def test_a_run_that_was_cut_before_its_start_was_durable_is_not_the_previous_one() -> None:
    """Else nobody would ever declare what the run before it lost: its START names that one."""
    for seed in range(100):
        files = FakeFiles(seed=seed)
        spool = open_spool(files, 1)
        spool.append([record(1, "event", kind=Kind.START)])
        commit(spool)
        files.crash()
        spool = open_spool(files, 2)
        files.cut_at = files.operations + 1 + seed % 25
        sendable = 0
        with contextlib.suppress(PowerCut):
            spool.append(
                [replace(record(1, "event", number=2, kind=Kind.START, size=600), durable_first=True)]
            )
            sendable = spool.last_seq("event")
            spool.commit(MonoNs(0), ("event",))
        files.cut_at = None
        files.crash()
        before = open_spool(files, 3).recovery
        # Not sent either while a power cut may take it.
        allowed = ((epoch(2), 1),) if sendable else ((epoch(1), 1), (epoch(2), 1))
        assert (before.epoch, before.last["event"]) in allowed
