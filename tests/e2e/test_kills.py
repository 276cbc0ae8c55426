"""The agent killed at random moments, the broker away for a while: every value exactly once."""

from __future__ import annotations

import random
import time

import pytest

from tests.e2e import oracle
from tests.e2e.rig import Rig

pytestmark = pytest.mark.needs("mosquitto")

SCRIPT = """
[device.a]
unit_id = 1
[device.a.point]
n0 = { area = "holding", address = 0, type = "u32", signal = { counter = { start = 1000000 } } }
n1 = { area = "holding", address = 2, type = "u32", signal = { counter = { start = 2000000 } } }
n2 = { area = "input", address = 10, type = "u16", signal = { counter = { start = 3 } } }
[device.b]
unit_id = 2
[device.b.point]
n3 = { area = "holding", address = 0, type = "u32", order = "cdab", signal = { counter = { start = 4000000 } } }
level = { area = "holding", address = 100, type = "f32", signal = { constant = 5.0, noise = 0.5, event = { add = 10.0, every = "7s", lasts = "3s", first = "2s" } } }
flow = { area = "input", address = 100, type = "f32", signal = { load = { low = 10.0, high = 20.0 }, noise = 1.0 } }
"""  # noqa: E501

CONFIG = """
[agent]
site = "e2e"
id = "gateway"
[bus.line]
serial = "{line}"
baud = 115200
timeout = "300ms"
[device.a]
bus = "line"
unit_id = 1
send = "samples"
[device.a.point]
n0 = { area = "holding", address = 0, type = "u32", poll = "100ms" }
n1 = { area = "holding", address = 2, type = "u32", poll = "100ms" }
n2 = { area = "input", address = 10, type = "u16", poll = "200ms" }
[device.b]
bus = "line"
unit_id = 2
[device.b.point]
n3 = { area = "holding", address = 0, type = "u32", order = "cdab", poll = "100ms", send = "samples" }
level = { area = "holding", address = 100, type = "f32", poll = "100ms", send = "samples" }
flow = { area = "input", address = 100, type = "f32", poll = "200ms" }
[alarm.high]
point = "b.level"
above = 10.0
deadband = 1.0
input = "raw"
severity = "critical"
[summary]
window = "1s"
[uplink]
url = "{url}"
[spool]
path = "{spool}"
commit = "500ms"
"""


def survive(rig: Rig, kills: int, dice: random.Random) -> None:
    for kill in range(kills):
        rig.start_agent()
        time.sleep(dice.uniform(1.5, 6.0))
        if dice.random() < 0.5:
            # Stopped, not killed: a PUBACK of a killed broker proves nothing.
            rig.broker.stop()
            time.sleep(dice.uniform(0.2, 3.0))
            if dice.random() < 0.5:
                rig.kill_agent()
                rig.broker.start()
                time.sleep(dice.uniform(0.0, 1.0))
                continue
            rig.broker.start()
            time.sleep(dice.uniform(0.0, 2.0))
        rig.kill_agent()
        print(f"kill {kill + 1} of {kills}")
        time.sleep(dice.uniform(0.0, 1.0))
    rig.start_agent()
    time.sleep(4)


def judge(rig: Rig, kills: int) -> None:
    end = rig.finish()
    entries, objects = rig.served(), rig.objects
    verdict = oracle.samples(rig.site.devices, entries, objects, rig.runs)
    share = oracle.polls_made(rig.site, entries, rig.runs)
    print(f"served {verdict.served}, received {verdict.received}, bad {verdict.declared}, {end}")
    print(f"polls made {share:.1%}")
    assert verdict.served > 100 * kills
    assert not verdict.foreign, verdict.foreign[:5]
    assert not verdict.doubled, verdict.doubled[:5]
    assert not verdict.lost, (len(verdict.lost), verdict.lost[:5])
    assert verdict.good(), verdict.declared
    assert not (wrong := oracle.undeclared_gaps(objects, rig.runs)), wrong[:5]
    assert len({item["epoch"] for item in objects if item["kind"] == "gap"}) == kills
    assert end["missing"] == 0
    assert share >= 0.95
    wrong_alarms = oracle.alarm_errors(rig.site, entries, objects, "high")
    assert not wrong_alarms, wrong_alarms
    assert len(oracle.alarm_truth(rig.site, entries, "high")) >= kills


@pytest.mark.timeout(300)
def test_every_value_arrives_once_through_kills_and_outages(tmp_path, seed) -> None:
    with Rig(tmp_path, scripts={"line": SCRIPT}, config=CONFIG, seed=seed) as rig:
        survive(rig, 5, random.Random(seed))
        judge(rig, 5)


@pytest.mark.timeout(300)
def test_an_open_batch_that_a_kill_takes_is_declared_like_the_rest(tmp_path, seed) -> None:
    config = CONFIG + '[samples]\nbatch = "1s"\n'
    with Rig(tmp_path, scripts={"line": SCRIPT}, config=config, seed=seed) as rig:
        survive(rig, 2, random.Random(seed))
        judge(rig, 2)


@pytest.mark.soak
def test_every_value_arrives_once_through_fifty_kills(tmp_path, seed) -> None:
    with Rig(tmp_path, scripts={"line": SCRIPT}, config=CONFIG, seed=seed) as rig:
        survive(rig, 50, random.Random(seed))
        judge(rig, 50)
