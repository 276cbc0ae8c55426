"""The whole process stage gives the same results whichever way its kernels run."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BadCause, BadFrame, BusEvent, DeviceException
from edge_agent.kernels import Kernels, load
from edge_agent.model import NS, PointType, Send, Site
from edge_agent.process.results import Result
from edge_agent.process.stage import Stage
from tests.unit.kernels.test_judge import ALARMS, POINTS
from tests.unit.process.sites import SILENT, Payload, block, point, request, site, skipped, times

SENDS = [Send.SUMMARY, Send.SAMPLES, Send.CHANGES]
TEXT = point("text", type=PointType.STRING, address=16, length_words=3)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.binary(min_size=38, max_size=38),
    st.binary(max_size=38),
    st.sampled_from([SILENT, DeviceException(2, 0), BadFrame(BadCause.CRC, 5)]),
)
scripts = st.lists(st.tuples(payloads, st.integers(0, 8 * NS), st.booleans()), max_size=30)


def results(
    kernels: Kernels, before: Site, after: Site, script: list[tuple[Payload, int, bool]]
) -> list[Result]:
    """Half of the script, a change of configuration, the other half."""
    stage = Stage.build(before, 1, kernels, *times(0))
    got: list[Result] = []
    now = 0.0
    for index, (payload, step, missed) in enumerate(script):
        now += step / NS
        if index == len(script) // 2:
            old, stage = stage, Stage.build(after, 2, kernels, *times(now), stage)
            got += old.close(*times(now), stage)
        generation = 1 if index < len(script) // 2 else 2
        definition = after if generation == 2 else before
        every = tuple(range(len(definition.points)))
        events: list[BusEvent] = [block(request(definition, *every), payload, now, generation=generation)]
        if missed:
            events.append(skipped(every, now, generation=generation))
        got += stage.feed(events)
    return got + stage.close(*times(now)) + stage.alarm_states()


@given(script=scripts, sends=st.lists(st.sampled_from(SENDS), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_mode_gives_the_same_results(
    kernel_set: Kernels, script: list[tuple[Payload, int, bool]], sends: list[Send]
):
    points = [replace(p, send=send) for p, send in zip((*POINTS, TEXT), sends, strict=True)]
    before = site(points, ALARMS)
    after = site(points[::-1], (*ALARMS[3:], replace(ALARMS[0], high=0.0)))
    expected = results(load("python"), before, after, script)
    assert repr(results(kernel_set, before, after, script)) == repr(expected)
