"""Judges the disk below the spool: kind, space, inodes, wear; and the spool on it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.config.values import show_size
from edge_agent.doctor import access
from edge_agent.doctor.access import Look, User
from edge_agent.doctor.findings import AS_ROOT, Finding, Subject, command, plural

CHECK = "disk"
FEW_INODES = 1000
"""A spool of 512 MiB has some 600 files."""
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"})
_TOLD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What an eMMC says of itself (JESD84-B51, 7.4: DEVICE_LIFE_TIME_EST, PRE_EOL_INFO)."""

    life_used: int
    """In tenths: 1 is up to 10 %; 11: beyond its life; 0: not said."""
    reserve: int
    """1 normal, 2 four fifths of the spare blocks are used, 3 nine tenths; 0: not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The file system that holds the spool, or will."""

    spool: str
    place: str
    """The spool, or the nearest folder above it that is there."""
    kind: str = "ext4"
    source: str = ""
    is_read_only: bool = False
    upper_kind: str = ""
    """Of an overlay: the file system that takes the writes; empty where it is not known."""
    free_bytes: int = 0
    """For an ordinary user."""
    inodes: int = 0
    """0: the file system does not count them."""
    free_inodes: int = 0
    is_sd_card: bool = False
    wear: Wear | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """What is in the spool, as far as it may be looked at."""

    look: Look
    used_bytes: int = 0
    foreign: tuple[str, ...] = ()
    """Files the service's user may not write."""
    unsent: int = 0
    damage: tuple[str, ...] = ()
    quarantined: int = 0
    undeclared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bytes: int
    min_free_bytes: int


def judge(disk: Disk, state: SpoolState, limits: Limits, user: User) -> Iterator[Finding]:
    yield _kind(disk)
    yield _space(disk, state, limits)
    yield _inodes(disk)
    if disk.wear is not None:
        yield _wear(disk.wear)
    yield from _spool(disk, state, user)


def _kind(disk: Disk) -> Finding:
    about = Subject(CHECK, "file system")
    card = ", an SD card" if disk.is_sd_card else ""
    source = f" on {disk.source}" if disk.source.startswith("/dev/") else ""
    seen = f"{disk.kind}{source}{card} at {disk.place}"
    if disk.is_read_only:
        return about.fault(f"{seen}: read-only, so records are in memory only", *_writable(disk))
    keep = "write another place as [spool] path"
    if disk.kind in _IN_MEMORY or disk.upper_kind in _IN_MEMORY:
        return about.warning(f"{seen}: it is memory, a restart loses what was not sent", keep)
    if disk.kind == "overlay":
        return about.warning(f"{seen}: what a container writes is gone with the container", keep)
    if disk.kind in _NETWORK:
        return about.warning(f"{seen}: over the network, and the spool is there for when that is away", keep)
    return about.ok(seen)


def _writable(disk: Disk) -> tuple[str, ...]:
    return (
        "after a fault of the disk the kernel does that: look there first",
        "$ sudo dmesg --level err,warn | tail -n 20",
        f'$ sudo mount -o remount,rw "$(findmnt -no TARGET -T {shlex.quote(disk.place)})"',
    )


def _space(disk: Disk, state: SpoolState, limits: Limits) -> Finding:
    about = Subject(CHECK, "space")
    free, least = disk.free_bytes, limits.min_free_bytes
    look = f"$ sudo du -xh -d1 {shlex.quote(disk.place)} | sort -h | tail"
    if free < least:
        return about.fault(
            f"{show_size(free)} free, less than min_free ({show_size(least)}): records are given up",
            "free some:",
            look,
        )
    wanted = limits.max_bytes - state.used_bytes
    if free - least < wanted:
        room = state.used_bytes + free - least
        return about.warning(
            f"{show_size(free)} free: the spool has room for {show_size(room)},"
            f" not {show_size(limits.max_bytes)}",
            "free some, or write a smaller max_size:",
            look,
        )
    return about.ok(f"{show_size(free)} free, the spool may grow by {show_size(max(0, wanted))}")


def _inodes(disk: Disk) -> Finding:
    about = Subject(CHECK, "inodes")
    if not disk.inodes:
        return about.ok("this file system does not count them")
    look = f"$ sudo du --inodes -x -d1 {shlex.quote(disk.place)} | sort -n | tail"
    if disk.free_inodes < FEW_INODES:
        seen = f"{disk.free_inodes} of {disk.inodes} free"
        return (about.warning if disk.free_inodes else about.fault)(
            seen, "remove what makes many small files:", look
        )
    return about.ok(f"{disk.free_inodes} free")


def _wear(wear: Wear) -> Finding:
    about = Subject(CHECK, "wear")
    used = (
        f"{(wear.life_used - 1) * 10} to {wear.life_used * 10} % of its life used" if wear.life_used else ""
    )
    if wear.life_used > 10 or wear.reserve >= 3:
        return about.warning(
            "the eMMC says that its life is over", "replace it soon; keep a copy of /etc/edge-agent"
        )
    if wear.life_used > 8 or wear.reserve == 2:
        return about.warning(f"the eMMC says: {used or 'most spare blocks used'}", "plan to replace it")
    return about.ok(f"the eMMC says: {used or 'normal'}")


def _spool(disk: Disk, state: SpoolState, user: User) -> Iterator[Finding]:
    about = Subject(CHECK, disk.spool)
    if state.look.hidden_by:
        yield about.skipped("you may not look into it", AS_ROOT)
        return
    if state.look.is_missing:
        yield about.ok("not there yet; it is made at the first start")
        return
    yield _owner(about, state, user)
    yield _contents(Subject(CHECK, "records"), state, disk)


def _owner(about: Subject, state: SpoolState, user: User) -> Finding:
    group = user.group or user.name
    node = state.look.node
    blocked = access.obstacle(user, state.look.nodes, access.READ | access.WRITE | access.SEARCH)
    if blocked is None and not state.foreign:
        return about.ok(f"{node}, {user.name} may use it")
    what = f"{blocked.path} is {blocked}" if blocked is not None else ", ".join(state.foreign[:_TOLD])
    return about.fault(
        f"{user.name} may not write there: {what}",
        "did somebody run the agent by hand as root?",
        command("sudo", "chown", "-R", f"{user.name}:{group}", state.look.path),
    )


def _contents(about: Subject, state: SpoolState, disk: Disk) -> Finding:
    waits = f"{plural(state.unsent, 'record')} to be sent"
    verify = command("sudo", "edge-agent", "spool", "verify", "--path", disk.spool)
    if state.damage:
        more = f"; and {len(state.damage) - _TOLD} more" if len(state.damage) > _TOLD else ""
        seen = f"damaged: {'; '.join(state.damage[:_TOLD])}{more}"
        return about.warning(
            seen, "the agent declares to receivers what was there; is the disk sound?", verify
        )
    aside = f"; {plural(state.quarantined, 'file')} in quarantine/" if state.quarantined else ""
    losses = f"; {plural(state.undeclared, 'loss', 'losses')} to be declared" if state.undeclared else ""
    if aside:
        return about.note(f"{waits}{aside}{losses}: not understood by this version", verify)
    return about.ok(f"{waits}{losses}")
