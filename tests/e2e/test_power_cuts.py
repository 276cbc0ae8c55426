"""The power goes, on a real ext4: at the receiver every value is there once or lies in a declared gap.

Every second cut is placed between the PUBACK of an alarm and the fdatasync that would have made it durable:
the sync is slowed down, and the power goes while it runs. What the receiver then holds beyond what was
durable it must keep, and neither count twice nor declare as lost.
"""

from __future__ import annotations

import random
import time

import pytest

from edge_agent.model import NS
from tests.e2e.broker_log import Acknowledged
from tests.e2e.fleet import Fleet, Member, wait
from tests.e2e.plant import COMMIT_S, WINDOW_S
from tests.e2e.verdict import Verdict, together
from tests.rigs import disks
from tests.rigs.disks import Ext4
from tests.rigs.shim import Shim, build

pytestmark = [
    pytest.mark.needs("mosquitto"),
    pytest.mark.needs("cc"),
    pytest.mark.skipif(bool(disks.why_not()), reason=disks.why_not()),
]

SLOW_S = 0.8


class Plug:
    """The power of one agent, and how often it went while an acknowledged alarm was being synced."""

    def __init__(self, member: Member, disk: Ext4, acknowledged: Acknowledged) -> None:
        self.member = member
        self.disk = disk
        self.in_window = 0
        self._acknowledged = acknowledged

    def pull_at(self, seconds: float) -> None:
        time.sleep(seconds)
        self.member.cut(self.disk.cut)

    def pull_behind_an_alarm(self) -> None:
        """When an alarm is acknowledged while its sync runs. The disk is slow only from shortly before it."""
        shim, name = self.member.shim, self.member.name
        assert shim is not None
        wait(self.member.is_up, what=f"{name} to read")
        while (left := self.member.next_alarm_ns() - time.monotonic_ns()) < NS:
            time.sleep(left / NS)
        time.sleep(left / NS - 0.05)
        before, slow_since = self._acknowledged.count(name), time.time_ns()
        shim.slow("sync", SLOW_S)
        wait(lambda: self._acknowledged.count(name) > before, what="an alarm", every_s=0.01)
        self.member.cut(self.disk.cut, slow_since)
        syncs = shim.count("sync")
        self.in_window += syncs.begun > syncs.done
        shim.heal()

    def back(self) -> None:
        self.disk.revive()
        assert self.member.shim is not None
        # A sync that was killed never returns: the counts begin anew.
        self.member.shim.forget()


def survive(plug: Plug, cuts: int, dice: random.Random) -> None:
    for number in range(cuts):
        plug.member.start()
        if number % 2:
            plug.pull_at(dice.uniform(0.3, 4.0))
        else:
            plug.pull_behind_an_alarm()
        plug.back()
        time.sleep(dice.uniform(0.0, 0.3))
    plug.member.start()
    time.sleep(3)


def cut(folder, seed: int, cuts: list[int]) -> None:
    """`cuts`: how many for each agent."""
    library, began = build(folder), time.monotonic()
    with Fleet(folder) as fleet:
        acknowledged = Acknowledged(fleet.broker)
        plugs = {}
        try:
            for number in range(len(cuts)):
                disk = Ext4(folder / f"disk{number}")
                shim = Shim(folder / f"shim{number}", library)
                shim.watch(disk.path)
                spool = disk.path / "spool"
                member = fleet.add(f"gateway{number}", seed=seed + number, spool=spool, shim=shim)
                plugs[member.name] = Plug(member, disk, acknowledged)
            number_of = dict(zip(plugs, cuts, strict=True))
            fleet.each(lambda m: survive(plugs[m.name], number_of[m.name], random.Random(f"{seed}{m.name}")))
            fleet.finish()
            checked = [plug.disk.check() for plug in plugs.values()]
        finally:
            for member in fleet.members.values():
                member.close()
            for plug in plugs.values():
                plug.disk.close()
        ledgers = {name: fleet.ledger(name) for name in fleet.members}
        verdict = together(fleet.members[name].verdict(found) for name, found in ledgers.items())
    in_window = sum(plug.in_window for plug in plugs.values())
    took = time.monotonic() - began
    print(f"{sum(cuts)} power cuts in {took:.0f} s, {in_window} between an alarm's PUBACK and its fdatasync")
    print(verdict.figures())
    judge(verdict, sum(cuts), in_window)
    beyond = [found.beyond for found in ledgers.values() if found.beyond is not None]
    assert not beyond or sum(beyond) >= in_window, "no cut was placed behind a PUBACK"
    assert not any(checked), checked


def judge(verdict: Verdict, cuts: int, in_window: int) -> None:
    assert not (faults := verdict.faults()), (len(faults), faults[:5])
    assert not verdict.losses
    assert in_window >= cuts / 4
    pauses = len(verdict.over["sample"])
    assert cuts / 3 < pauses <= cuts
    assert sum(verdict.over["sample"]) <= COMMIT_S * pauses
    assert sum(verdict.over["summary"]) <= (COMMIT_S + WINDOW_S) * pauses


@pytest.mark.timeout(300)
def test_every_value_is_there_once_or_declared_through_five_power_cuts(tmp_path, seed) -> None:
    cut(tmp_path, seed, [3, 2])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_value_is_there_once_or_declared_through_a_hundred_power_cuts(tmp_path, seed) -> None:
    cut(tmp_path, seed, [50, 50])
