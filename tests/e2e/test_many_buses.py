"""Eight serial lines in one daemon: a jammed one, an unplugged one and a dead device cost the others nothing.

The simulated lines count what they saw: each request, the silence before it, and what they served.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge_agent.simulator.log import Served
from tests.e2e import oracle
from tests.e2e.rig import Object, Rig

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.quiet]

BAUD = 115200
PERIOD_NS = 250_000_000
JAMMED, GONE, HALF_DEAD = "jammed", "gone", "half_dead"
HEALTHY = tuple(f"line{n}" for n in range(1, 6))
LINES = (*HEALTHY, HALF_DEAD, JAMMED, GONE)
UNITS = (1, 2)
THREADS = len(LINES) + 5
"""Buses, pipeline, spool, uplink, status, main."""

HEAD = """
[agent]
site = "e2e"
id = "many"
[summary]
window = "10s"
[uplink]
url = "{url}"
[spool]
path = "{spool}"
"""
BUS = '[bus.{line}]\nserial = "{{{line}}}"\nbaud = 115200\ntimeout = "{timeout}"\n'
DEVICE = """[device.{line}_{unit}]
bus = "{line}"
unit_id = {unit}
send = "samples"
[device.{line}_{unit}.point]
"""
SIM_DEVICE = "[device.{line}_{unit}]\nunit_id = {unit}\n[device.{line}_{unit}.point]\n"
POINT = 'p{n} = {{ area = "holding", address = {address}, type = "u32", {rest} }}\n'


def script(number: int, line: str) -> str:
    text = ""
    for unit in UNITS:
        text += SIM_DEVICE.format(line=line, unit=unit)
        for n in range(4):
            rest = f"signal = {{ counter = {{ start = {((number * 2 + unit) * 4 + n) * 1_000_000} }} }}"
            text += POINT.format(n=n, address=2 * n, rest=rest)
    return text


def config() -> str:
    text = HEAD
    for line in LINES:
        # A busy test machine is late as well; only the dead device's line needs a short one.
        text += BUS.format(line=line, timeout="100ms" if line == HALF_DEAD else "500ms")
        for unit in UNITS:
            text += DEVICE.format(line=line, unit=unit)
            text += "".join(POINT.format(n=n, address=2 * n, rest='poll = "250ms"') for n in range(4))
    return text


def polled(rig: Rig, line: str, unit: int) -> tuple[int, int]:
    """Polls that were made and that were planned from the first one to the agent's end."""
    end = rig.runs[-1].ended
    served = [e for e in rig.served(line) if isinstance(e, Served) and e.unit == unit and e.t_wall < end]
    made, last = 0, 0
    for entry in served:
        # A repeated request is no poll of its own.
        made += entry.asked - last > PERIOD_NS // 4
        last = entry.asked
    return made, 1 + (end - served[0].t_wall) // PERIOD_NS


def judge_line(rig: Rig, line: str, units: tuple[int, ...], objects: list[Object], least: float) -> None:
    """No request too soon, no wrong value, none lost, and `least` of the planned polls made."""
    stats = rig.lines[line].stats()
    print(f"{line:9} {stats.counts}")
    assert stats.counts.too_soon == 0, f"{line}: least silence {stats.counts.gap_min_ns / 1000} us"
    for unit in units:
        made, planned = polled(rig, line, unit)
        print(f"{line:9} unit {unit}: {made} of {planned} polls")
        assert made >= least * planned, (line, unit, made, planned)
    devices = [device for device in rig.site.devices if device.bus == line and device.unit_id in units]
    mine = [item for item in objects if item["device"] in {device.name for device in devices}]
    verdict = oracle.samples(devices, rig.served(line), mine, rig.runs)
    assert not verdict.foreign and not verdict.doubled, (line, verdict.foreign[:3], verdict.doubled[:3])
    assert verdict.good(), (line, verdict.declared, verdict.lost[:3])


def judge_daemon(status: Object) -> None:
    """Every thread lives, and every port was opened once: only the unplugged one is not open."""
    assert not sum(n for name, n in status["counters"].items() if name.startswith("thread_crashes"))
    assert len(list(Path(f"/proc/{status['agent']['pid']}/task").iterdir())) >= THREADS
    assert not [problem for problem in status["agent"]["problems"] if "thread" in problem]
    states = {bus["name"]: bus["state"] for bus in status["buses"]}
    assert states == dict.fromkeys(LINES, "open") | {GONE: "missing"}
    assert {bus["counts"]["opened"] for bus in status["buses"]} == {1}


@pytest.mark.timeout(180)
def test_eight_lines_are_polled_as_planned_while_three_of_them_are_in_trouble(tmp_path, seed) -> None:
    scripts = {line: script(number, line) for number, line in enumerate(LINES)}
    with Rig(tmp_path, scripts=scripts, config=config(), seed=seed, baud=BAUD) as rig:
        rig.lines[HALF_DEAD].faults.set(f"{HALF_DEAD}_2", "silence")
        rig.lines[JAMMED].faults.set("*", "babble:burst=60s")
        rig.start_agent()
        rig.wait(lambda: rig.of_kind("sample"), what="the first sample")
        time.sleep(8)
        rig.lines[GONE].unplug()
        time.sleep(8)
        judge_daemon(rig.status())
        assert rig.finish()["missing"] == 0
        objects = rig.of_kind("sample")
        for line in HEALTHY:
            judge_line(rig, line, UNITS, objects, least=0.95)
        # Its own line pays for a dead device: at first a timeout and a late window longer than a period.
        judge_line(rig, HALF_DEAD, UNITS[:1], objects, least=0.9)
        assert {item["quality"] for item in objects if item["device"] == f"{HALF_DEAD}_2"} == {"no_reply"}
        jammed = {item["quality"] for item in objects if item["device"].startswith(JAMMED)}
        assert jammed <= {"bad_frame", "no_reply"}
        assert [item["quality"] for item in objects if item["device"].startswith(GONE)][-1] == "port_down"
