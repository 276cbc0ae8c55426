from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.doctor.access import Look, Node, User
from edge_agent.doctor.disk import FEW_INODES, Disk, Limits, SpoolState, Wear, judge
from edge_agent.doctor.findings import State

MIB = 1 << 20
SPOOL = "/var/lib/edge-agent/spool"
SERVICE = User(name="edge-agent", uid=990, gids=frozenset({990}), group="edge-agent")
LOOK = Look(path=SPOOL, nodes=(Node(path=SPOOL, uid=990, gid=990, mode=0o750, owner="edge-agent"),))
LIMITS = Limits(max_bytes=512 * MIB, min_free_bytes=64 * MIB)
DISK = Disk(
    spool=SPOOL, place=SPOOL, source="/dev/mmcblk0p2", free_bytes=4096 * MIB, inodes=10**6, free_inodes=10**5
)
STATE = SpoolState(look=LOOK)


def found(disk=DISK, state=STATE):
    return {one.subject: one for one in judge(disk, state, LIMITS, SERVICE)}


def test_a_disk_as_it_should_be_is_ok():
    assert {one.state for one in found().values()} == {State.OK}


@pytest.mark.parametrize(
    ("free", "used", "state"),
    [
        (64 * MIB - 1, 0, State.FAULT),
        (64 * MIB, 0, State.WARNING),
        (576 * MIB - 1, 0, State.WARNING),
        (576 * MIB, 0, State.OK),
        (575 * MIB, 1 * MIB, State.OK),  # What the spool has already, it need not find again.
        (65 * MIB, 512 * MIB, State.OK),
    ],
)
def test_space_is_what_the_spool_may_still_take_and_what_must_stay_free(free, used, state):
    one = found(replace(DISK, free_bytes=free), replace(STATE, used_bytes=used))["space"]
    assert one.state is state
    assert (state is State.OK) or "$ sudo du" in one.remedy


@pytest.mark.parametrize(
    ("inodes", "free", "state"),
    [
        (0, 0, State.OK),  # btrfs counts none.
        (10**6, 0, State.FAULT),
        (10**6, 1, State.WARNING),
        (10**6, FEW_INODES - 1, State.WARNING),
        (10**6, FEW_INODES, State.OK),
    ],
)
def test_inodes_run_out_like_space(inodes, free, state):
    assert found(replace(DISK, inodes=inodes, free_inodes=free))["inodes"].state is state


@pytest.mark.parametrize(
    ("kind", "upper", "state"),
    [
        ("ext4", "", State.OK),
        ("btrfs", "", State.OK),
        ("tmpfs", "", State.WARNING),
        ("overlay", "", State.WARNING),
        ("overlay", "tmpfs", State.WARNING),
        ("nfs4", "", State.WARNING),
    ],
)
def test_a_spool_that_does_not_outlive_a_restart_is_a_warning(kind, upper, state):
    one = found(replace(DISK, kind=kind, upper_kind=upper))["file system"]
    assert one.state is state
    assert ("memory" in one.seen) == ("tmpfs" in (kind, upper))


def test_a_read_only_disk_is_a_fault_whatever_it_is():
    first = next(iter(judge(replace(DISK, is_read_only=True, kind="tmpfs"), STATE, LIMITS, SERVICE)))
    assert first.state is State.FAULT
    assert "remount" in first.remedy


@pytest.mark.parametrize(
    ("life", "reserve", "state"),
    [
        (1, 1, State.OK),
        (8, 1, State.OK),
        (9, 1, State.WARNING),
        (10, 1, State.WARNING),
        (11, 1, State.WARNING),
        (1, 2, State.WARNING),
        (1, 3, State.WARNING),
        (0, 1, State.OK),
    ],
)
def test_wear_is_what_the_emmc_says(life, reserve, state):
    assert found(replace(DISK, wear=Wear(life_used=life, reserve=reserve)))["wear"].state is state


def test_of_a_disk_that_says_nothing_nothing_is_said():
    assert "wear" not in found()


def test_a_spool_that_is_not_there_yet_is_fine_and_one_that_may_not_be_seen_is_skipped():
    missing = SpoolState(look=Look(path=SPOOL, is_missing=True))
    assert found(state=missing)[SPOOL].state is State.OK
    hidden = SpoolState(look=Look(path=SPOOL, hidden_by=SPOOL))
    assert found(state=hidden)[SPOOL].state is State.SKIPPED


def test_files_of_root_in_the_spool_are_a_fault_with_the_command_that_gives_them_back():
    listed = list(judge(DISK, replace(STATE, foreign=(f"{SPOOL}/lock",)), LIMITS, SERVICE))
    one = next(one for one in listed if one.state is State.FAULT)
    assert one.remedy.endswith(f"$ sudo chown -R edge-agent:edge-agent {SPOOL}")
    root = Look(path=SPOOL, nodes=(Node(path=SPOOL, uid=0, gid=0, mode=0o750),))
    assert State.FAULT in {one.state for one in judge(DISK, SpoolState(look=root), LIMITS, SERVICE)}


def test_damage_comes_before_what_was_set_aside():
    damage = tuple(f"sample/{n}.seg: record 1 is damaged" for n in range(3))
    one = found(state=replace(STATE, damage=damage, quarantined=2, unsent=5))["records"]
    assert one.state is State.WARNING
    assert "; and 1 more" in one.seen
    assert "spool verify" in one.remedy
    aside = found(state=replace(STATE, quarantined=2, unsent=1))["records"]
    assert (aside.state, aside.seen.startswith("1 record to be sent; 2 files")) == (State.NOTE, True)


def test_losses_that_wait_to_be_declared_are_told():
    assert found(state=replace(STATE, undeclared=1))["records"].seen.endswith("1 loss to be declared")
