"""Local echo on, off and in part: values come all the same, a dead device stays dead, the count is seen."""

from __future__ import annotations

import pytest

from edge_agent import kernels
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import NoReply, Values
from edge_agent.bus.quality.quality import Quality
from edge_agent.bus.report import bus as report_of
from edge_agent.bus.schedule.load import LoadLimit
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.clock import SystemClock
from edge_agent.model import NS, BusDef, MonoNs, SerialLink
from edge_agent.simulator import SimulatedLine
from tests.contract.bus_slaves import PtySlave
from tests.unit.bus.helpers import request
from tests.unit.simulator.factory import press

REQUESTS = 20

pytestmark = pytest.mark.parametrize("loop", ["compiled", "python"])


def run(path: str, requests: int, loop: str):
    """(outcomes, what the status says of the line) of so many reads of unit 2."""
    clock = SystemClock()
    bus = BusDef(name="b", link=SerialLink(path=path, baud=115200))
    talk = kernels.load("native").talk if loop == "compiled" else None
    line = make_line(bus, {0: Manners(timeout=AdaptiveTimeout(NS // 5))}, clock, talk=talk)
    line.open()
    try:
        done = line.run([request(unit=2)] * requests, MonoNs(clock.mono_ns() + 60 * NS))
        now = clock.mono_ns()
        said = report_of(bus, line, LoadLimit(1.0, now), [], Quality(bus, [], now))
    finally:
        line.close()
    return [one.outcome for one in done], said


@pytest.mark.parametrize(("fault", "echoes"), [("", 0), ("echo", REQUESTS), ("partial_echo", REQUESTS)])
def test_values_come_whether_the_adapter_hears_itself_or_not(fault, echoes, loop):
    with SimulatedLine([press()], baud=115200) as simulated:
        if fault:
            simulated.faults.set("press", fault)
        outcomes, said = run(simulated.path, REQUESTS, loop)
    assert [type(outcome) for outcome in outcomes] == [Values] * REQUESTS
    assert {outcome.data[:2] for outcome in outcomes} == {b"\x04\xd2"}
    assert said["counts"]["echoes"] == echoes
    assert said["counts"]["discarded_bytes"] == 0


@pytest.mark.parametrize("heard", [slice(0, 8), slice(1, 8), slice(0, 7), slice(2, 5)], ids=str)
def test_an_echo_alone_is_no_reply(heard, loop):
    slave = PtySlave(lambda request: request[heard])
    outcomes, said = run(slave.path, 2, loop)
    slave.close()
    assert outcomes == [NoReply()] * 2
    assert said["counts"]["echoes"] == 2
