"""What disks do to agents: one scenario each, played by `test_bad_disks.py` all at once.

A scenario starts its agent, spoils its disk, looks whether the agent says so, makes the disk good again and
leaves a recovered agent. Where a record must be kept, the way to the broker is cut meanwhile: what is
delivered at once needs no disk.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_agent.counters import Counters
from edge_agent.model import NS, MonoNs, Quality, WallNs
from edge_agent.process.results import Sample, Summary
from edge_agent.records.values import Stamp
from edge_agent.records.writer import RecordWriter
from edge_agent.simulator.log import Served
from edge_agent.spool import Limits, Spool
from tests.e2e.broker_log import Acknowledged
from tests.e2e.fleet import Member, wait
from tests.e2e.verdict import End, Life
from tests.rigs.disks import Disk, Ext4, Tmpfs
from tests.rigs.relay import Relay
from tests.rigs.shim import Shim

OLD_EPOCH = b"lastweek"
OLD_RECORDS = 120


@dataclass(slots=True)
class Patient:
    """An agent with a disk, a shim and a way to the broker of its own, and what it was seen to do."""

    member: Member
    relay: Relay
    shim: Shim
    disk: Disk | None
    seed: int
    alarms: Acknowledged
    said: list[str] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    """Figures for the test to look at."""

    @property
    def ext4(self) -> Ext4:
        assert isinstance(self.disk, Ext4)
        return self.disk

    @property
    def tmpfs(self) -> Tmpfs:
        assert isinstance(self.disk, Tmpfs)
        return self.disk

    def start(self) -> None:
        self.member.start()
        wait(self.member.is_up, what=f"{self.member.name} to read")

    def says(self, word: str) -> None:
        """Until its status names `word` as a problem of the spool."""
        what = f"{self.member.name} to say {word!r}"
        self.said.append(wait(lambda: word in (said := self.member.problems()) and said, what=what))

    def is_well(self) -> None:
        """Until it says by itself that nothing is wrong any more."""
        wait(lambda: not self.member.problems(), what=f"{self.member.name} to recover")


def nothing_is_wrong(p: Patient) -> None:
    """The others are compared with it."""
    p.start()


def full_at_the_start(p: Patient) -> None:
    p.tmpfs.fill()
    p.relay.cut()
    p.start()
    p.says("memory")
    time.sleep(2)
    p.tmpfs.clear()
    p.is_well()
    p.relay.join()


def full_while_running(p: Patient) -> None:
    p.start()
    p.relay.cut()
    p.tmpfs.fill()
    # A file that failed is left alone: what is not durable needs room in another.
    p.shim.fail("sync", errno.EIO, times=1)
    p.says(": ")
    time.sleep(3)
    p.tmpfs.clear()
    p.is_well()
    p.relay.join()


def no_inode_is_left(p: Patient) -> None:
    p.tmpfs.take_inodes()
    p.relay.cut()
    p.start()
    p.says("memory")
    time.sleep(2)
    p.tmpfs.clear()
    p.is_well()
    p.relay.join()


def filled_by_another_program(p: Patient) -> None:
    """Records of last week wait; then another program leaves less free than `min_free`."""
    p.relay.cut()
    last_week(p.member)
    p.start()
    p.tmpfs.fill(leave=512 << 10)
    wait(lambda: p.member.counter("spool_evicted") >= 1, what="an eviction")
    time.sleep(1)
    p.tmpfs.clear()
    p.is_well()
    p.relay.join()


def last_week(member: Member) -> None:
    """A run of seven days ago that never reached the broker, and ended in order."""
    site, begin = member.site, time.time_ns() - 7 * 86400 * NS
    end = begin + OLD_RECORDS * NS
    limits = Limits.of(site.spool)
    spool = Spool(Path(site.spool.path), OLD_EPOCH, limits=limits, counters=Counters())
    writer = RecordWriter(site, OLD_EPOCH, boot_id="0" * 32, counters=Counters())

    def at(ns: int) -> Stamp:
        return Stamp(WallNs(ns), MonoNs(ns - begin), True)

    spool.append(writer.start(at(begin), spool.recovery))
    dice = random.Random(7)
    flow = next(place for place, point in enumerate(site.points) if point.name == "flow")
    for ns in range(begin, end, NS):
        now = at(ns + NS)
        rows = [
            Sample(0, MonoNs(ns - begin), WallNs(ns), dice.randrange(1 << 32), Quality(0)) for _ in range(900)
        ]
        window = Summary(flow, WallNs(ns), now.wall_ns, 1, 0, 0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, Quality(0))
        spool.append([*writer.add([*rows, window], now), *writer.flush(now, now.wall_ns)])
    spool.append(writer.stop(at(end), "stopped", WallNs(end)))
    spool.close(MonoNs(end - begin))
    member.lives.append(Life(begin, end, End.STOPPED))


def a_sync_fails_once(p: Patient) -> None:
    p.start()
    p.relay.cut()
    p.shim.fail("sync", errno.EIO, times=1)
    # Said for one commit interval, which a look at the status may miss; counted for good.
    wait(lambda: p.member.counter("spool_errors"), what=f"{p.member.name} to count it")
    p.is_well()
    p.seen["refused"] = p.shim.count("sync").refused
    p.relay.join()


def no_sync_succeeds(p: Patient) -> None:
    p.start()
    p.relay.cut()
    p.shim.fail("sync", errno.EIO)
    p.says("memory")
    time.sleep(4)
    p.shim.heal()
    p.is_well()
    p.relay.join()


def nothing_can_be_written(p: Patient) -> None:
    p.start()
    p.relay.cut()
    for operation in ("write", "pwrite", "sync", "truncate"):
        p.shim.fail(operation, errno.EIO)
    p.says("memory")
    time.sleep(4)
    p.shim.heal()
    p.is_well()
    p.relay.join()


def read_only_at_the_start(p: Patient) -> None:
    p.ext4.remount(read_only=True)
    p.relay.cut()
    p.start()
    p.says("memory")
    time.sleep(2)
    p.ext4.remount(read_only=False)
    p.is_well()
    p.relay.join()


def read_only_by_an_error(p: Patient) -> None:
    """The file system gives up; somebody ends the agent, mounts the disk anew and starts it again. From the
    error on nothing was on the disk: what was delivered is there, what was not is declared."""
    p.start()
    if not p.ext4.can_break_down():
        return
    p.relay.cut()
    since = time.time_ns()
    p.ext4.break_down()
    p.says("memory")
    time.sleep(1)
    p.member.kill()
    last = p.member.lives[-1]
    p.member.lives[-1] = replace(last, slow_ns=last.ended - since)
    p.ext4.revive()
    p.relay.join()
    p.start()


def rotten(p: Patient) -> None:
    """Bits flip in what waits on the disk while nobody looks."""
    damaged(p, _flip_bits)


def truncated(p: Patient) -> None:
    """The files end too early: as a file system leaves them that lost their last blocks."""
    damaged(p, _truncate)


def damaged(p: Patient, damage: Callable[[Path, random.Random], None]) -> None:
    p.relay.cut()
    p.start()
    time.sleep(5)
    p.member.kill()
    # How much of the end was damaged decides from when on nothing is certain.
    last = p.member.lives[-1]
    p.member.lives[-1] = replace(last, slow_ns=last.ended - last.started)
    for stream in ("sample", "summary"):
        for path in sorted((p.member.spool / stream).glob("*.seg")):
            damage(path, random.Random(f"{p.seed}{path.name}"))
    p.relay.join()
    p.start()


def _flip_bits(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    # A file that is longer than what is in it ends in zeros.
    used = len(data.rstrip(b"\0"))
    for _ in range(4):
        data[dice.randrange(used)] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def _truncate(path: Path, dice: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: dice.randrange(len(data.rstrip(b"\0")) // 2, len(data.rstrip(b"\0")))])


def every_sync_takes_two_seconds(p: Patient) -> None:
    p.start()
    wait(p.member.is_delivered, what="what the start had to say")
    while (edge := p.member.next_alarm_ns()) - time.monotonic_ns() < 2 * NS:
        time.sleep(0.1)
    begin = time.monotonic_ns()
    p.shim.slow("sync", 2.0)
    time.sleep((edge - time.monotonic_ns()) / NS)
    before = p.alarms.count(p.member.name)
    wait(lambda: p.alarms.count(p.member.name) > before, what="an alarm", every_s=0.005)
    acknowledged = time.monotonic_ns()
    # The value that raises it is read up to a poll later than the edge.
    p.seen["waited for"] = sum(edge + NS // 5 < end < acknowledged for _, end in p.shim.syncs())
    time.sleep(max(0, 10 - (time.monotonic_ns() - begin) / NS))
    p.seen |= {"begin": begin, "end": time.monotonic_ns()}
    p.seen["dropped"] = p.member.counter("spool_queue_dropped")
    p.shim.heal()
    p.is_well()


def polls_made(member: Member, begin: float, end: float) -> float:
    """Served replies with the fastest point of device a, as a share of those due between two times."""
    asked = [
        entry.t_mono
        for entry in member.entries()
        if isinstance(entry, Served) and entry.unit == 1 and begin <= entry.t_mono < end
    ]
    # n0 and n1 come in one request each 100 ms, n2 in another each 200 ms.
    return len(asked) / ((end - begin) / (NS // 10) * 1.5)


def stands_still_for_ten_seconds(p: Patient) -> None:
    p.start()
    time.sleep(2)
    p.member.freeze()
    time.sleep(10)
    thawed = time.monotonic_ns()
    p.member.thaw()
    time.sleep(2)
    p.seen["first second"] = polls_made(p.member, thawed, thawed + NS)
    p.is_well()


@dataclass(frozen=True, slots=True)
class Scenario:
    play: Callable[[Patient], None]
    disk: Callable[[Path], Disk] | None = None
    """Needs root."""


def _few_inodes(folder: Path) -> Disk:
    return Tmpfs(folder, size=16 << 20, inodes=128)


SCENARIOS = {
    scenario.play.__name__: scenario
    for scenario in (
        Scenario(nothing_is_wrong),
        Scenario(full_at_the_start, Tmpfs),
        Scenario(full_while_running, Tmpfs),
        Scenario(no_inode_is_left, _few_inodes),
        Scenario(filled_by_another_program, Tmpfs),
        Scenario(a_sync_fails_once),
        Scenario(no_sync_succeeds),
        Scenario(nothing_can_be_written),
        Scenario(read_only_at_the_start, Ext4),
        Scenario(read_only_by_an_error, Ext4),
        Scenario(rotten),
        Scenario(truncated),
        Scenario(every_sync_takes_two_seconds),
        Scenario(stands_still_for_ten_seconds),
    )
}
