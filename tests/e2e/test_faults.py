"""Every fault of the simulator at full rate, each on a line of its own, all in one agent.

No wrong value, the right quality, and recovery; the line without a fault is not touched by the others.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from edge_agent.simulator.faults import FaultKind
from tests.e2e import oracle
from tests.e2e.rig import Rig

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.quiet]

# What the values of the device must be called while the fault lasts.
EXPECTED = {
    FaultKind.SILENCE: {"no_reply"},
    FaultKind.LATE: {"no_reply"},
    FaultKind.BAD_CRC: {"bad_frame"},
    FaultKind.WRONG_FUNCTION: {"bad_frame"},
    FaultKind.WRONG_COUNT: {"bad_frame"},
    FaultKind.WRONG_UNIT: {"bad_frame"},
    FaultKind.GLITCH_BEFORE: {"good"},
    FaultKind.GLITCH_AFTER: {"good"},
    FaultKind.EXCEPTION: {"exception_4"},
    FaultKind.SHORT: {"bad_frame"},
    FaultKind.PAUSE: {"good"},
    FaultKind.BABBLE: {"bad_frame", "no_reply"},
    FaultKind.ECHO: {"good"},
    FaultKind.PARTIAL_ECHO: {"good"},
    FaultKind.NO_VALUE: {"invalid", "good"},
    FaultKind.SECOND_DEVICE: {"bad_frame", "good"},
    # Its request runs into ours, or ours into its.
    FaultKind.SECOND_MASTER: {"good", "bad_frame", "no_reply"},
    FaultKind.WRONG_SPEED: {"bad_frame"},
}
# `late` plays with the timeout the master is thought to have; the longest burst of babble is one second.
ARGUMENTS = {FaultKind.LATE: ":timeout=200ms", FaultKind.NO_VALUE: ""}
HEALTHY = "healthy"

SCRIPT = """
[device.{name}]
unit_id = 1
[device.{name}.point]
n = {{ area = "holding", address = 0, type = "u32", signal = {{ counter = {{ start = 1000 }} }} }}
x = {{ area = "holding", address = 2, type = "f32", signal = {{ constant = 5.0, noise = 4.0 }} }}
m = {{ area = "input", address = 7, type = "u32", signal = {{ counter = {{ start = 900000 }} }} }}
"""

HEAD = """
[agent]
site = "e2e"
id = "faults"
[summary]
window = "10s"
send = "samples"
[uplink]
url = "{url}"
[spool]
path = "{spool}"
"""

LINE = """
[bus.{name}]
serial = "{{{name}}}"
baud = 38400
timeout = "200ms"
[device.{name}]
bus = "{name}"
unit_id = 1
[device.{name}.point]
n = {{ area = "holding", address = 0, type = "u32", poll = "100ms" }}
x = {{ area = "holding", address = 2, type = "f32", poll = "100ms" }}
m = {{ area = "input", address = 7, type = "u32", poll = "100ms" }}
"""


def misbehave(folder, seed: int, seconds: float, faults: list[FaultKind]) -> None:
    names = [HEALTHY, *(fault.value for fault in faults)]
    config = HEAD + "".join(LINE.format(name=name) for name in names)
    scripts = {name: SCRIPT.format(name=name) for name in names}
    with Rig(folder, scripts=scripts, config=config, seed=seed, baud=38400) as rig:
        rig.start_agent()
        rig.wait(lambda: {d["state"] for b in rig.status()["buses"] for d in b["devices"]} == {"up"})
        time.sleep(2)
        begin = time.time()
        for fault in faults:
            rig.lines[fault.value].faults.set("*", f"{fault.value}{ARGUMENTS.get(fault, '')}")
        time.sleep(seconds)
        for fault in faults:
            rig.lines[fault.value].faults.clear()
        end = time.time()
        rig.wait(
            lambda: all(
                d["state"] == "up" and not d["later"] for b in rig.status()["buses"] for d in b["devices"]
            ),
            timeout_s=30,
            what="recovery of every device",
        )
        time.sleep(2)
        over = rig.finish()
        print(over)
        for name in names:
            judge(rig, name, begin, end)
        assert over["missing"] == 0


def judge(rig: Rig, name: str, begin: float, end: float) -> None:
    devices = [device for device in rig.site.devices if device.name == name]
    samples = [item for item in rig.of_kind("sample") if item["device"] == name]
    verdict = oracle.samples(devices, rig.served(name), samples, rig.runs)
    # Of two devices with one unit id nobody can tell whose value it is; a hint says that there are two.
    if name != FaultKind.SECOND_DEVICE:
        assert not verdict.foreign, (name, verdict.foreign[:3])
        assert not verdict.doubled, (name, verdict.doubled[:3])
    # Half a second for the first struck request to time out, and for the last to be over.
    during = Counter(item["quality"] for item in samples if begin + 1 <= item["t"] <= end - 0.5)
    after = Counter(item["quality"] for item in samples if item["t"] > end + 20 or item is samples[-1])
    print(f"{name:15} {verdict.served} served, {verdict.received} good, during {dict(during)}")
    assert during, name
    expected = {"good"} if name == HEALTHY else EXPECTED[FaultKind(name)]
    # The simulator may be late itself where fifteen of its lines share a busy machine.
    strange = {quality: n for quality, n in during.items() if quality not in expected}
    assert set(strange) <= {"no_reply"} and sum(strange.values()) <= during.total() / 100, (name, during)
    if expected == {"good"}:
        assert verdict.good(), (name, verdict.declared, verdict.lost[:3])
    # Only floats can say that there is no value: one point of three.
    assert name != FaultKind.NO_VALUE or during["invalid"] * 4 > during.total()
    assert set(after) == {"good"}, (name, after)


def test_every_kind_of_fault_has_an_expected_quality() -> None:
    assert set(EXPECTED) == set(FaultKind)


@pytest.mark.timeout(180)
def test_no_fault_gives_a_wrong_value_and_all_recover(tmp_path, seed) -> None:
    misbehave(tmp_path, seed, 20, list(FaultKind))


@pytest.mark.soak
def test_no_fault_gives_a_wrong_value_in_five_minutes(tmp_path, seed) -> None:
    misbehave(tmp_path, seed, 300, list(FaultKind))
